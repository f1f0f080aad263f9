import type { Clock } from '@planasonix/core';

/** Time in which nothing could be read counts no further: what comes behind it would come at once. */
const CREDIT_MS = 1_000;

/** How fast one reader may go: rows of one chunk against the time since it was begun. */
export class Pace {
  private began: number;

  /** @param perSecond rows; `Infinity`: as fast as it can */
  constructor(
    readonly perSecond: number,
    private readonly clock: Pick<Clock, 'monotonic' | 'sleep'>,
    /** Nothing is read any more. */
    private readonly over?: AbortSignal,
  ) {
    this.began = clock.monotonic();
  }

  /**
   * Resolves once so many rows were allowed, whatever comes of them; at once with `false` where nothing is read any more.
   *
   * @param atLeast ms to wait in any case
   */
  async keep(rows: number, atLeast = 0): Promise<boolean> {
    const due = (rows / this.perSecond) * 1000 - (this.clock.monotonic() - this.began);
    if (due < -CREDIT_MS) this.began -= due + CREDIT_MS;
    const ms = Math.max(atLeast, due);
    return ms <= 0 || this.clock.sleep(ms, this.over);
  }
}
