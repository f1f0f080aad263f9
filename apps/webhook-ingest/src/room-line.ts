import type { Clock } from '@planasonix/core';
import type { Outcome } from './storing.js';

/** After how long those who wait are tried again, at first and at last. */
const AGAIN_MS = { first: 50, last: 500 } as const;

interface Waiting {
  /** Grows in the order in which deliveries came. */
  readonly came: number;
  /** Monotonic ms. */
  readonly until: number;
  /** Has sent it on its way when it returns. */
  readonly again: () => Promise<Outcome>;
}

interface Waiter extends Waiting {
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Deliveries of one stream that wait for room, in the order in which they came. They are tried again in this order, all
 * together, and who finds none has his place back (Invariant 5).
 */
export class RoomLine {
  readonly #waiting: Waiter[] = [];
  /** How many are being tried. */
  #tried = 0;
  #pause: number = AGAIN_MS.first;
  #isTrying = false;

  constructor(private readonly clock: Clock) {}

  get size(): number {
    return this.#waiting.length + this.#tried;
  }

  /** Whoever comes now has somebody before him who has found no room. */
  get isWaitedIn(): boolean {
    return this.#waiting.length > 0;
  }

  /** What became of it; `full` not before its time is over. */
  wait(one: Waiting): Promise<Outcome> {
    return new Promise((resolve, reject) => this.#add({ ...one, resolve, reject }));
  }

  #add(one: Waiter): void {
    const at = this.#waiting.findLastIndex(({ came }) => came < one.came) + 1;
    this.#waiting.splice(at, 0, one);
    if (!this.#isTrying) void this.#keepTrying();
  }

  async #keepTrying(): Promise<void> {
    const { clock } = this;
    this.#isTrying = true;
    while (this.#waiting.length > 0) {
      const left = Math.min(...this.#waiting.map(({ until }) => until)) - clock.monotonic();
      await clock.sleep(Math.min(this.#pause, Math.max(left, AGAIN_MS.first)));
      this.#pause = Math.min(this.#pause * 1.5, AGAIN_MS.last);
      for (const one of this.#waiting.splice(0)) void this.#try(one);
    }
    this.#isTrying = false;
  }

  async #try(one: Waiter): Promise<void> {
    this.#tried++;
    try {
      const outcome = await one.again();
      if (outcome.kind === 'full' && one.until > this.clock.monotonic()) return this.#add(one);
      if (outcome.kind !== 'full') this.#pause = AGAIN_MS.first;
      one.resolve(outcome);
    } catch (error) {
      one.reject(error);
    } finally {
      this.#tried--;
    }
  }
}
