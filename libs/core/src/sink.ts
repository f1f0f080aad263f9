import type { Check } from './check.js';
import type { ChangeBatch, Orders, Positions } from './event.js';
import type { Inlet } from './inlet.js';
import type { Seat } from './share.js';

/** What the log knows of a stream when a writer opens it. */
export interface OpenedLog {
  /** Names this opening. Whoever writes beside it has to name it (`Seat`). */
  readonly session: string;
  /** Positions that were stored together with the events; the truth about where to go on. */
  readonly positions: Positions;
  /** They may be of a transaction that the position is not behind: one that came in part. */
  readonly orders: Orders;
  readonly totals: LogTotals;
  /** Events that the log itself had added beside those that it was given, and that this opening has removed. */
  readonly doubles?: number;
}

/** Durable in the log since the stream's creation, each event once; survives every restart. */
export interface LogTotals {
  readonly events: number;
  readonly bytes: number;
}

export interface Appended {
  /** Events of this batch that were written. */
  readonly events: number;
  /** Bytes of their data. */
  readonly bytes: number;
  /** Events of this batch that the log held already. */
  readonly duplicates: number;
  /** Unread events that retention removed to make room (only where the user chose `trim`). Absent: 0. */
  readonly dropped?: number;
  readonly totals: LogTotals;
}

/**
 * The writing end of a pipeline's log for one stream and one epoch.
 *
 * Contract, held by the conformance suite that every sink passes:
 * - `open` raises the log's epoch to ours, or throws `fenced` when it is already higher.
 * - `append` may be called again before the last call has resolved; batches land in call order, each atomically with
 *   its position, and resolve in order, once durable. After one rejects, every later one rejects too. A log that
 *   may hold fewer events than a batch has takes those with an order in pieces, the position with the last.
 * - An event whose `order` is not greater than the partition's last is dropped and counted in `duplicates`. A batch of
 *   which nothing is left leaves the position as it was: the caller must not take it for stored. Invariant 1.
 * - A full log makes `append` wait; `blocked` tells meanwhile.
 * - A higher epoch in the log makes `append` throw `fenced` and write nothing. Invariant 3.
 * - One that has a seat opens beside the opening that the seat names, of the same epoch, or throws `fenced`. It bars only
 *   an earlier one of its own index; whatever bars the writer whom it helps, and his own next opening, bars it too.
 */
export interface Sink {
  /** Milliseconds after which an appended event may be taken as durable; 0 where `append` resolves durably. */
  readonly settleDelayMs: number;
  /**
   * Resolves once the server that took all appends so far has answered again, over the same connection: it lived until
   * now. Rejects, or stays silent, where it may be another one, or itself after a crash. Absent: `settleDelayMs` is 0.
   */
  stillThere?(): Promise<void>;
  readonly blocked: { readonly reason: 'log_full' } | null;
  /** Parts of something larger lie in a transaction that is open, and readers of the log wait behind it. Absent: never. */
  readonly unfinished?: boolean;
  /**
   * `reset` forgets positions and orders (the user gave up a lost position); events stay. It names the decision and is
   * stored in the same step: where the log has forgotten for it already and holds a place since (`isPlaced`), positions
   * are answered and nothing is forgotten. Invariant 2: the place that the decision led to is not given up a second time.
   */
  open(options?: { readonly reset?: number }): Promise<OpenedLog>;
  append(batch: ChangeBatch, signal: AbortSignal): Promise<Appended>;
  close(): Promise<void>;
}

/** One entry of a log as a reader sees it. */
export interface LogEntry {
  /** Opaque place in the log; `after` takes it. */
  readonly cursor: string;
  readonly id: string;
  readonly type: string;
  readonly source: string;
  readonly subject: string;
  readonly time: string;
  readonly partitionkey: string;
  /** JSON text. */
  readonly data: string;
}

/** A cursor that every log takes: before its first entry. */
export const BEGINNING = '0';

/** Topics in Kafka in which a log has the events of a stream. */
export interface LogTopics {
  /** `null`: the cluster does not say. */
  readonly clusterId: string | null;
  /** All of them are in this one; `null`: it depends on the event. */
  readonly only: string | null;
  /** The topic of events with this subject. */
  of(subject: string): string;
  /** Whether an event may go to a topic of this name, whatever its subject is. */
  may(topic: string): boolean;
}

/** The log from the side of the control plane: fencing, looking, giving back. */
export interface EventLog {
  /** @param seat absent: the writer of the stream; else one who writes other partitions beside him */
  sink(streamId: string, epoch: number, seat?: Seat): Sink;
  /** The writing end for sources with many writers at once. Absent: this kind of log can't have them. */
  inlet?(): Inlet;
  /** JSON texts that writers told of in their reports: answers, then failures, of each the oldest first. */
  answers?(streamId: string): Promise<readonly string[]>;
  /** Bars every writer with a lower epoch. Durable when it resolves. @throws StreamError `log_unavailable`. */
  fence(streamId: string, epoch: number): Promise<void>;
  /**
   * In one atomic step: raises the epoch, replaces all positions by these, and forgets the partitions' last orders, so
   * that what follows an earlier place is appended again. Events stay. The same call may be repeated. Durable when it
   * resolves.
   * @throws StreamError `fenced` where the log has a higher epoch; `log_unavailable`
   */
  place(streamId: string, epoch: number, positions: Positions): Promise<void>;
  /** Up to `limit` entries, oldest first: those after `after` (a cursor, or `BEGINNING`), or the newest ones. */
  read(
    streamId: string,
    options: { readonly limit: number; readonly after?: string | null },
  ): Promise<readonly LogEntry[]>;
  /**
   * Entries as they are appended, from now or from after a cursor (or `BEGINNING`), until `signal` is aborted.
   * @param placed is called before the first one: whatever is appended from then on comes
   */
  tail(streamId: string, after: string | null, signal: AbortSignal, placed?: () => void): AsyncIterable<LogEntry>;
  /** Absent: it is not in Kafka. @throws StreamError `log_unavailable` */
  topics?(streamId: string): Promise<LogTopics>;
  depth(streamId: string): Promise<number>;
  totals(streamId: string): Promise<LogTotals>;
  /**
   * Removes the stream's log after `seconds` (0: now) and bars every lower epoch until then (a minute at the least), so
   * that nobody who was under way makes it anew. A writer who opens it with no lower epoch keeps it: it lives on.
   */
  expire(streamId: string, seconds: number, epoch: number): Promise<void>;
  /**
   * How safe and how full the log is: `log_not_durable`, `log_unavailable`, …
   * @param streamId absent: what holds for every stream
   */
  check(streamId?: string): Promise<readonly Check[]>;
  close(): Promise<void>;
}
