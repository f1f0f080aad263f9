import type { Clock, Log } from '@planasonix/core';
import type { IdempotencyStore } from '@planasonix/store';

const EVERY_MS = 60 * 60_000;

/** Removes stored answers that are past their day. Any number of gateways may do so. */
export class Retention {
  private readonly stopping = new AbortController();

  constructor(
    private readonly idempotency: Pick<IdempotencyStore, 'purge'>,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  start(): void {
    void (async () => {
      while (await this.clock.sleep(EVERY_MS, this.stopping.signal))
        await this.idempotency.purge().catch(() => this.log.warn({}, 'stored answers could not be purged'));
    })();
  }

  stop(): void {
    this.stopping.abort();
  }
}
