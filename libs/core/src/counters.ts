import type { Lag } from './source.js';

/**
 * What a worker tells the aggregator each second: absolute totals, so that a lost, repeated or late report does no
 * harm. Keyed by (stream, epoch, sequence).
 */
export interface CounterReport {
  readonly stream_id: string;
  readonly source_type: string;
  readonly epoch: number;
  /** Grows by one with each report of an epoch. */
  readonly sequence: number;
  /** When it was made, ms since the Unix epoch. */
  readonly at: number;
  /** Durable in the log since the stream's creation (from the log itself, so it spans epochs). */
  readonly total_events: number;
  readonly total_bytes: number;
  /** Absolute within the epoch. */
  readonly errors: number;
  readonly rejected_events: number;
  readonly dropped_events: number;
  /** Commit to durable, absolute counts within the epoch per bucket of `latency.ts`: `[bucket, count]` pairs. */
  readonly latency: readonly (readonly [number, number])[];
  /** Commit time of the oldest change that is not durable, ms; `null`: none. */
  readonly oldest_pending_at: number | null;
  /** When the lag was last proved against the source, ms; `null`: never. */
  readonly lag_proved_at: number | null;
  /** Source time of the newest durable event, ms. */
  readonly last_event_at: number | null;
  readonly backlog_bytes: number | null;
  /** Absent from older workers, `null` where the source does not count so. */
  readonly backlog_records?: number | null;
  /** `Retention` of the source; absent from older workers, `null` where the source can't tell. */
  readonly held_bytes?: number | null;
  readonly bytes_to_loss?: number | null;
  readonly seconds_to_loss?: number | null;
  readonly budget_bytes?: number | null;
}

/** The fields of a report that tell of what a source keeps for a stream. */
export const retentionFields = ({
  retention,
}: Lag): Pick<CounterReport, 'held_bytes' | 'bytes_to_loss' | 'seconds_to_loss' | 'budget_bytes'> => ({
  held_bytes: retention?.heldBytes ?? null,
  bytes_to_loss: retention?.bytesToLoss ?? null,
  seconds_to_loss: retention?.secondsToLoss ?? null,
  budget_bytes: retention?.budgetBytes ?? null,
});

/** Message patterns over `@nestjs/microservices`. */
export const PATTERNS = {
  /** Payload: `CounterReport[]`. */
  counters: 'planasonix.counters',
  /** Payload: `{ stream_id }`: whoever holds it should look at the row now. Lossy by design. */
  nudge: 'planasonix.nudge',
} as const;
