import type { Clock } from '@planasonix/core';

interface Bucket {
  tokens: number;
  at: number;
}

/** Names that are remembered; beyond them the oldest are forgotten, and begin anew. Invariant 6. */
const MOST = 50_000;

/** So many a second under each name, a second's worth at once. */
export class Rates {
  readonly #buckets = new Map<string, Bucket>();

  constructor(private readonly clock: Clock) {}

  /** @returns 0, or the ms after which it may be tried again. */
  take(name: string, perSecond: number): number {
    const now = this.clock.monotonic();
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      if (this.#buckets.size >= MOST) this.#buckets.delete(this.#buckets.keys().next().value!);
      this.#buckets.set(name, (bucket = { tokens: perSecond, at: now }));
    }
    bucket.tokens = Math.min(perSecond, bucket.tokens + ((now - bucket.at) / 1_000) * perSecond);
    bucket.at = now;
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) / perSecond) * 1_000);
    bucket.tokens--;
    return 0;
  }
}
