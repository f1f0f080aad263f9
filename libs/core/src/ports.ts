import type { Positions } from './event.js';
import type { Seat } from './share.js';
import type { Owned, SetAside, SnapshotOrder } from './source.js';
import type { DesiredStatus } from './stream-state.js';
import type { StatusReport, StreamSpec } from './stream.js';

/** How long a lease lives without being renewed, ms: the store's promise and what its holder counts with (Invariant 3). */
export const LEASE_MS = 9_000;

/** What a renewed lease tells its holder about the row. */
export interface LeaseView {
  readonly generation: number;
  readonly desired: DesiredStatus;
  /** Grows with every snapshot order that is placed or cancelled; 0: there never was one. */
  readonly ordersRevision: number;
  /** Grows with every change of the stream's config or of its connection. */
  readonly configRevision: number;
}

export interface Held {
  readonly streamId: string;
  readonly epoch: number;
  /** Of a worker that helps the holder of the lease: it writes for as long as both hold. */
  readonly seat?: Seat;
}

/**
 * The truth about streams, from a worker's side. Implemented over Postgres in `libs/store`; the database's clock
 * decides when a lease has run out. Every write names the epoch and changes nothing when that is not the row's own
 * (Invariant 3).
 */
export interface StreamLedger {
  /**
   * Takes the lease of one stream that should run (desired `running` or `paused`, not `error`, no live lease), or that
   * was to stop and of which nobody has said that it did; epoch + 1. `null` if not to be had.
   */
  claim(workerId: string, streamId: string): Promise<StreamSpec | null>;
  /** Ids of streams of this type that `claim` would give, oldest first. */
  orphans(sourceType: string, limit: number): Promise<readonly string[]>;
  /**
   * Extends the leases. A stream that is missing from the answer is no longer held. Of several, one whose row somebody
   * else has locked is `busy` and not extended: the others do not wait for it. One alone waits.
   */
  renew(workerId: string, held: readonly Held[]): Promise<ReadonlyMap<string, LeaseView | 'busy'>>;
  /**
   * Writes an observation. With `generation`, only if the row still has it (`superseded` otherwise).
   * `fenced`: the epoch is not ours any more.
   */
  report(held: Held, report: StatusReport, generation?: number): Promise<'written' | 'superseded' | 'fenced'>;
  /** The stream as its row is now, for another attempt under the same lease; `null`: it is gone. */
  spec(streamId: string): Promise<StreamSpec | null>;
  positions(streamId: string): Promise<Positions>;
  /** Second step of the order log, position, acknowledgement. `false`: fenced. */
  commitPositions(held: Held, positions: Positions): Promise<boolean>;
  remember(held: Held, owned: Owned): Promise<boolean>;
  /** Keeps records that are no events, the newest of a stream. @returns how many were new, or `null`: fenced. */
  setAside(held: Held, records: readonly SetAside[]): Promise<number | null>;
  /** Orders of the stream that are neither done nor cancelled, oldest first. */
  openOrders(streamId: string): Promise<readonly SnapshotOrder[]>;
  /** The last hundred that were carried out, newest first. */
  doneOrders(streamId: string): Promise<readonly SnapshotOrder[]>;
  /** An order is done, or `failed` says why it can't be; one that was cancelled meanwhile stays so. `false`: fenced. */
  closeOrder(held: Held, id: string, outcome: { readonly failed: string | null }): Promise<boolean>;
}
