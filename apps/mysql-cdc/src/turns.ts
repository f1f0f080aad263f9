import type { Clock } from '@planasonix/core';

/** For how long work that awaits nothing keeps the event loop. */
const TURN_MS = 20;

/** Of work that awaits nothing for long: in between, leases are kept and signals are heard. */
export class Turns {
  private since: number;

  constructor(private readonly clock: Clock) {
    this.since = clock.monotonic();
  }

  /** Whether others wait for the event loop for long enough. */
  get due(): boolean {
    return this.clock.monotonic() - this.since >= TURN_MS;
  }

  /** Resolves once all that waits for the event loop has had its turn. */
  async give(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.since = this.clock.monotonic();
  }
}
