import {
  latencyBucket,
  retentionFields,
  type Appended,
  type ChangeEvent,
  type CounterReport,
  type Lag,
  type LogTotals,
} from '@planasonix/core';

/**
 * What one lease of a stream has counted. Absolute within the epoch; totals are the log's own and span epochs.
 */
export class Counters {
  #sequence = 0;
  #errors = 0;
  #dropped = 0;
  #rejected = 0;
  #totals: LogTotals | null = null;
  /** As it was opened, and what was appended here since. */
  #opened: LogTotals = { events: 0, bytes: 0 };
  #appended: LogTotals = { events: 0, bytes: 0 };
  #lastEventAt: number | null = null;
  /** Of changes alone. */
  #lastChangeAt = Number.NEGATIVE_INFINITY;
  #lag: Lag = { oldestPendingMs: null, provedAtMs: null, backlogBytes: null };
  #lagTold = false;
  readonly #latency = new Map<number, number>();

  constructor(
    private readonly streamId: string,
    private readonly sourceType: string,
    private readonly epoch: number,
  ) {}

  failed(): void {
    this.#errors++;
  }

  /** Records that are no events and were set aside. */
  rejected(count: number): void {
    this.#rejected += count;
  }

  /** What was made durable here since the log was opened. */
  get appended(): LogTotals {
    return this.#appended;
  }

  /** What the log held when it was opened. */
  get atOpening(): LogTotals {
    return this.#opened;
  }

  /** The source has told of its lag since the log was opened. */
  get lagTold(): boolean {
    return this.#lagTold;
  }

  opened(totals: LogTotals): void {
    this.#lagTold = false;
    this.#totals = this.#opened = totals;
    this.#appended = { events: 0, bytes: 0 };
  }

  /** @param now wall clock at which the batch was durable */
  durable(events: readonly ChangeEvent[], appended: Appended, now: number): void {
    this.#totals = appended.totals;
    this.#appended = {
      events: this.#appended.events + appended.events,
      bytes: this.#appended.bytes + appended.bytes,
    };
    this.#dropped += appended.dropped ?? 0;
    // What the log held already was counted when it was written.
    for (let i = appended.duplicates; i < events.length;) {
      const { timeMs } = events[i]!;
      let next = i + 1;
      while (next < events.length && events[next]!.timeMs === timeMs) next++;
      // A snapshot's rows were committed at any time before: only changes have a latency.
      if (events[i]!.order !== null) {
        const bucket = latencyBucket(now - timeMs);
        this.#latency.set(bucket, (this.#latency.get(bucket) ?? 0) + next - i);
        this.#lastChangeAt = Math.max(this.#lastChangeAt, timeMs);
      }
      if (this.#lastEventAt === null || timeMs > this.#lastEventAt) this.#lastEventAt = timeMs;
      i = next;
    }
    // The head that the source told of has been handed over and is durable; rows that were read since say nothing of it.
    const head = this.#lag.oldestPendingMs;
    if (head !== null && this.#lastChangeAt >= head) this.#lag = { ...this.#lag, oldestPendingMs: null };
  }

  lagged(lag: Lag): void {
    this.#lagTold = true;
    this.#lag = lag;
  }

  /** The source can't be asked: what it last told of stays, and grows older. */
  lagUnknown(): void {
    const { oldestPendingMs, provedAtMs } = this.#lag;
    this.#lag = { oldestPendingMs, provedAtMs, backlogBytes: null };
  }

  /**
   * The next report, or `null` while the log's totals are not known: a zero would be a lie that is subtracted from.
   * @param oldestHeld commit time of the oldest event that was handed over and is not durable, ms
   */
  report(now: number, oldestHeld: number | null): CounterReport | null {
    if (!this.#totals) return null;
    const pending = [oldestHeld, this.#lag.oldestPendingMs].filter((ms) => ms !== null);
    return {
      stream_id: this.streamId,
      source_type: this.sourceType,
      epoch: this.epoch,
      sequence: ++this.#sequence,
      at: now,
      total_events: this.#totals.events,
      total_bytes: this.#totals.bytes,
      errors: this.#errors,
      rejected_events: this.#rejected,
      dropped_events: this.#dropped,
      latency: [...this.#latency],
      oldest_pending_at: pending.length > 0 ? Math.min(...pending) : null,
      lag_proved_at: this.#lag.provedAtMs,
      last_event_at: this.#lastEventAt,
      backlog_bytes: this.#lag.backlogBytes,
      backlog_records: this.#lag.backlogRecords ?? null,
      ...retentionFields(this.#lag),
    };
  }
}
