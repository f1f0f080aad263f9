import { type ChangeEvent, Waker } from '@planasonix/core';
import type { StreamDecoder } from './decode/index.js';

/** What goes out at once at the most. */
const EVENTS = 1000;
const BYTES = 1024 * 1024;
/** What waits at the most before the socket is paused, and when it is read again. Invariant 6. */
const HIGH = { batches: 8, bytes: 6 * 1024 * 1024 } as const;
const LOW = { batches: 3, bytes: 2 * 1024 * 1024 } as const;

export interface WalBatch {
  readonly events: readonly ChangeEvent[];
  /** End of the last commit in it; `null`: part of a transaction that is not whole yet. */
  readonly endLsn: bigint | null;
  readonly bytes: number;
  /** Commit time of the oldest change in it, ms. */
  readonly oldestMs: number | null;
}

/**
 * Decoded changes on their way to the engine. Small transactions travel together, a large one in pieces; a piece of a
 * transaction never carries a position, so an acknowledgement can't tear it (Invariant 5).
 */
export class WalQueue {
  private readonly ready: WalBatch[] = [];
  private readyBytes = 0;
  /** Events in the decoder that belong to transactions that have committed, and the end of the last. */
  private committed = 0;
  private committedLsn: bigint | null = null;
  private oldestMs: number | null = null;

  constructor(
    private readonly decoder: StreamDecoder,
    private readonly waker: Waker = new Waker(),
  ) {}

  /** After a change was decoded. */
  changed(): void {
    this.oldestMs ??= this.decoder.commitMs;
    const { decoder } = this;
    if (decoder.events.length >= EVENTS || decoder.bytes >= BYTES) this.flush();
  }

  /** After a commit was decoded. */
  committedUpTo(endLsn: bigint): void {
    this.committed = this.decoder.events.length;
    this.committedLsn = endLsn;
    this.waker.stir();
  }

  /** Nothing of what was received still has to be handed over. */
  get empty(): boolean {
    return (
      this.ready.length === 0 &&
      this.committedLsn === null &&
      this.decoder.events.length === 0 &&
      !this.decoder.inTransaction
    );
  }

  /** Nothing of what was decoded still has to be handed over; a transaction may be open. */
  get drained(): boolean {
    return this.ready.length === 0 && this.committedLsn === null && this.decoder.events.length === 0;
  }

  get full(): boolean {
    return this.ready.length >= HIGH.batches || this.readyBytes >= HIGH.bytes;
  }

  get roomy(): boolean {
    return this.ready.length <= LOW.batches && this.readyBytes <= LOW.bytes;
  }

  /** Commit time of the oldest change that was received and not handed over, ms. */
  get oldestPendingMs(): number | null {
    return this.ready[0]?.oldestMs ?? this.oldestMs ?? (this.decoder.inTransaction ? this.decoder.commitMs : null);
  }

  /** The next batch that is whole enough to go, or `null`. */
  next(): WalBatch | null {
    const first = this.ready.shift();
    if (first !== undefined) {
      this.readyBytes -= first.bytes;
      return first;
    }
    return this.committedLsn === null ? null : this.cutCommitted();
  }

  /** Everything that was decoded becomes a batch, also what belongs to a transaction that is not whole yet. */
  flush(): void {
    if (this.committedLsn !== null) this.push(this.cutCommitted());
    const events = this.decoder.events;
    if (events.length > 0) {
      const bytes = this.decoder.bytes;
      this.push({ events: this.decoder.take(), endLsn: null, bytes, oldestMs: this.decoder.commitMs });
      this.oldestMs = null;
    }
    this.waker.stir();
  }

  private push(batch: WalBatch): void {
    this.ready.push(batch);
    this.readyBytes += batch.bytes;
  }

  /** Takes the committed part; what belongs to the open transaction stays in the decoder. */
  private cutCommitted(): WalBatch {
    const { decoder, committed, committedLsn } = this;
    const all = decoder.take();
    const rest = all.length > committed ? all.splice(committed) : [];
    decoder.events = rest;
    decoder.bytes = rest.reduce((sum, event) => sum + event.data.length, 0);
    const batch: WalBatch = {
      events: all,
      endLsn: committedLsn,
      bytes: all.reduce((sum, event) => sum + event.data.length, 0),
      oldestMs: all[0]?.timeMs ?? null,
    };
    this.committed = 0;
    this.committedLsn = null;
    this.oldestMs = rest.length > 0 ? decoder.commitMs : null;
    return batch;
  }
}
