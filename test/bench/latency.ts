/** (b) 2,000 single-row commits a second: from commit to readable in the log. */
import type { Client } from 'pg';
import { eventually } from '@planasonix/testing';
import { logKey } from '../log.js';
import { quantile, round, sorted } from './measure.js';
import { TABLE, type Scene } from './scene.js';

const PER_SECOND = 2000;
const SECONDS = 15;
/** Not counted: the first seconds, while the code of the worker is being compiled. */
const WARM_UP_SECONDS = 3;
const WRITERS = 8;

/** Commits at a steady rate on several sessions, until `total` rows are in. */
async function write(sessions: readonly Client[], total: number): Promise<void> {
  let next = 1;
  const began = performance.now();
  await Promise.all(
    sessions.map(async (session) => {
      for (;;) {
        const id = next++;
        if (id > total) return;
        const early = began + (id / PER_SECOND) * 1000 - performance.now();
        if (early > 1) await new Promise((resolve) => setTimeout(resolve, early));
        await session.query({
          name: 'row',
          text: `INSERT INTO latency VALUES ($1, 1, 'someone@example.com', repeat('x', 100), 1.25, now(), '{"sku":"abc","qty":3}')`,
          values: [id],
        });
      }
    }),
  );
}

export async function latency(scene: Scene): Promise<object> {
  const { source, postgres, redis, stack } = scene;
  const total = PER_SECOND * SECONDS;
  await source.query(`CREATE TABLE latency ${TABLE}`);
  const id = await scene.stream('latency', { tables: ['public.latency'], snapshot: 'never' });
  const reader = redis.client();
  const seen: number[] = [];
  let done = false;
  const reading = (async () => {
    for (let after = '0-0'; !done && seen.length < total;) {
      const answer = await reader.xread('COUNT', 1000, 'BLOCK', 500, 'STREAMS', logKey(id), after);
      const now = performance.timeOrigin + performance.now();
      for (const [entry, fields] of answer?.[0]?.[1] ?? []) {
        after = entry;
        // The commit's own time, to the microsecond.
        const at = fields[fields.indexOf('time') + 1]!;
        seen.push(now - (Date.parse(at.slice(0, 19) + 'Z') + Number(`0${at.slice(19, -1) || '.0'}`) * 1000));
      }
    }
  })();
  const sessions = await Promise.all(Array.from({ length: WRITERS }, () => postgres.connect('bench')));
  const began = performance.now();
  await write(sessions, total);
  const wrote = (performance.now() - began) / 1000;
  await eventually('the reader has seen every row', () => seen.length >= total, { timeoutMs: 30_000 });
  done = true;
  await reading;
  await Promise.all(sessions.map((session) => session.end()));
  const told = (await stack.api('GET', `/api/streams/${id}/metrics?window=1m`)).a;
  await stack.api('DELETE', `/api/streams/${id}?purge=true`);
  await source.query('DROP TABLE latency');
  const counted = sorted(seen.slice(PER_SECOND * WARM_UP_SECONDS));
  return {
    part: 'latency',
    commits_per_s: round(total / wrote, 0),
    p50_ms: round(quantile(counted, 0.5), 2),
    p95_ms: round(quantile(counted, 0.95), 2),
    p99_ms: round(quantile(counted, 0.99), 2),
    max_ms: round(counted.at(-1) ?? Number.NaN, 2),
    aim: 'p99 under 25 ms',
    api_says: told?.latency_ms,
  };
}
