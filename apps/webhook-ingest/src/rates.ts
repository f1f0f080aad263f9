import type { Clock } from '@planasonix/core';

interface Bucket {
  tokens: number;
  at: number;
}

/** Names of one generation; two are remembered. Invariant 6. */
const MOST = 25_000;

/**
 * So many a second under each name, a second's worth at once. A name is not forgotten before {@link MOST} others have
 * come since it did; after a second of silence that changes nothing, for it may send a second's worth again anyway.
 */
export class Rates {
  #young = new Map<string, Bucket>();
  #old: ReadonlyMap<string, Bucket> = new Map();

  constructor(private readonly clock: Clock) {}

  /** @returns 0, or the ms after which it may be tried again. */
  take(name: string, perSecond: number): number {
    const now = this.clock.monotonic();
    const bucket = this.#bucketOf(name) ?? this.#remember(name, { tokens: perSecond, at: now });
    bucket.tokens = Math.min(perSecond, bucket.tokens + ((now - bucket.at) / 1_000) * perSecond);
    bucket.at = now;
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) / perSecond) * 1_000);
    bucket.tokens--;
    return 0;
  }

  #bucketOf(name: string): Bucket | null {
    const young = this.#young.get(name);
    if (young !== undefined) return young;
    const old = this.#old.get(name);
    return old === undefined ? null : this.#remember(name, old);
  }

  #remember(name: string, bucket: Bucket): Bucket {
    if (this.#young.size >= MOST) [this.#old, this.#young] = [this.#young, new Map<string, Bucket>()];
    this.#young.set(name, bucket);
    return bucket;
  }
}
