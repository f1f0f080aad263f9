import type { Clock } from '@planasonix/core';

/** The clock is the one that is passed in; it is looked at this often. */
const LOOK_MS = 1000;

/** Readers that stand still until somebody takes what they have read: for how long nobody did. */
export class HeldUp {
  private since = 0;
  private timer: NodeJS.Timeout | null = null;

  /** @param expired nobody has taken anything for `afterMs` while readers stood still; called once until they go on. */
  constructor(
    private readonly afterMs: number,
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly expired: () => void,
  ) {}

  /** Readers stand still from here on, if they did not already. */
  begin(): void {
    if (this.timer !== null) return;
    this.since = this.clock.monotonic();
    this.watch(this.afterMs);
  }

  /** Something was taken. */
  moved(): void {
    this.since = this.clock.monotonic();
  }

  /** They go on. */
  end(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private watch(left: number): void {
    this.timer = setTimeout(
      () => {
        const more = this.since + this.afterMs - this.clock.monotonic();
        if (more > 0) return this.watch(more);
        this.timer = null;
        this.expired();
      },
      Math.min(left, LOOK_MS),
    );
    this.timer.unref();
  }
}
