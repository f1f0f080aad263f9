import { qualified, quoteIdent } from '../identifier.js';
import type { Server } from '../server.js';
import type { Session } from '../session.js';
import type { SourceTable } from '../tables.js';
import type { KeyColumn, Sign } from './key-column.js';
import type { LaneState } from './rows-state.js';

/** Bounds of the key's first columns, or of all of them. */
export type Bound = readonly string[];

/**
 * Rows behind (`>`), or up to (`<=`), a key. The servers find no range for `(a, b) > (1, 2)`, so it is written out; the
 * first column alone tells the index where to begin, or to end.
 */
function beyond(key: readonly KeyColumn[], sign: '>' | '<=', bound: Bound): string {
  const outer: Sign = sign === '>' ? '>' : '<';
  const at = (i: number): string => {
    const [column, text] = [key[i]!, bound[i]!];
    if (i === bound.length - 1) return column.compare(sign, text);
    return `(${column.compare(outer, text)} OR (${column.compare('=', text)} AND ${at(i + 1)}))`;
  };
  if (bound.length === 1) return at(0);
  return `${key[0]!.compare(sign === '>' ? '>=' : '<=', bound[0]!)} AND ${at(0)}`;
}

const where = (conditions: readonly (string | null)[]): string => {
  const all = conditions.filter((one) => one !== null);
  return all.length === 0 ? '' : ` WHERE ${all.join(' AND ')}`;
};

const wanted = (condition: string | null): string | null => (condition === null ? null : `(${condition}\n)`);

export interface Rows {
  /** What is asked for of each row, ready for SQL. */
  readonly list: string;
  readonly condition: string | null;
}

export type Range = Pick<LaneState, 'after' | 'upto'>;

/** The next `limit` rows of a range, in the order of the key's index. */
export const rangeSql = (
  table: SourceTable,
  key: readonly KeyColumn[],
  range: Range,
  rows: Rows,
  limit: number,
): string => `${inOrder(table, key, range, rows)} LIMIT ${limit}`;

/**
 * What bounds the next `count` keys of a range, whatever a condition says of their rows; no row comes where the range has
 * fewer. @param list what bounds a key, ready for SQL
 */
export const boundSql = (
  table: SourceTable,
  key: readonly KeyColumn[],
  range: Range,
  list: string,
  count: number,
): string => `${inOrder(table, key, range, { list, condition: null })} LIMIT 1 OFFSET ${count - 1}`;

function inOrder(
  { schema, table, keyIndex }: SourceTable,
  key: readonly KeyColumn[],
  { after, upto }: Range,
  { list, condition }: Rows,
): string {
  const bounds = [
    after === null ? null : beyond(key, '>', after),
    upto === null ? null : beyond(key, '<=', upto),
    wanted(condition),
  ];
  const index = keyIndex === null ? '' : ` FORCE INDEX (${quoteIdent(keyIndex)})`;
  const order = key.map(({ name }) => quoteIdent(name)).join(', ');
  return `SELECT ${list} FROM ${qualified(schema, table)}${index}${where(bounds)} ORDER BY ${order}`;
}

/** All rows, in the order in which they lie. */
export const wholeSql = ({ schema, table }: SourceTable, { list, condition }: Rows): string =>
  `SELECT ${list} FROM ${qualified(schema, table)}${where([wanted(condition)])}`;

/** Rows for which one lane is enough. */
const ONE_LANE_ROWS = 60_000;
/** So many lanes for each reader: keys lie unevenly, and who is done with one takes the next. */
const LANES_PER_READER = 4;
const LOCK_S = 1;

const lane = (after: Bound | null, upto: Bound | null): LaneState => ({
  ...{ after: after === null ? null : [...after], upto: upto === null ? null : [...upto], chunk: 0 },
});

/** Cuts a table into ranges of its key that are read side by side; only between whole numbers, where two look-ups tell. */
export async function cutLanes(
  session: Session,
  { flavor }: Server,
  { schema, table, estimatedRows }: SourceTable,
  key: readonly KeyColumn[],
  readers: number,
): Promise<LaneState[]> {
  const [first] = key;
  if (readers < 2 || first?.whole !== true || (estimatedRows ?? 0) <= ONE_LANE_ROWS) return [lane(null, null)];
  const column = quoteIdent(first.name);
  const ends = `MIN(${column}) AS low, MAX(${column}) AS high FROM ${qualified(schema, table)}`;
  // Others ask at the same session, and would wait for a lock on this table too.
  const [row] = await session.query(
    flavor === 'mysql'
      ? `SELECT /*+ SET_VAR(lock_wait_timeout = ${LOCK_S}) */ ${ends}`
      : `SET STATEMENT lock_wait_timeout = ${LOCK_S} FOR SELECT ${ends}`,
  );
  const [low, high] = [row?.['low'], row?.['high']];
  if (low === null || low === undefined || high === null || high === undefined) return [lane(null, null)];
  const cuts = cutBetween(BigInt(low), BigInt(high), readers * LANES_PER_READER).map((cut) => [String(cut)]);
  return [...cuts, null].map((upto, i) => lane(cuts[i - 1] ?? null, upto));
}

/** The last number of each of `count` equal ranges but the last; fewer where there are not enough numbers. */
export function cutBetween(low: bigint, high: bigint, count: number): bigint[] {
  const cuts: bigint[] = [];
  for (let i = 1; i < count; i++) {
    const cut = low + ((high - low) * BigInt(i)) / BigInt(count);
    if (cut < high && cut !== cuts.at(-1)) cuts.push(cut);
  }
  return cuts;
}
