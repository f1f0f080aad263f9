import type { Clock } from '@planasonix/core';

interface Sleeper {
  readonly at: number;
  wake(slept: boolean): void;
}

/** Lets everything that can go on without time go on. */
export async function settleAll(): Promise<void> {
  for (let i = 0; i < 6; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Time that moves when a test says so. */
export class ManualClock implements Clock {
  #monotonic = 1_000;
  #sleepers: Sleeper[] = [];

  now(): number {
    return 1_700_000_000_000 + this.#monotonic;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve(false);
      const stop = () => {
        this.#sleepers = this.#sleepers.filter((one) => one !== sleeper);
        resolve(false);
      };
      const sleeper: Sleeper = {
        at: this.#monotonic + ms,
        wake(slept) {
          signal?.removeEventListener('abort', stop);
          resolve(slept);
        },
      };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', stop, { once: true });
    });
  }

  /** Wakes everybody in turn, as time passes. */
  async advance(ms: number): Promise<void> {
    await settleAll();
    const until = this.#monotonic + ms;
    for (;;) {
      const next = this.#sleepers.reduce<Sleeper | null>(
        (first, one) => (one.at <= until && (!first || one.at < first.at) ? one : first),
        null,
      );
      if (!next) break;
      this.#monotonic = Math.max(this.#monotonic, next.at);
      this.#sleepers = this.#sleepers.filter((one) => one !== next);
      next.wake(true);
      await settleAll();
    }
    this.#monotonic = until;
    await settleAll();
  }

  /** The process was stopped: time has passed, and nobody was woken on the way. */
  freeze(ms: number): void {
    this.#monotonic += ms;
  }
}
