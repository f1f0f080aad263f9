/** Bytes of a name that Postgres keeps; it cuts off what is longer, so longer ones can't be anybody's name. */
const NAME_BYTES = 63;

const sendable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

/** A name as SQL and the replication protocol read it back, whatever it holds (trap 16). @throws on an empty one or NUL. */
export function quoteIdent(name: string): string {
  if (name === '' || !sendable(name)) throw new RangeError('a name in Postgres is not empty and holds no NUL');
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as SQL reads it back; without backslashes, the replication protocol too, which knows no escapes. @throws on NUL. */
export function quoteLiteral(text: string): string {
  if (!sendable(text)) throw new RangeError('a text in Postgres holds no NUL');
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

export const qualified = (schema: string, table: string): string => `${quoteIdent(schema)}.${quoteIdent(table)}`;

/** `schema.table` or, with `table` null, `schema.*`. */
export interface TablePattern {
  readonly schema: string;
  readonly table: string | null;
}

/** A part of a pattern, in the grammar of regular expressions with the `u` flag: plain as in SQL, or in quotes. */
const PART =
  '(?:(?:[A-Za-z_]|[^\\u0000-\\u007f])(?:[A-Za-z0-9_$]|[^\\u0000-\\u007f]){0,62}|"(?:[^"\\u0000]|""){1,63}")';

/** An exact name, and a name or `schema.*`: what the config's schema holds inputs against. */
export const TABLE_NAME = new RegExp(`^${PART}\\.${PART}$`, 'u');
export const TABLE_PATTERN = new RegExp(`^${PART}\\.(?:${PART}|\\*)$`, 'u');
const PARTS = new RegExp(`^(${PART})\\.(${PART}|\\*)$`, 'u');

/** What a name means in SQL: in quotes as it stands, else in lower case (of ASCII alone, as the server folds it). */
export function unquote(part: string): string {
  if (part.startsWith('"')) return part.slice(1, -1).replaceAll('""', '"');
  return part.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Reads `public.orders`, `"Odd Name".t`, `shop.*`. `null` where the text is none of these or a name is too long. */
export function parsePattern(text: string): TablePattern | null {
  const [, first, second] = PARTS.exec(text) ?? [];
  if (first === undefined || second === undefined || !sendable(text)) return null;
  const schema = unquote(first);
  const table = second === '*' ? null : unquote(second);
  const fits = [schema, table ?? ''].every((name) => Buffer.byteLength(name) <= NAME_BYTES);
  return fits ? { schema, table } : null;
}
