import type { Client } from 'pg';
import { inBriefLine } from '../brief-lock.js';
import type { SourceTable } from '../tables.js';
import { sampleSql } from './chunk-sql.js';
import type { LaneState } from './rows-state.js';

/** Rows for which one lane is enough. */
const ONE_LANE_ROWS = 60_000;
const ONE_LANE_BYTES = 24 * 1024 * 1024;
/** Keys that a sample should have for each lane. */
const KEYS_PER_LANE = 200;
const BLOCK = 8192;

const whole = (): LaneState => ({ after: null, upto: null, chunk: 0 });

/**
 * Cuts a table into ranges of its key that are read side by side. Where to cut comes from a sample of its blocks, so
 * the cost does not grow with the table; a bad sample makes uneven lanes and nothing worse.
 *
 * @returns `locked`: somebody keeps the table, or an index of it
 */
export async function cutLanes(client: Client, table: SourceTable, count: number): Promise<LaneState[] | 'locked'> {
  const small = (table.estimatedRows ?? Infinity) <= ONE_LANE_ROWS || table.bytes <= ONE_LANE_BYTES;
  if (count < 2 || small) return [whole()];
  const blocks = Math.max(1, table.bytes / BLOCK);
  const percent = Math.min(100, Math.max((100 * KEYS_PER_LANE * count) / (blocks * 10), 0.0001));
  const sql = sampleSql(table, Number(percent.toFixed(4)));
  const sample = await inBriefLine(client, () => client.query<{ key: string }>(sql));
  if (sample === 'locked') return sample;
  const keys = sample.rows.map((row) => JSON.parse(row.key) as string[]);
  const bounds = cutAt(keys, count);
  return [...bounds, null].map((upto, i) => ({ after: bounds[i - 1] ?? null, upto, chunk: 0 }));
}

/** The keys that part `count` equal shares of sorted `keys`; fewer where there are not enough different ones. */
export function cutAt(keys: readonly string[][], count: number): string[][] {
  const bounds: string[][] = [];
  for (let i = 1; i < count; i++) {
    const key = keys[Math.floor((keys.length * i) / count)];
    if (key === undefined || (bounds.length > 0 && String(bounds.at(-1)) === String(key))) continue;
    bounds.push(key);
  }
  return bounds;
}
