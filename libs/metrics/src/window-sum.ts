import { percentile } from '@planasonix/core';

/** What one bucket holds: `e` events, `b` bytes, `f` failures, `l<n>` latency counts. */
export type Bucket = Readonly<Record<string, string>>;

export interface WindowSum {
  readonly events: number;
  readonly bytes: number;
  readonly failures: number;
  readonly latency: { readonly p50: number | null; readonly p95: number | null; readonly p99: number | null };
}

/**
 * Sums the buckets of a window. The oldest bucket reaches beyond the window's beginning: it counts by the part that
 * lies inside.
 * @param buckets oldest first, the last one being the bucket of now.
 * @param now seconds since the Unix epoch, with fraction.
 */
export function sumWindow(buckets: readonly Bucket[], now: number, seconds: number, width: number): WindowSum {
  let [events, bytes, failures] = [0, 0, 0];
  const latency = new Map<number, number>();
  const newest = Math.floor(now / width);
  buckets.forEach((bucket, i) => {
    const begins = (newest - (buckets.length - 1 - i)) * width;
    const share = Math.min(1, Math.max(0, (begins + width - (now - seconds)) / width));
    events += Number(bucket['e'] ?? 0) * share;
    bytes += Number(bucket['b'] ?? 0) * share;
    failures += Number(bucket['f'] ?? 0) * share;
    for (const [name, count] of Object.entries(bucket))
      if (name.startsWith('l'))
        latency.set(Number(name.slice(1)), (latency.get(Number(name.slice(1))) ?? 0) + Number(count) * share);
  });
  const at = (quantile: number) => round(percentile(latency, quantile), 2);
  return { events, bytes, failures, latency: { p50: at(0.5), p95: at(0.95), p99: at(0.99) } };
}

const round = (value: number | null, digits: number): number | null =>
  value === null ? null : Number(value.toFixed(digits));
