/** One delivery that came from outside, checked and encoded: what it becomes in the log, and what makes it a repeat. */
export interface Intake {
  /** CloudEvents `id`: from the stream and the delivery. The same on every redelivery. Invariant 4. */
  readonly id: string;
  /** The id where another delivery, with other bytes, came first under the same one. */
  readonly otherId: string;
  /** What a repeat has in common with the first. */
  readonly sameDelivery: string;
  /** What every delivery under the same id has in common; equal to `sameDelivery` where the id alone decides. */
  readonly sameId: string;
  /** For so long, in ms, a repeat is known as one. */
  readonly windowMs: number;
  readonly type: string;
  readonly subject: string;
  /** RFC 3339 in UTC, and the same as ms since the Unix epoch. */
  readonly time: string;
  readonly timeMs: number;
  /** One event each, all or none in the log. */
  readonly parts: readonly IntakePart[];
  /** Events have ids of their own: `id` + `/` + index. */
  readonly expanded: boolean;
  /** It waits for room, and overtakes nobody who does (Invariant 5). */
  readonly inOrder: boolean;
}

export interface IntakePart {
  readonly partitionkey: string;
  /** JSON text in UTF-8. */
  readonly data: Buffer;
}

/** What became of a delivery. `full`: the log has no room, and nothing was written. */
export type TakenIn = { readonly kind: 'written' | 'repeated'; readonly id: string } | { readonly kind: 'full' };

/** Counted since the last `report`; latency as in `latency.ts`. */
export interface InletCounts {
  readonly errors: number;
  readonly rejected: number;
  readonly dropped: number;
  readonly latency: ReadonlyMap<number, number>;
}

/** A stream's totals over all its writers, each number absolute within the epoch or the life of the stream. */
export interface InletTotals {
  /** Grows by one with each report of the stream, whoever makes it. */
  readonly sequence: number;
  readonly events: number;
  readonly bytes: number;
  readonly lastEventAt: number | null;
  readonly errors: number;
  readonly rejected: number;
  readonly dropped: number;
  readonly latency: readonly (readonly [number, number])[];
  /** Oldest delivery that a writer holds and that is not durable, ms. */
  readonly oldestPendingAt: number | null;
}

export interface InletReport {
  readonly streamId: string;
  readonly epoch: number;
  readonly counts: InletCounts;
  /** Oldest delivery that this writer holds, ms. */
  readonly oldestPendingAt: number | null;
  /** JSON texts about answers that were given, for `answers` of the log; newest last. */
  readonly answers: readonly string[];
  /** The same of deliveries that were refused or failed, kept apart: many of the others leave them where they are. */
  readonly failures: readonly string[];
}

/**
 * The writing end of a log for many writers at once, over all streams of a pipeline. There is no session and no order
 * between writers; what holds is the epoch: only the one that the log has may write (Invariant 3).
 *
 * - `open` raises the epoch and gives the log's mark, made at the first opening. The store keeps it too: a log without
 *   the mark that the store has was lost, and with it events that were confirmed (Invariant 2).
 * - `append` resolves once the events, what makes a repeat known and the totals are durable in one atomic write; also
 *   for a repeat. It tries again by itself until `until` (monotonic ms): a write whose fate is not known is a repeat. By
 *   then, or a moment later, it rejects, whatever is under way; what it sent may yet be written. Where one found no
 *   room (`full`), those `inOrder` that came to its stream before that was told find none either; all others are asked.
 */
export interface Inlet {
  /** @param mark what the store has, or `null`: none, or what was lost is given up. @throws StreamError `fenced`, `offset_gap`, `log_unavailable` */
  open(streamId: string, epoch: number, mark: string | null): Promise<string>;
  /** @throws StreamError `fenced` (a newer epoch rules), `offset_gap` (this is not the log that was opened), `log_unavailable` */
  append(streamId: string, epoch: number, intake: Intake, until: number): Promise<TakenIn>;
  /**
   * Adds up what all writers count. `null`: another epoch rules, or none yet; then its answers are kept, for they were
   * given, and its counts are not. A report that is repeated counts once.
   */
  report(report: InletReport): Promise<InletTotals | null>;
  close(): Promise<void>;
}
