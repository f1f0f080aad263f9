import type { Clock } from '@planasonix/core';

/** Waits for `promise`, but no longer than `ms` or until `signal` is aborted. What it does after that is nobody's any more. */
export async function within<T>(
  clock: Clock,
  ms: number,
  promise: Promise<T>,
  signal?: AbortSignal,
): Promise<T | 'late'> {
  const timer = new AbortController();
  const end = signal ? AbortSignal.any([timer.signal, signal]) : timer.signal;
  try {
    return await Promise.race([promise, clock.sleep(ms, end).then(() => 'late' as const)]);
  } finally {
    timer.abort();
    promise.catch(() => undefined);
  }
}
