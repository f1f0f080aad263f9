import type { CounterReport, HelperRow, LogTotals } from '@planasonix/core';
import type { Counters } from './counters.js';

interface Past {
  readonly errors: number;
  readonly rejected: number;
  readonly dropped: number;
  readonly lastEventAt: number | null;
  readonly latency: ReadonlyMap<number, number>;
}

const NOTHING: Past = { errors: 0, rejected: 0, dropped: 0, lastEventAt: null, latency: new Map() };

type LagFields = Pick<CounterReport, 'oldest_pending_at' | 'lag_proved_at' | 'backlog_records'>;

const latest = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.max(a, b);
const earliest = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.min(a, b);

function plus(past: Past, report: CounterReport): Past {
  const latency = new Map(past.latency);
  for (const [bucket, count] of report.latency) latency.set(bucket, (latency.get(bucket) ?? 0) + count);
  return {
    errors: past.errors + report.errors,
    rejected: past.rejected + report.rejected_events,
    dropped: past.dropped + report.dropped_events,
    lastEventAt: latest(past.lastEventAt, report.last_event_at),
    latency,
  };
}

/**
 * What those who help with a stream have counted: the ones that are seated, and what earlier ones left behind. Absolute
 * within the lead's epoch, as his own counters are, so that both add up to one report.
 */
export class HelperSums {
  #past = NOTHING;
  /** What was reported last, and of which opening of the log. */
  #last: {
    readonly atOpening: LogTotals;
    readonly events: number;
    readonly bytes: number;
    readonly lag: LagFields;
  } | null = null;
  /**
   * What was reported when who reads what began to change: no lag looks better than this until everybody who reads has
   * told of his own. `of`: the opening of the log that ended then.
   */
  #change: { readonly of: LogTotals | null; readonly lag: LagFields } | null = null;
  #seated = new Map<string, CounterReport | null>();
  #blocked: { readonly reason: string } | null = null;
  #seatedAt = 0;
  #session = '';

  /** Of one that is seated: the log of the stream is full for it. */
  get blocked(): { readonly reason: string } | null {
    return this.#blocked;
  }

  /** @param now wall clock, ms: the lag was proved for all partitions until now */
  seated(session: string, workers: readonly string[], now: number): void {
    // The same question again, where the answer to the last one was lost.
    if (session === this.#session && String(workers) === String([...this.#seated.keys()])) return;
    this.over();
    if (this.#last) this.#change ??= { of: null, lag: this.#last.lag };
    this.#session = session;
    this.#seatedAt = now;
    this.#seated = new Map(workers.map((worker) => [worker, null]));
  }

  told(rows: readonly HelperRow[]): void {
    this.#blocked = null;
    for (const { workerId, report } of rows) {
      const known = this.#seated.get(workerId);
      if (report?.session !== this.#session || known === undefined) continue;
      // Rows are kept several at a time: an older report may land behind a newer one.
      if (known !== null && (report.counters?.sequence ?? 0) < known.sequence) continue;
      this.#seated.set(workerId, report.counters);
      this.#blocked ??= report.blocked;
    }
  }

  /** Nobody is seated any more. What they made durable is in the totals of the log when it is opened next. */
  over(): void {
    if (this.#seated.size > 0 && this.#last) this.#change = { of: this.#last.atOpening, lag: this.#last.lag };
    for (const report of this.#seated.values()) if (report) this.#past = plus(this.#past, report);
    this.#seated.clear();
    this.#blocked = null;
  }

  /** The lead's own report and all of these. */
  add(report: CounterReport, counters: Pick<Counters, 'atOpening' | 'appended' | 'lagTold'>): CounterReport {
    const { atOpening, appended, lagTold } = counters;
    let all = plus(this.#past, report);
    const sum: { -readonly [K in keyof LogTotals]: number } = {
      events: atOpening.events + appended.events,
      bytes: atOpening.bytes + appended.bytes,
    };
    let { oldest_pending_at: pending, lag_proved_at: proved, backlog_records: backlog } = report;
    for (const one of this.#seated.values()) {
      if (one) all = plus(all, one);
      sum.events += one?.total_events ?? 0;
      sum.bytes += one?.total_bytes ?? 0;
      pending = earliest(pending, one?.oldest_pending_at ?? null);
      proved = proved === null ? null : Math.min(proved, one?.lag_proved_at ?? this.#seatedAt);
      backlog = typeof backlog === 'number' ? backlog + (one?.backlog_records ?? 0) : backlog;
    }
    const toldByAll = lagTold && [...this.#seated.values()].every((one) => one !== null);
    if (toldByAll && this.#change?.of !== atOpening) this.#change = null;
    if (this.#change) {
      const { lag } = this.#change;
      pending = earliest(pending, lag.oldest_pending_at);
      proved = proved === null ? null : Math.min(proved, lag.lag_proved_at ?? proved);
      backlog = typeof backlog === 'number' ? Math.max(backlog, lag.backlog_records ?? 0) : backlog;
    }
    const lag: LagFields = { oldest_pending_at: pending, lag_proved_at: proved, backlog_records: backlog };
    // The log's own totals may be older than what helpers tell of, and the other way round. They never go back under one
    // opening: whoever counts takes that for a log that began anew.
    const before = this.#last?.atOpening === atOpening ? this.#last : null;
    const events = Math.max(report.total_events, sum.events, before?.events ?? 0);
    const bytes = Math.max(report.total_bytes, sum.bytes, before?.bytes ?? 0);
    this.#last = { atOpening, events, bytes, lag };
    return {
      ...report,
      total_events: events,
      total_bytes: bytes,
      errors: all.errors,
      rejected_events: all.rejected,
      dropped_events: all.dropped,
      latency: [...all.latency],
      last_event_at: all.lastEventAt,
      ...lag,
    };
  }
}
