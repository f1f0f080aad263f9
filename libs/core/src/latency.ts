/** Buckets of a latency histogram: from 0.1 ms up, each 10 % wider than the last, so a percentile is within 5 %. */
const BASE_MS = 0.1;
const GROWTH = Math.log(1.1);
/** The last bucket takes everything above about 2 hours. */
export const LATENCY_BUCKETS = 192;

export function latencyBucket(ms: number): number {
  if (!(ms > BASE_MS)) return 0;
  return Math.min(LATENCY_BUCKETS - 1, 1 + Math.floor(Math.log(ms / BASE_MS) / GROWTH));
}

/** The middle of a bucket, in milliseconds. */
export function bucketMs(bucket: number): number {
  return bucket === 0 ? BASE_MS / 2 : BASE_MS * Math.exp(GROWTH * (bucket - 0.5));
}

/**
 * @param counts bucket → count
 * @param quantile 0 to 1
 * @returns milliseconds, or `null` when nothing was counted
 */
export function percentile(counts: ReadonlyMap<number, number>, quantile: number): number | null {
  let total = 0;
  for (const count of counts.values()) total += count;
  if (total === 0) return null;
  let left = Math.max(1, Math.ceil(total * quantile));
  for (const bucket of [...counts.keys()].sort((a, b) => a - b)) {
    left -= counts.get(bucket) ?? 0;
    if (left <= 0) return bucketMs(bucket);
  }
  return null;
}
