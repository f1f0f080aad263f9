import type { Clock, Log } from '@planasonix/core';
import type { IdempotencyStore, SnapshotOrderStore } from '@planasonix/store';

const EVERY_MS = 60 * 60_000;

/** Removes stored answers that are past their day, and orders that ended long ago. Any number of gateways may do so. */
export class Retention {
  private readonly stopping = new AbortController();

  constructor(
    private readonly kept: readonly Pick<IdempotencyStore | SnapshotOrderStore, 'purge'>[],
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  start(): void {
    void (async () => {
      while (await this.clock.sleep(EVERY_MS, this.stopping.signal))
        for (const one of this.kept)
          await Promise.resolve(one.purge()).catch(() =>
            this.log.warn({}, 'what is past its time could not be removed; tried again in an hour'),
          );
    })();
  }

  stop(): void {
    this.stopping.abort();
  }
}
