import type { CounterReport } from './counters.js';
import type { Held } from './ports.js';

/**
 * A reader's part of a stream that several workers read: the partitions that `shareOf` gives it. The holder of the
 * stream's lease, its lead, reads share 0; workers that help read the others.
 */
export interface Share {
  readonly index: number;
  readonly of: number;
}

/** Everything. */
export const WHOLE: Share = { index: 0, of: 1 };

/**
 * Which of `of` shares a partition belongs to; the same at every worker. Partitions `topic/0`, `topic/1`, … take turns,
 * beginning at a share that depends on the topic.
 */
export function shareOf(partition: string, of: number): number {
  const [, name = partition, number = '0'] = /^(.*)\/(\d+)$/s.exec(partition) ?? [];
  let start = 0;
  for (let i = 0; i < name.length; i++) start = (start * 31 + name.charCodeAt(i)) % 1_000_003;
  return (start + Number(number)) % of;
}

export const isIn = ({ index, of }: Share, partition: string): boolean => shareOf(partition, of) === index;

/** A helper's place: which share it writes, and beside which opening of the log. Whatever opens the log later bars it. */
export interface Seat {
  /** From 1 on. */
  readonly index: number;
  /** `OpenedLog.session` of the lead. */
  readonly session: string;
}

/** What a helper tells each second. Totals are what it has made durable itself, since it was seated. */
export interface HelperReport {
  /** Of the seat that it tells of. */
  readonly session: string;
  readonly counters: CounterReport | null;
  readonly blocked: { readonly reason: string } | null;
}

/** A live helper of a stream, as its lead sees it. */
export interface HelperRow {
  readonly workerId: string;
  /** `null`: it waits for one. */
  readonly seat: Seat | null;
  readonly report: HelperReport | null;
}

/** What a helper is to do. */
export interface HelperView {
  /** Of the lead. */
  readonly epoch: number;
  /** `null`: wait. */
  readonly seated: { readonly share: Share; readonly session: string } | null;
}

/**
 * Who helps whom. A helper's row lives as long as a lease does and is its own to keep; seats are the lead's to give.
 * Implemented over Postgres in `libs/store`.
 */
export interface SpreadLedger {
  /** The live helpers of every stream that this worker leads, first come first. */
  helpers(workerId: string): Promise<ReadonlyMap<string, readonly HelperRow[]>>;
  /** Gives shares 1, 2, … of `workers.length + 1` to these, under this opening of the log, and takes all others away. `false`: fenced. */
  seat(lead: Held, session: string, workers: readonly string[]): Promise<boolean>;
  /** Ids of running streams of this type that others lead and that could use this worker. */
  openings(workerId: string, sourceType: string, limit: number): Promise<readonly string[]>;
  /** `false`: it needs nobody any more. */
  join(workerId: string, streamId: string): Promise<boolean>;
  /** Keeps the rows alive and tells what happened. A stream that is missing from the answer is not helped any more. */
  keep(workerId: string, reports: ReadonlyMap<string, HelperReport | null>): Promise<ReadonlyMap<string, HelperView>>;
  leave(workerId: string, streamId: string): Promise<void>;
}
