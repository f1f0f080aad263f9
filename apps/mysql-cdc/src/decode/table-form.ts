import { StreamError } from '@planasonix/core';
import type { Flavor } from '../server.js';
import { BINARY } from './charsets.js';
import { Packed } from './packed.js';

/** Types by the numbers that the log uses. */
export const TYPE = {
  TINY: 1,
  SHORT: 2,
  LONG: 3,
  FLOAT: 4,
  DOUBLE: 5,
  LONGLONG: 8,
  INT24: 9,
  DATE: 10,
  YEAR: 13,
  VARCHAR: 15,
  BIT: 16,
  TIMESTAMP2: 17,
  DATETIME2: 18,
  TIME2: 19,
  VECTOR: 242,
  JSON: 245,
  NEWDECIMAL: 246,
  ENUM: 247,
  SET: 248,
  BLOB: 252,
  VAR_STRING: 253,
  STRING: 254,
  GEOMETRY: 255,
} as const;

/** Bytes of metadata by type; a type that is not here is not known. */
const META: Readonly<Record<number, number>> = {
  [TYPE.TINY]: 0,
  [TYPE.SHORT]: 0,
  [TYPE.LONG]: 0,
  [TYPE.FLOAT]: 1,
  [TYPE.DOUBLE]: 1,
  [TYPE.LONGLONG]: 0,
  [TYPE.INT24]: 0,
  [TYPE.DATE]: 0,
  [TYPE.YEAR]: 0,
  [TYPE.VARCHAR]: 2,
  [TYPE.BIT]: 2,
  [TYPE.TIMESTAMP2]: 1,
  [TYPE.DATETIME2]: 1,
  [TYPE.TIME2]: 1,
  [TYPE.VECTOR]: 1,
  [TYPE.JSON]: 1,
  [TYPE.NEWDECIMAL]: 2,
  [TYPE.BLOB]: 1,
  [TYPE.VAR_STRING]: 2,
  [TYPE.STRING]: 2,
  [TYPE.GEOMETRY]: 1,
};

/** A column as a Table_map event tells it: as it was when its rows were written (trap 20). */
export interface FormColumn {
  readonly name: string;
  /** ENUM and SET by their own numbers, which the log hides in those of STRING. */
  readonly type: number;
  /** First and second byte of what the type needs to be read. */
  readonly meta: readonly [number, number];
  /** Bytes that a STRING takes at the most, or that an ENUM or SET takes. */
  readonly size: number;
  readonly unsigned: boolean;
  /** By number; of what is no text: 63. */
  readonly collation: number;
  /** Of ENUM and SET, in the charset of the column. */
  readonly labels: readonly Buffer[];
}

export interface TableForm {
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly FormColumn[];
  /** Indexes of the key's columns, in the key's order. */
  readonly key: readonly number[];
}

type Draft = { -readonly [Key in keyof FormColumn]: FormColumn[Key] };

/** Database and table of a Table_map event, without the rest. @param body from its flags on */
export function tableNames(body: Packed): { readonly schema: string; readonly table: string } {
  body.skip(2);
  const schema = body.slice(body.uint(1)).toString();
  body.skip(1);
  const table = body.slice(body.uint(1)).toString();
  body.skip(1);
  return { schema, table };
}

const unsupported = (name: string, what: string): StreamError =>
  new StreamError('event_unsupported', `${name} ${what}.`, { hint: 'Leave the table out with exclude_tables.' });

/**
 * @param body from the flags of a Table_map event on
 * @throws StreamError `event_unsupported`, `row_image_unsupported` where the server wrote no names
 */
export function parseTableForm(body: Packed, flavor: Flavor): TableForm {
  const { schema, table } = tableNames(body);
  const name = `${schema}.${table}`;
  const count = body.length();
  const types = body.slice(count);
  const meta = new Packed(body.slice(body.length()));
  const columns = [...types].map((type): Draft => {
    const width = META[type];
    if (width === undefined) throw unsupported(name, `has a column of type ${type}, which is not supported`);
    return drafted(type, width === 0 ? [0, 0] : [meta.uint(1), width === 2 ? meta.uint(1) : 0]);
  });
  body.skip((count + 7) >> 3);
  const key = readOptional(body, columns, flavor, name);
  if (columns.some((column) => column.name === ''))
    throw new StreamError('row_image_unsupported', `The log has no names of the columns of ${name}.`);
  return { schema, table, columns, key };
}

