/** What a condition may be made of besides columns, strings and numbers. None of it reads or does anything elsewhere. */

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

export const KEYWORDS = words(`
  and or not in is isnull notnull null true false unknown between symmetric like ilike similar to escape
  any some all array case when then else end distinct from cast as at time zone for both leading trailing
  current_date current_time current_timestamp localtime localtimestamp
  century day decade dow doy epoch hour isodow isoyear julian microseconds millennium milliseconds minute month
  quarter second timezone timezone_hour timezone_minute week year
`);

/** Keywords that a parenthesis may follow without a call. */
export const BEFORE_PARENTHESIS = words(`
  and or not in between symmetric like ilike to escape any some all case when then else from as for cast
`);

/** Built-in, immutable or stable, and of their arguments alone. */
export const FUNCTIONS = words(`
  abs age array_length array_ndims array_position ascii btrim cardinality ceil ceiling char_length character_length
  coalesce date_part date_trunc div extract floor greatest initcap isfinite jsonb_array_length jsonb_exists
  jsonb_extract_path jsonb_extract_path_text jsonb_typeof json_array_length json_extract_path json_extract_path_text
  json_typeof least left length lower ltrim make_date make_timestamp md5 mod now nullif num_nonnulls num_nulls
  octet_length position power replace right round rtrim sign split_part sqrt starts_with strpos substr substring
  to_char to_date to_number to_timestamp trim trunc upper
`);

/** Types to cast to; none of them looks a name up in the catalog. */
export const TYPES = words(`
  bigint bit bool boolean bpchar bytea char character cidr date decimal float float4 float8 inet int int2 int4 int8
  integer interval json jsonb macaddr macaddr8 money numeric real smallint text time timestamp timestamptz timetz
  uuid varbit varchar
`);

export const OPERATORS = words(`
  = <> != < > <= >= + - * / % ^ || ~ ~* !~ !~* ~~ ~~* !~~ !~~* ^@ & | # << >> && @> <@ -> ->> #> #>> ? ?| ?& -|-
`);
