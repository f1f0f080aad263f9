import { qualified, quoteIdent, quoteLiteral } from '../identifier.js';
import type { SourceTable } from '../tables.js';

/** The key as SQL: its columns, in the collation of the index that they are read by. */
function keyOf(table: SourceTable): { readonly left: string; readonly order: string } {
  const columns = table.key.map((name, i) => {
    const collation = table.keyCollations[i] ?? null;
    return quoteIdent(name) + (collation === null ? '' : ` COLLATE ${collation}`);
  });
  return { left: columns.length === 1 ? columns[0]! : `(${columns.join(', ')})`, order: columns.join(', ') };
}

const right = (texts: readonly string[]): string =>
  texts.length === 1 ? quoteLiteral(texts[0]!) : `(${texts.map(quoteLiteral).join(', ')})`;

const from = (table: SourceTable): string =>
  `${table.partitioned ? '' : 'ONLY '}${qualified(table.schema, table.table)}`;

const columns = (table: SourceTable): string => table.columns.map((column) => quoteIdent(column.name)).join(', ');

const where = (conditions: readonly (string | null)[]): string => {
  const all = conditions.filter((one) => one !== null);
  return all.length === 0 ? '' : ` WHERE ${all.join(' AND ')}`;
};

const wanted = (condition: string | null): string | null => (condition === null ? null : `(${condition}\n)`);

export interface KeyRange {
  readonly after: readonly string[] | null;
  readonly upto: readonly string[] | null;
}

/** The next `limit` rows of a range, in the order of the key: no OFFSET, no state at the server between two of them. */
export function rangeSql(table: SourceTable, range: KeyRange, condition: string | null, limit: number): string {
  const { left, order } = keyOf(table);
  const bounds = [
    range.after === null ? null : `${left} > ${right(range.after)}`,
    range.upto === null ? null : `${left} <= ${right(range.upto)}`,
  ];
  return `COPY (SELECT ${columns(table)} FROM ${from(table)}${where([...bounds, wanted(condition)])} ORDER BY ${order} LIMIT ${limit}) TO STDOUT`;
}

/** The rows of these keys. */
export function keysSql(table: SourceTable, keys: readonly (readonly string[])[], condition: string | null): string {
  const { left } = keyOf(table);
  const list = `${left} IN (${keys.map(right).join(', ')})`;
  return `COPY (SELECT ${columns(table)} FROM ${from(table)}${where([list, wanted(condition)])}) TO STDOUT`;
}

/** All rows, in the order in which they lie. */
export const wholeSql = (table: SourceTable, condition: string | null): string =>
  `COPY (SELECT ${columns(table)} FROM ${from(table)}${where([wanted(condition)])}) TO STDOUT`;

/** Keys of a sample of about `percent` of the table's blocks, in their order, as texts. */
export function sampleSql(table: SourceTable, percent: number): string {
  const { order } = keyOf(table);
  const texts = table.key.map((name) => `${quoteIdent(name)}::text`).join(', ');
  return `SELECT array_to_json(ARRAY[${texts}])::text AS key FROM ${from(table)} TABLESAMPLE SYSTEM (${percent}) ORDER BY ${order}`;
}
