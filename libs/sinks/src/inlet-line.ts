import type { Intake, TakenIn } from '@planasonix/core';

/** One call of `append` that waits. */
export interface Waiting {
  readonly epoch: number;
  readonly intake: Intake;
  readonly bytes: number;
  /** Monotonic ms. */
  readonly until: number;
  readonly resolve: (taken: TakenIn) => void;
  readonly reject: (error: unknown) => void;
}

/** What one write of a group takes at the most. Where the log is in Redis it does nothing else meanwhile. */
const GROUP = { deliveries: 256, bytes: 1_000_000, events: 2_000 } as const;

/** Deliveries of one stream, in the order in which they came; one group of them is under way at a time. */
export class InletLine {
  readonly #waiting: Waiting[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  get first(): Waiting | undefined {
    return this.#waiting[0];
  }

  push(one: Waiting): void {
    this.#waiting.push(one);
  }

  /** They come first: their fate was not known, or nothing of them was written. */
  putBack(group: readonly Waiting[]): void {
    this.#waiting.unshift(...group);
  }

  /** Removes those whose time is over. */
  late(now: number): readonly Waiting[] {
    return this.remove(({ until }) => until <= now);
  }

  /** @returns those that went, in their order */
  remove(goes: (one: Waiting) => boolean): readonly Waiting[] {
    const gone = this.#waiting.filter(goes);
    if (gone.length > 0) this.#waiting.splice(0, Infinity, ...this.#waiting.filter((one) => !goes(one)));
    return gone;
  }

  /** The next group: of one epoch, and no larger than it may be, except that one delivery always goes. */
  take(): readonly Waiting[] {
    let [count, bytes, events] = [0, 0, 0];
    const epoch = this.#waiting[0]?.epoch;
    for (const one of this.#waiting) {
      bytes += one.bytes;
      events += one.intake.parts.length;
      const over = count >= GROUP.deliveries || bytes > GROUP.bytes || events > GROUP.events;
      if (one.epoch !== epoch || (count > 0 && over)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }
}
