import { bucketMs, LATENCY_BUCKETS, latencyBucket, percentile } from './latency.js';

describe('latency buckets', () => {
  it('give back a duration within 5 %', () => {
    for (let ms = 0.2; ms < 3_600_000; ms *= 1.07)
      expect(Math.abs(bucketMs(latencyBucket(ms)) / ms - 1)).toBeLessThan(0.05);
  });

  it('take zero, negative and absurd values', () => {
    expect(latencyBucket(0)).toBe(0);
    expect(latencyBucket(-5)).toBe(0);
    expect(latencyBucket(Number.NaN)).toBe(0);
    expect(latencyBucket(1e15)).toBe(LATENCY_BUCKETS - 1);
  });

  it('find percentiles', () => {
    const counts = new Map([
      [latencyBucket(1), 98],
      [latencyBucket(100), 2],
    ]);
    expect(percentile(counts, 0.5)).toBeCloseTo(1, 0);
    expect(percentile(counts, 0.99)! / 100).toBeCloseTo(1, 1);
    expect(percentile(new Map(), 0.5)).toBeNull();
  });
});
