/** Time as an argument, so that core and engine are tested without waiting. All values are milliseconds. */
export interface Clock {
  /** Wall clock: milliseconds since the Unix epoch. */
  now(): number;
  /** Monotonic clock: never goes back, unaffected by a change of the wall clock. Leases are kept by this one. */
  monotonic(): number;
  /** Resolves once `ms` have passed by `monotonic`, never before; or at once with `false` when `signal` is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<boolean>;
}

/** Node takes a longer one for 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve(false);
      const until = performance.now() + ms;
      let timer: NodeJS.Timeout;
      const stop = () => {
        clearTimeout(timer);
        resolve(false);
      };
      const wait = () => {
        timer = setTimeout(wake, Math.min(Math.ceil(until - performance.now()), LONGEST_TIMER_MS));
      };
      // Node cuts off fractions and counts from the time that its loop last looked at the clock: timers come early.
      const wake = () => {
        if (performance.now() < until) return wait();
        signal?.removeEventListener('abort', stop);
        resolve(true);
      };
      wait();
      signal?.addEventListener('abort', stop, { once: true });
    }),
};
