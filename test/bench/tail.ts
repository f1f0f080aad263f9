/** Reading a log as a consumer does, for the time at which each entry could be read. */
import type { Redis } from 'ioredis';
import { eventually } from '@planasonix/testing';
import { quantile, round, sorted } from './measure.js';

/** Milliseconds since 1970, with fractions. */
export const nowMs = (): number => performance.timeOrigin + performance.now();

type Fields = (name: string) => string;

/** Follows a log until `total` entries were seen. `delayOf`: what an entry that is read at `now` came to, ms. */
export async function follow(
  reader: Redis,
  key: string,
  total: number,
  delayOf: (fields: Fields, now: number) => number,
): Promise<readonly number[]> {
  const seen: number[] = [];
  let over = false;
  const reading = (async () => {
    for (let after = '0-0'; !over && seen.length < total;) {
      const answer = await reader.xread('COUNT', 1000, 'BLOCK', 500, 'STREAMS', key, after);
      const now = nowMs();
      for (const [entry, fields] of answer?.[0]?.[1] ?? []) {
        after = entry;
        seen.push(delayOf((name) => fields[fields.indexOf(name) + 1]!, now));
      }
    }
  })();
  try {
    await eventually('the reader has seen every row', () => seen.length >= total, { timeoutMs: 120_000 });
  } finally {
    over = true;
    await reading;
  }
  return seen;
}

export function percentiles(delays: readonly number[]): Readonly<Record<string, number>> {
  const counted = sorted(delays);
  return {
    p50_ms: round(quantile(counted, 0.5), 2),
    p95_ms: round(quantile(counted, 0.95), 2),
    p99_ms: round(quantile(counted, 0.99), 2),
    max_ms: round(counted.at(-1) ?? Number.NaN, 2),
  };
}
