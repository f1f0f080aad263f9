import { qualified, quoteIdent, quoteLiteral } from '../identifier.js';
import type { KeyOperators, SourceTable } from '../tables.js';

interface KeyColumn {
  /** With the collation of the index that it is read by. */
  readonly sql: string;
  /** The same, to be compared with `value`. Rows are in the order of `sql`: by another type than the index has they would be sorted. */
  readonly compared: string;
  /** A value of it from its text. */
  readonly value: (text: string) => string;
  readonly operators: KeyOperators | null;
}

/** @param of goes before each name. */
const keyColumns = (table: SourceTable, of = ''): readonly KeyColumn[] =>
  table.key.map((name, i) => {
    const collation = table.keyCollations[i] ?? null;
    const as = (sql: string): string => sql + (table.keyCasts[i] ? `::${table.keyCasts[i]}` : '');
    const collated = (sql: string): string => sql + (collation === null ? '' : ` COLLATE ${collation}`);
    const column = of + quoteIdent(name);
    return {
      sql: collated(column),
      compared: collated(as(column)),
      value: (text) => as(quoteLiteral(text)),
      operators: table.keyOperators[i] ?? null,
    };
  });

const order = (key: readonly KeyColumn[]): string =>
  key.map(({ sql, operators }) => (operators === null ? sql : `${sql} USING ${operators.less}`)).join(', ');

const isPlain = (key: readonly KeyColumn[]): boolean => key.every(({ operators }) => operators === null);
const row = (values: readonly string[]): string => (values.length === 1 ? values[0]! : `(${values.join(', ')})`);
const left = (key: readonly KeyColumn[]): string => row(key.map(({ compared }) => compared));
const right = (key: readonly KeyColumn[], texts: readonly string[]): string =>
  row(key.map(({ value }, i) => value(texts[i]!)));

const SIGNS: KeyOperators = { less: '<', atMost: '<=', equal: '=', atLeast: '>=', greater: '>' };
const compare = ({ compared, value, operators }: KeyColumn, how: keyof KeyOperators, text: string): string =>
  `${compared} ${(operators ?? SIGNS)[how]} ${value(text)}`;

/** Rows behind (`greater`), or up to, a key. Where columns have operators of their own, rows can't be compared as such. */
function beyond(key: readonly KeyColumn[], how: 'greater' | 'atMost', texts: readonly string[]): string {
  if (isPlain(key)) return `${left(key)} ${SIGNS[how]} ${right(key, texts)}`;
  const outer = how === 'greater' ? 'greater' : 'less';
  const at = (i: number): string => {
    const [column, text] = [key[i]!, texts[i]!];
    if (i === key.length - 1) return compare(column, how, text);
    return `(${compare(column, outer, text)} OR (${compare(column, 'equal', text)} AND ${at(i + 1)}))`;
  };
  // The first column alone tells the index where to begin, or to end.
  const bound = compare(key[0]!, how === 'greater' ? 'atLeast' : 'atMost', texts[0]!);
  return key.length === 1 ? at(0) : `${bound} AND ${at(0)}`;
}

function among(key: readonly KeyColumn[], keys: readonly (readonly string[])[]): string {
  if (isPlain(key)) return `${left(key)} IN (${keys.map((texts) => right(key, texts)).join(', ')})`;
  const one = (texts: readonly string[]): string =>
    `(${key.map((column, i) => compare(column, 'equal', texts[i]!)).join(' AND ')})`;
  return `(${keys.map(one).join(' OR ')})`;
}

const from = (table: SourceTable): string =>
  `${table.partitioned ? '' : 'ONLY '}${qualified(table.schema, table.table)}`;

const columns = (table: SourceTable): string => table.columns.map((column) => quoteIdent(column.name)).join(', ');

const where = (conditions: readonly (string | null)[]): string => {
  const all = conditions.filter((one) => one !== null);
  return all.length === 0 ? '' : ` WHERE ${all.join(' AND ')}`;
};

/** Of rows that the publication holds back the condition sees nothing: it could tell of them, and be it by failing. */
function wanted({ filter }: SourceTable, condition: string | null): string | null {
  const own = condition === null ? null : `(${condition}\n)`;
  if (filter === null) return own;
  return own === null ? `(${filter}\n)` : `CASE WHEN (${filter}\n) THEN ${own} END`;
}

export interface KeyRange {
  readonly after: readonly string[] | null;
  readonly upto: readonly string[] | null;
}

/** The next `limit` rows of a range, in the order of the key: no OFFSET, no state at the server between two of them. */
export function rangeSql(table: SourceTable, range: KeyRange, condition: string | null, limit: number): string {
  const key = keyColumns(table);
  const bounds = [
    range.after === null ? null : beyond(key, 'greater', range.after),
    range.upto === null ? null : beyond(key, 'atMost', range.upto),
  ];
  return `COPY (SELECT ${columns(table)} FROM ${from(table)}${where([...bounds, wanted(table, condition)])} ORDER BY ${order(key)} LIMIT ${limit}) TO STDOUT`;
}

/** The rows of these keys. */
export function keysSql(table: SourceTable, keys: readonly (readonly string[])[], condition: string | null): string {
  return `COPY (SELECT ${columns(table)} FROM ${from(table)}${where([among(keyColumns(table), keys), wanted(table, condition)])}) TO STDOUT`;
}

/** All rows, in the order in which they lie. */
export const wholeSql = (table: SourceTable, condition: string | null): string =>
  `COPY (SELECT ${columns(table)} FROM ${from(table)}${where([wanted(table, condition)])}) TO STDOUT`;

/** Keys of a sample of about `percent` of the table's blocks, in their order, as texts: positions name some of them. */
export function sampleSql(table: SourceTable, percent: number): string {
  const texts = table.key.map((name) => `t.${quoteIdent(name)}::text`).join(', ');
  // By the table's name: a bare one could be the result's.
  return `SELECT array_to_json(ARRAY[${texts}])::text AS key FROM ${from(table)} AS t TABLESAMPLE SYSTEM (${percent})${where([wanted(table, null)])} ORDER BY ${order(keyColumns(table, 't.'))}`;
}
