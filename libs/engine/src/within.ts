import { Limit, type Clock } from '@planasonix/core';

/** Waits for `promise`, but no longer than `ms` or until `signal` is aborted. What it does after that is nobody's any more. */
export async function within<T>(
  clock: Clock,
  ms: number,
  promise: Promise<T>,
  signal?: AbortSignal,
): Promise<T | 'late'> {
  const timer = new Limit(signal);
  try {
    return await Promise.race([promise, clock.sleep(ms, timer.signal).then(() => 'late' as const)]);
  } finally {
    timer.end();
    promise.catch(() => undefined);
  }
}
