/** Keys of one stream share a hash tag, so that they lie on one node of a Redis Cluster. */
export const gaugesKey = (streamId: string): string => `plnx:metrics:{${streamId}}`;
export const latencyKey = (streamId: string): string => `${gaugesKey(streamId)}:latency`;
export const bucketKey = (streamId: string, seconds: number, index: number): string =>
  `${gaugesKey(streamId)}:${seconds}:${index}`;

export const WINDOWS = ['1m', '5m', '1h', '24h'] as const;
export type MetricsWindow = (typeof WINDOWS)[number];

/** Seconds a window covers, and the width of the buckets it is summed from. */
export const SPANS: Readonly<Record<MetricsWindow, { readonly seconds: number; readonly bucket: number }>> = {
  '1m': { seconds: 60, bucket: 5 },
  '5m': { seconds: 300, bucket: 5 },
  '1h': { seconds: 3600, bucket: 60 },
  '24h': { seconds: 86_400, bucket: 1200 },
};

/** Bucket widths and how long a bucket is kept, seconds. */
export const BUCKETS: readonly (readonly [number, number])[] = [
  [5, 400],
  [60, 4000],
  [1200, 90_000],
];

/** A stream of which nobody has reported for so long (90 days) leaves nothing behind. Invariant 6. */
export const KEPT_SECONDS = 90 * 86_400;
