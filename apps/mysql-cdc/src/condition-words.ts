/** What a condition may be made of besides columns, strings and numbers. None of it reads or does anything elsewhere. */

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

export const KEYWORDS = words(`
  and or xor not in is null true false unknown between like rlike regexp escape div mod binary
  case when then else end as date time timestamp interval
  microsecond second minute hour day week month quarter year
`);

/** Keywords that a parenthesis may follow without a call. */
export const BEFORE_PARENTHESIS = words(`
  and or xor not in is between like rlike regexp escape div mod binary case when then else interval
`);

/** Built-in, and of their arguments and the time alone. */
export const FUNCTIONS = words(`
  abs ascii bit_count bit_length cast ceil ceiling char_length character_length coalesce concat concat_ws crc32 curdate
  date date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear elt exp field find_in_set floor
  from_days from_unixtime greatest hex hour if ifnull instr isnull json_contains json_contains_path json_extract
  json_length json_type json_unquote json_valid last_day lcase least left length ln locate log log10 log2 lower ltrim
  makedate maketime md5 microsecond mid minute mod month monthname now nullif octet_length ord pow power quarter replace
  reverse right round rtrim sec_to_time second sign sqrt str_to_date strcmp substr substring substring_index time
  time_format time_to_sec timestamp timestampadd timestampdiff to_days to_seconds trim truncate ucase unhex
  unix_timestamp upper utc_date utc_timestamp week weekday weekofyear year yearweek
`);

/** Types to cast to. */
export const TYPES = words(`binary char date datetime decimal double float integer json signed time unsigned year`);

/** Words that begin or belong to a query, even where a column is called so: that one is written in backticks. */
export const OF_QUERIES = words(`
  select from table values with exists union except intersect into procedure for lock limit where join any some all row
`);

export const OPERATORS = ['<=>', '->>', '<<', '>>', '<>', '!=', '<=', '>=', '->', '&&', '||', ...'=<>+-*/%^&|~!'];
