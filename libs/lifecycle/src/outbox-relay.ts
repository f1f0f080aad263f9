import { noSteps, type Clock, type Log, type Steps } from '@planasonix/core';
import type { OutboxStore } from '@planasonix/store';
import type { QueueProducer } from './queues.js';

const POLL_MS = 1000;
const AT_ONCE = 200;
/** A ring that takes longer than this waits for a Redis that is away. */
const RING_MS = 1500;

/**
 * Rings the bell for every accepted command. A row leaves the outbox only when its job is in the queue; while Redis is
 * away the rows stay. Any number of relays: each takes rows that no other holds.
 */
export class OutboxRelay {
  private readonly stopping = new AbortController();
  private work: Promise<void> | null = null;
  private again = false;
  private failing = false;

  constructor(
    private readonly outbox: OutboxStore,
    private readonly queues: Pick<QueueProducer, 'ring'>,
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly step: Steps = noSteps,
  ) {}

  start(): void {
    void (async () => {
      do this.kick();
      while (await this.clock.sleep(POLL_MS, this.stopping.signal));
    })();
  }

  /** There may be something now: do not wait for the poll. */
  kick(): void {
    if (this.stopping.signal.aborted) return;
    if (this.work !== null) {
      this.again = true;
      return;
    }
    this.work = this.drain().finally(() => {
      this.work = null;
      if (this.again) {
        this.again = false;
        this.kick();
      }
    });
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.work;
  }

  private async drain(): Promise<void> {
    try {
      while ((await this.outbox.relay(AT_ONCE, (rows) => this.ring(rows))) === AT_ONCE);
      this.failing = false;
    } catch (error) {
      // Once per outage; the rows are where they were.
      if (!this.failing) this.log.warn({ err: error }, 'commands could not be relayed; the outbox keeps them');
      this.failing = true;
    }
  }

  private async ring(rows: readonly { stream_id: string; source_type: string; generation: number }[]): Promise<void> {
    const timer = new AbortController();
    const late = this.clock.sleep(RING_MS, timer.signal).then((over) => {
      if (over) throw new Error('the queue did not answer in time');
    });
    const rung = Promise.all(
      rows.map((row) => this.queues.ring(row.source_type, { streamId: row.stream_id, generation: row.generation })),
    );
    await Promise.race([rung, late]).finally(() => timer.abort());
    this.step('outbox-relayed');
  }
}
