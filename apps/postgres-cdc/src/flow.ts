import type { ChangeBatch, Waker } from '@planasonix/core';
import { lsnText } from './decode/index.js';
import { encodePosition, type PgPosition } from './position.js';
import type { RowWork } from './row-work.js';
import type { WalReader } from './wal-reader.js';

/** How often the server is asked, or the WAL moved on, for rows that wait for the stream. */
const NUDGE_MS = 50;
/** Rows come first for so long after a beginning; tables that take longer are read beside the stream. */
const ROWS_FIRST_MS = 3_000;
/** In case nobody stirs: rows that wait, tables that come. */
const TICK_MS = 250;

export interface FlowDeps {
  readonly position: PgPosition;
  readonly work: RowWork;
  /** `null`: rows alone. */
  readonly reader: WalReader | null;
  /**
   * The log may hold more than its position says, and end amid a transaction, for whoever read before was interrupted: all
   * that he was sent commits before this place, and nothing goes in between until it is reached. Absent: it ends there.
   */
  readonly wholeBy?: bigint;
  /** Rows that one snapshot gives: those of the first seconds, or all; over once what is left has to be read without it. */
  readonly under?: 'a while' | 'all';
  readonly waker: Waker;
  readonly monotonic: () => number;
  /** Moves the WAL on where that is allowed: what is visible may not be flushed, and no server sends what is not. */
  readonly mark: () => void;
}

/**
 * Changes and rows in one order: rows enter the log once the stream has passed everything that their snapshot saw.
 * Each batch carries, or follows, a position that tells how far both have come.
 */
export class Flow {
  private nudgedAt = -Infinity;
  private still = false;
  /** The last changes were a part of a transaction that is not whole yet. */
  private amid = false;
  /** `wholeBy`, until it is reached. */
  private torn: bigint | null;
  private readonly since: number;

  constructor(private readonly deps: FlowDeps) {
    this.since = deps.monotonic();
    this.torn = deps.wholeBy ?? null;
  }

  /** The log ends in a transaction that is not whole, or may do so; or the names of tables are of later than the log is. */
  private get inside(): boolean {
    return this.amid || this.torn !== null || this.behind;
  }

  private get behind(): boolean {
    return this.deps.reader !== null && this.deps.work.until > 0n;
  }

  async *batches(signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const { waker, work, reader } = this.deps;
    const stir = (): void => waker.stir();
    signal.addEventListener('abort', stir);
    const tick = setInterval(stir, TICK_MS);
    try {
      for (let rowsNext = true; !signal.aborted;) {
        if (this.turned()) return;
        if (this.torn !== null && reader!.reached >= this.torn) this.torn = null;
        // Once and for all: a reader that freezes knows less of how far it has come.
        if (this.behind && reader!.reached >= work.until) work.until = 0n;
        if (this.deps.under !== 'a while') work.look();
        this.keepStill();
        const rows: ChangeBatch | null = rowsNext ? this.rows() : null;
        const batch: ChangeBatch | null = rows ?? this.changes() ?? (rowsNext ? null : this.rows());
        if (batch !== null) {
          rowsNext = rows === null;
          yield batch;
          yield* this.notes();
          continue;
        }
        if (yield* this.notes()) continue;
        if (reader === null && work.idle) return;
        else {
          this.nudge();
          rowsNext = true;
          await waker.wait();
        }
      }
    } finally {
      clearInterval(tick);
      signal.removeEventListener('abort', stir);
    }
  }

  /** What is noted need not be carried by every position any more. */
  private *notes(): Generator<ChangeBatch, boolean> {
    const note = this.inside ? null : this.deps.work.note();
    if (note === null) return false;
    yield note;
    yield { partition: '', events: [], position: this.position() };
    return true;
  }

  /** A position in the middle of a large transaction would tear it in a log that shows transactions whole. */
  private rows(): ChangeBatch | null {
    const { work, reader } = this.deps;
    if (this.inside || work.doubts) return null;
    const rows = work.feed.take(reader?.reached ?? MAX_LSN, { lsn: this.lsn });
    return rows === null ? null : { partition: '', events: rows.events, position: this.position() };
  }

  private changes(): ChangeBatch | null {
    const { reader, work } = this.deps;
    const batch = reader?.take() ?? null;
    if (batch === null) return null;
    this.amid = batch.endLsn === null;
    if (batch.endLsn !== null) work.feed.passed(batch.endLsn);
    return { partition: '', events: batch.events, position: batch.endLsn === null ? null : this.position() };
  }

  /** The rows have had their time, or the snapshot does not have what is left. */
  private turned(): boolean {
    const { under, work, monotonic } = this.deps;
    if (under === undefined) return false;
    if (work.feed.restIsLater) return true;
    const over = under === 'a while' && monotonic() - this.since >= ROWS_FIRST_MS;
    return (over || work.feed.lettingGo) && work.feed.turn();
  }

  /** A table without a key is read while the stream stands: first everything that was decoded has to go. */
  private keepStill(): void {
    const { reader, work } = this.deps;
    if (reader === null) return;
    const wanted = work.feed.wantsStillness;
    if (wanted && !this.still) {
      if (this.inside) return reader.thaw();
      reader.freeze();
      if (!reader.drained) return;
      this.still = true;
      work.feed.stands(true);
    } else if (!wanted) {
      if (this.still) {
        this.still = false;
        work.feed.stands(false);
      }
      // Also where it froze and never came to stand: the wish may go before everything has been taken.
      reader.thaw();
    }
  }

  private nudge(): void {
    const { reader, work, monotonic, mark } = this.deps;
    const waits = this.torn !== null && !work.feed.idle ? this.torn : this.behind ? work.until : work.feed.waitsFor;
    if (reader === null || waits === null || this.still || waits <= reader.reached) return;
    const now = monotonic();
    if (now - this.nudgedAt < NUDGE_MS) return;
    // What is torn was flushed: one record behind it is enough.
    if (this.torn === null || this.nudgedAt === -Infinity) mark();
    this.nudgedAt = now;
    reader.ask();
  }

  private get lsn(): bigint {
    return this.deps.reader?.handedOver ?? 0n;
  }

  private position(): string {
    const { position, reader, work } = this.deps;
    const { rows: _, ...at } = position;
    const lsn = reader === null ? position.lsn : lsnText(reader.handedOver);
    const rows = work.state;
    return encodePosition({ ...at, lsn, ...(rows === null ? {} : { rows }) });
  }
}

const MAX_LSN = 2n ** 64n;