function drafted(type: number, meta: readonly [number, number]): Draft {
  const draft = { name: '', type, meta, size: 0, unsigned: false, collation: BINARY, labels: [] };
  if (type !== TYPE.STRING) return draft;
  const [first, second] = meta;
  // Lengths beyond 255 have their upper bits in the type's byte, upside down.
  if ((first & 0x30) !== 0x30) return { ...draft, size: second | (((first & 0x30) ^ 0x30) << 4) };
  return { ...draft, type: first, size: second };
}

const NUMERIC: ReadonlySet<number> = new Set([
  ...[TYPE.TINY, TYPE.SHORT, TYPE.INT24, TYPE.LONG, TYPE.LONGLONG, TYPE.YEAR, TYPE.FLOAT, TYPE.DOUBLE, TYPE.NEWDECIMAL],
]);
const TEXT: ReadonlySet<number> = new Set([TYPE.STRING, TYPE.VAR_STRING, TYPE.VARCHAR, TYPE.BLOB]);

/** Columns that the lists of collations count: MariaDB counts geometry among those with a charset, and MySQL vectors. */
const isText = ({ type }: FormColumn, flavor: Flavor): boolean =>
  TEXT.has(type) || type === (flavor === 'mariadb' ? TYPE.GEOMETRY : TYPE.VECTOR);
const isLabelled = ({ type }: FormColumn): boolean => type === TYPE.ENUM || type === TYPE.SET;

/** What `binlog_row_metadata = FULL` adds. @param name of the table, for who reads an error @returns the key */
function readOptional(body: Packed, columns: readonly Draft[], flavor: Flavor, name: string): readonly number[] {
  const texts = columns.filter((column) => isText(column, flavor));
  const labelled = columns.filter(isLabelled);
  let key: readonly number[] = [];
  while (body.more) {
    const field = body.uint(1);
    const length = body.length();
    const value = new Packed(body.bytes, body.skip(length), body.at);
    switch (field) {
      case 1:
        signs(
          value,
          columns.filter(({ type }) => NUMERIC.has(type)),
        );
        break;
      case 2:
        defaultCollation(value, texts, name);
        break;
      case 3:
        collations(value, texts, name);
        break;
      case 4:
        for (const column of columns) column.name = value.slice(value.length()).toString();
        break;
      case 5:
        labels(
          value,
          labelled.filter(({ type }) => type === TYPE.SET),
        );
        break;
      case 6:
        labels(
          value,
          labelled.filter(({ type }) => type === TYPE.ENUM),
        );
        break;
      case 8:
        key = all(value, () => value.length());
        break;
      case 9:
        // Each with how much of it the key takes.
        key = all(value, () => [value.length(), value.length()][0]!);
        break;
      case 10:
        defaultCollation(value, labelled, name);
        break;
      case 11:
        collations(value, labelled, name);
        break;
      // Kinds of geometry (7), visibility (12), dimensions of vectors (13): nothing that a value's text depends on.
      default:
        break;
    }
  }
  return key;
}

function all<T>(value: Packed, read: () => T): T[] {
  const found: T[] = [];
  while (value.more) found.push(read());
  return found;
}

/** A bit a column, the highest of a byte first. */
function signs(value: Packed, columns: readonly Draft[]): void {
  for (const [i, column] of columns.entries())
    column.unsigned = ((value.bytes[value.at + (i >> 3)]! >> (7 - (i & 7))) & 1) === 1;
}

const uncounted = (name: string): StreamError =>
  unsupported(name, 'has columns that the server counts otherwise in its list of collations');

/** One for each. @throws StreamError where the server counts other columns: each would get that of another */
function collations(value: Packed, columns: readonly Draft[], name: string): void {
  const found = all(value, () => value.length());
  if (found.length !== columns.length) throw uncounted(name);
  for (const [i, column] of columns.entries()) column.collation = found[i]!;
}

/** One for all, then those that differ, by index. @throws StreamError for an index that there is none of */
function defaultCollation(value: Packed, columns: readonly Draft[], name: string): void {
  const common = value.length();
  for (const column of columns) column.collation = common;
  while (value.more) {
    const column = columns[value.length()];
    if (column === undefined) throw uncounted(name);
    column.collation = value.length();
  }
}

function labels(value: Packed, columns: readonly Draft[]): void {
  for (const column of columns) {
    const count = value.length();
    column.labels = Array.from({ length: count }, () => value.slice(value.length()));
  }
}
