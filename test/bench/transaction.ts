/** (c) One transaction of 1,000,000 rows: what the worker needs in memory at the most. */
import { eventually } from '@planasonix/testing';
import { logKey } from '../log.js';
import { peakMiB, round } from './measure.js';
import { rows, TABLE, type Scene } from './scene.js';

const ROWS = 1_000_000;

export async function transaction(scene: Scene): Promise<object> {
  const { source, redis, stack } = scene;
  await source.query(`CREATE TABLE big ${TABLE}`);
  const id = await scene.stream('big', { tables: ['public.big'], snapshot: 'never' });
  await source.query(rows('big', '1', String(ROWS)));
  const began = performance.now();
  const client = redis.client();
  await eventually('the transaction is in the log', async () => (await client.xlen(logKey(id))) >= ROWS, {
    timeoutMs: 300_000,
    everyMs: 50,
  });
  const seconds = (performance.now() - began) / 1000;
  const peak = Math.max(...stack.pids('postgres-cdc').map(peakMiB));
  await stack.api('DELETE', `/api/streams/${id}?purge=true`);
  await source.query('DROP TABLE big');
  return {
    part: 'transaction',
    rows: ROWS,
    rows_per_s: round(ROWS / seconds, 0),
    worker_peak_mib: round(peak),
    aim: 'at most 300 MiB',
  };
}
