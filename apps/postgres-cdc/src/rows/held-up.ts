import type { Clock } from '@planasonix/core';

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

  private watch(ms: number): void {
    this.timer = setTimeout(() => {
      const left = this.since + this.afterMs - this.clock.monotonic();
      if (left > 0) return this.watch(left);
      this.timer = null;
      this.expired();
    }, ms);
    this.timer.unref();
  }
}
