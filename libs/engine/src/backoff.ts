const LEAST_MS = 200;
const MOST_MS = 30_000;

/**
 * How long to wait before the next attempt: exponential with full jitter, 0.2 to 30 s.
 * @param failures consecutive failures so far, 1 or more
 * @param random 0 to 1
 */
export function backoffMs(failures: number, random: number): number {
  const ceiling = Math.min(MOST_MS, LEAST_MS * 2 ** Math.min(Math.max(failures, 1), 20));
  return LEAST_MS + random * (ceiling - LEAST_MS);
}
