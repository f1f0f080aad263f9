import { LEASE_MS } from '@planasonix/core';

/**
 * When a lease holds, by its holder's monotonic clock. The database decides by its own clock when the lease has run
 * out; the holder counts from before it asked and gives up early, so it never believes in a lease that is gone.
 */
export const LEASE = {
  durationMs: LEASE_MS,
  /** From an answer to the next renewal: early, so that there is time left for others where it gets no answer. */
  renewEveryMs: 2_000,
  /** A renewal without an answer for this long is not waited for: it may still count, but the next one is sent. */
  answerWithinMs: 1_000,
  /** After a renewal that failed or has no answer yet. */
  retryEveryMs: 500,
  /** Renewals without an answer at the most. Invariant 6. */
  underWay: 3,
  /** The holder stops this long before the end. */
  marginMs: 1_500,
} as const;

/** @param askedAt monotonic time before the claim or renewal was sent. @returns monotonic time until which it may write. */
export const holdsUntil = (askedAt: number): number => askedAt + LEASE.durationMs - LEASE.marginMs;

export const holds = (until: number, now: number): boolean => now < until;
