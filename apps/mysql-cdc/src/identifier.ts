/** Characters of a name that the server keeps. */
const NAME_LENGTH = 64;

const sendable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

/** A name as SQL reads it back, whatever it holds. @throws on an empty one or NUL. */
export function quoteIdent(name: string): string {
  if (name === '' || !sendable(name)) throw new RangeError('a name is not empty and holds no NUL');
  return `\`${name.replaceAll('`', '``')}\``;
}

/** A text as SQL reads it back, whether or not backslashes escape there. @throws on NUL. */
export function quoteLiteral(text: string): string {
  if (!sendable(text)) throw new RangeError('a text holds no NUL');
  return `CONVERT(X'${Buffer.from(text).toString('hex')}' USING utf8mb4)`;
}

export const qualified = (schema: string, table: string): string => `${quoteIdent(schema)}.${quoteIdent(table)}`;

/** `schema.table` or, with `table` null, `schema.*`. */
export interface TablePattern {
  readonly schema: string;
  readonly table: string | null;
}

/** A part of a pattern, in the grammar of regular expressions with the `u` flag: plain, or in backticks as in SQL. */
const PART = '(?:(?:[A-Za-z0-9_$]|[^\\u0000-\\u007f]){1,64}|`(?:[^`\\u0000]|``){1,64}`)';

/** An exact name, and a name or `schema.*`: what the config's schema holds inputs against. */
export const TABLE_NAME = new RegExp(`^${PART}\\.${PART}$`, 'u');
export const TABLE_PATTERN = new RegExp(`^${PART}\\.(?:${PART}|\\*)$`, 'u');
const PARTS = new RegExp(`^(${PART})\\.(${PART}|\\*)$`, 'u');

/** What a name means in SQL. */
export const unquote = (part: string): string =>
  part.startsWith('`') ? part.slice(1, -1).replaceAll('``', '`') : part;

/** Reads `shop.orders`, `` `odd name`.t ``, `shop.*`. `null` where the text is none of these or a name is too long. */
export function parsePattern(text: string): TablePattern | null {
  const [, first, second] = PARTS.exec(text) ?? [];
  if (first === undefined || second === undefined || !sendable(text)) return null;
  const schema = unquote(first);
  const table = second === '*' ? null : unquote(second);
  return [schema, table ?? ''].every((name) => [...name].length <= NAME_LENGTH) ? { schema, table } : null;
}
