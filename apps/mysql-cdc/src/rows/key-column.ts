import { StreamError } from '@planasonix/core';
import { quoteIdent } from '../identifier.js';
import type { SourceColumn, SourceTable } from '../tables.js';

export type Sign = '<' | '<=' | '=' | '>=' | '>';

/**
 * A column of a key as the server orders and compares it, which no one else does: a bound is a text that the server gave
 * for a value, and becomes a literal that is exactly that value, in the column's own character set and collation.
 */
export interface KeyColumn {
  readonly name: string;
  /** What to ask for besides the column; `null`: what is shown of the column is the bound. */
  readonly bound: string | null;
  /** Bounds of a column of another form mean something else. */
  readonly form: string;
  /** Whole numbers: ranges can be cut between two of them. */
  readonly whole: boolean;
  /** SQL. @throws StreamError `config_invalid` where the text is none that the server could have given */
  compare(sign: Sign, text: string): string;
}

type Literal = (text: string) => string;

const of =
  (form: RegExp, literal: Literal): Literal =>
  (text) => {
    if (form.test(text)) return literal(text);
    throw new StreamError('config_invalid', 'The stored position holds a key that is none.');
  };

const number = of(/^-?\d+(?:\.\d+)?$/, (text) => text);
// Without an exponent it would be a decimal.
const double = of(/^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i, (text) => (/e/i.test(text) ? text : `${text}e0`));
const text = of(/^[0-9A-Fa-f:. -]+$/, (plain) => `'${plain}'`);
const bytes = of(/^(?:[0-9A-F]{2})*$/i, (hex) => `X'${hex}'`);

const WHOLE = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint']);
const TEXTS = new Set(['date', 'time', 'datetime', 'timestamp', 'uuid', 'inet4', 'inet6']);
const CHARS = /^(?:char|varchar|(?:tiny|medium|long)?text)$/;
const BYTES = /^(?:binary|varbinary|(?:tiny|medium|long)?blob)$/;
/** What orders them is their number, and not what is shown of them. */
const NUMBERED = new Set(['enum', 'bit']);
const NAME = /^\w+$/;

/** @returns `null` for a type whose order can't be asked for. */
function keyColumn({ name, type, declared, charset, collation }: SourceColumn): KeyColumn | null {
  const sql = quoteIdent(name);
  const plain = (literal: Literal, bound: string | null = null): KeyColumn => ({
    ...{ name, bound, form: JSON.stringify([name, declared, collation]), whole: WHOLE.has(type) },
    compare: (sign, value) => `${sql} ${sign} ${literal(value)}`,
  });
  if (WHOLE.has(type) || type === 'decimal') return plain(number);
  if (type === 'float' || type === 'double') return plain(double);
  if (TEXTS.has(type)) return plain(text);
  const unsigned = `CAST(${sql} AS UNSIGNED)`;
  // The server takes the 64th member for a sign where it compares a SET itself.
  if (type === 'set')
    return { ...plain(number, unsigned), compare: (sign, value) => `${unsigned} ${sign} ${number(value)}` };
  if (NUMBERED.has(type)) return plain(number, unsigned);
  if (BYTES.test(type)) return plain(bytes, `HEX(${sql})`);
  if (CHARS.test(type) && charset !== null && collation !== null && NAME.test(charset) && NAME.test(collation))
    return plain((hex) => `_${charset} ${bytes(hex)} COLLATE ${collation}`, `HEX(${sql})`);
  if (type !== 'year') return null;
  // A number of less than four digits means a year of our time: 0 would be 2000.
  const year = plain(number);
  return {
    ...year,
    compare: (sign, value) =>
      Number(value) === 0 ? `${unsigned} ${sign} ${number(value)}` : year.compare(sign, value),
  };
}

/** The key that a table's rows can be read by; empty where there is none, or a part of it is not shown. */
export function readingKey(
  { key, columns }: Pick<SourceTable, 'key' | 'columns'>,
  excluded: ReadonlySet<string>,
): readonly KeyColumn[] {
  const parts = key.map((name) => {
    const column = columns.find((one) => one.name === name);
    return column === undefined || excluded.has(name.toLowerCase()) ? null : keyColumn(column);
  });
  return parts.every((part) => part !== null) ? parts : [];
}
