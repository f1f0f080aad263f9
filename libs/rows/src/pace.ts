import type { Clock } from '@planasonix/core';

/** Rows that may be read now. Their time has been taken from those that come later. */
export interface Allowance {
  /** How many. */
  readonly rows: number;
  /** How many of them have not come yet. */
  readonly left: number;
  /** So many have come; where that is more than were left, whoever comes next waits for these too. */
  came(rows: number): void;
  /** No more will come: nobody need wait for those that are left. */
  end(): void;
}

/**
 * How fast rows of a stream may be read, by all of its readers together. Rows are allowed before they are read. In any `t`
 * seconds no more than `perSecond * (t + 1)` come, or `perSecond * t + readers + 1` where that is more. Time in which
 * nothing was read is not made up for.
 */
export class Pace {
  /** Rows that one reader may have at once: with what each of the others has, and one more, a second's worth; one at the least. */
  readonly atOnce: number;
  /** Until then everything that was allowed has its time, by the monotonic clock. */
  private until = -Infinity;
  private sooner = new AbortController();

  /** @param perSecond rows; `Infinity`: as fast as it can */
  constructor(
    private readonly perSecond: number,
    readers: number,
    private readonly clock: Pick<Clock, 'monotonic' | 'sleep'>,
    /** Nothing is read any more. */
    private readonly over?: AbortSignal,
  ) {
    this.atOnce = Math.max(1, Math.floor(perSecond / (readers + 1)));
    over?.addEventListener('abort', () => this.sooner.abort(), { once: true });
  }

  /** Whether more may be read now. */
  get isDue(): boolean {
    return this.until <= this.clock.monotonic();
  }

  /** Resolves when `isDue` may have become true, or nothing is read any more. */
  async wait(): Promise<void> {
    const { isDue, until, clock, over, sooner } = this;
    if (!isDue && over?.aborted !== true) await clock.sleep(until - clock.monotonic(), sooner.signal);
  }

  /** To be called once `isDue`. @param rows no more than `atOnce` */
  take(rows: number): Allowance {
    const until = this.spend(rows);
    let left = rows;
    return {
      rows,
      get left() {
        return left;
      },
      came: (count) => {
        this.spend(Math.max(0, count - left));
        left = Math.max(0, left - count);
      },
      end: () => {
        this.giveBack(left, until);
        left = 0;
      },
    };
  }

  /** Resolves with the next rows once they may be read; with `null` where nothing is read any more. */
  async next(rows: number): Promise<Allowance | null> {
    while (!this.isDue && this.over?.aborted !== true) await this.wait();
    return this.over?.aborted === true ? null : this.take(rows);
  }

  private spend(rows: number): number {
    this.until = Math.max(this.until, this.clock.monotonic()) + this.time(rows);
    return this.until;
  }

  /** @param until the end of their time: what of it has passed is not given back, or others would make up for it */
  private giveBack(rows: number, until: number): void {
    const ms = Math.min(this.time(rows), until - this.clock.monotonic());
    if (ms <= 0) return;
    this.until -= ms;
    if (this.over?.aborted === true) return;
    this.sooner.abort();
    this.sooner = new AbortController();
  }

  private time(rows: number): number {
    return this.perSecond === Infinity ? 0 : (rows / this.perSecond) * 1000;
  }
}
