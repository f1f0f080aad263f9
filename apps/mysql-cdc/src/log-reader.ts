import type { ChangeBatch, Clock, Waker } from '@planasonix/core';
import { toStreamError } from './stream-error.js';
import { encodeOpen, OPEN } from './part.js';
import { encodePosition, isBefore, type MySqlPosition } from './position.js';
import type { LogDecoder } from './log-decoder.js';
import type { RowWork } from './row-work.js';
import type { LogPlace } from './server.js';
import type { TableBook } from './table-book.js';
import { Turns } from './turns.js';
import type { LogFeed } from './wire/log-feed.js';

/** What goes out at once at the most. */
const EVENTS = 1000;
const BYTES = 1024 * 1024;
/** Places without a change of ours are told so often; and how long nothing may stir. */
const PLACE_MS = 500;
const TICK_MS = 250;

export interface LogReaderDeps {
  readonly feed: LogFeed;
  readonly decoder: LogDecoder;
  readonly book: TableBook;
  /** Rows that are read beside the log. */
  readonly work: RowWork;
  readonly from: MySqlPosition;
  /**
   * The stream's log may hold more than `from` says, and end amid a transaction, for whoever read before was interrupted:
   * all that he was sent ends before this place, and nothing goes in between until it is reached. `null`: it ends there.
   */
  readonly wholeBy: LogPlace | null;
  readonly clock: Clock;
  readonly waker: Waker;
}

/**
 * Small transactions travel together, a large one in pieces; a piece never carries a position, so an acknowledgement can't
 * tear it (Invariant 5), and its memory is bounded (Invariant 6). Rows go between them, once everything that they could
 * see of the log has gone.
 */
export class LogReader {
  private toldAt = -Infinity;
  /** `wholeBy`, until it is reached. */
  private torn: LogPlace | null;

  constructor(private readonly deps: LogReaderDeps) {
    this.torn = deps.wholeBy;
  }

  async *batches(signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const { feed, decoder, waker, work, from } = this.deps;
    const stir = (): void => waker.stir();
    signal.addEventListener('abort', stir);
    const tick = setInterval(stir, TICK_MS);
    const turns = new Turns(this.deps.clock);
    try {
      for (let rowsNext = true; !signal.aborted;) {
        work.look();
        if (this.torn !== null && !isBefore(this.reached, this.torn)) this.torn = null;
        if (rowsNext && this.between) {
          const rows = this.rows();
          if (rows !== null) {
            yield rows;
            yield* this.notes();
            rowsNext = false;
            continue;
          }
        }
        if (this.stands()) {
          if (rowsNext) await waker.wait();
          rowsNext = true;
          continue;
        }
        const event = decoder.more ? null : this.nextEvent();
        if (event === null && !decoder.more) {
          if (decoder.committed > 0 || this.placeDue()) yield this.whole();
          else if (rowsNext && feed.finished) return;
          else if (yield* this.notes()) continue;
          else if (rowsNext) await waker.wait();
          rowsNext = true;
          continue;
        }
        const wait = event === null ? decoder.feedPacked() : decoder.feed(event);
        if (wait !== null) await wait;
        if (turns.due) await turns.give();
        const renews = this.deps.book.renews && !decoder.inside;
        if (!this.full && !renews) continue;
        rowsNext = true;
        if (renews) yield* this.renewed();
        if (decoder.committed > 0) yield this.whole();
        // What is told of a transaction before its end depends on it alone: a savepoint that it goes back to is met by every reader in the same state.
        if (this.full && decoder.inside) {
          if (!decoder.torn)
            yield { partition: OPEN, events: [], position: encodeOpen(from.attempt, decoder.between, decoder.gtid) };
          const events = work.feed.handed(decoder.takeOpen(), true);
          yield { partition: '', events, position: null };
        }
      }
    } finally {
      clearInterval(tick);
      signal.removeEventListener('abort', stir);
    }
  }

  /** Up to where changes were read, and no further than between two transactions. */
  get reached(): LogPlace {
    const { decoder } = this.deps;
    return decoder.proven ? decoder.between : NOWHERE;
  }

  private get full(): boolean {
    const { events, bytes } = this.deps.decoder.encoder;
    return events.length >= EVENTS || bytes >= BYTES;
  }

  private nextEvent(): Buffer | null {
    try {
      return this.deps.feed.next();
    } catch (error) {
      throw toStreamError(error, 'reading the log');
    }
  }

  private placeDue(): boolean {
    return this.deps.decoder.moved && this.deps.clock.monotonic() - this.toldAt >= PLACE_MS;
  }

  /** Everything that was read is handed over, up to between two transactions, of a log that is known for the one of before. */
  private get between(): boolean {
    const { decoder } = this.deps;
    return decoder.committed === 0 && !decoder.torn && decoder.proven && this.torn === null;
  }

  /** A table without a key is read while the log stands: first everything that was decoded has to go. */
  private stands(): boolean {
    const { feed } = this.deps.work;
    const still = feed.wantsStillness && this.between;
    feed.stands(still);
    return still;
  }

  private rows(): ChangeBatch | null {
    const events = this.deps.work.take(this.reached);
    return events === null ? null : { partition: '', events, position: this.position() };
  }

  /** What is noted need not be carried by every position any more. */
  private *notes(): Generator<ChangeBatch, boolean> {
    const note = this.between ? this.deps.work.note() : null;
    if (note === null) return false;
    yield note;
    yield { partition: '', events: [], position: this.position() };
    return true;
  }

  /** Noted before a position is past the change that replaced them: whoever goes on from there reads these rows. */
  private *renewed(): Generator<ChangeBatch> {
    const { book, work, decoder } = this.deps;
    const note = work.renew(book.takeRenewed(), decoder.place);
    if (note !== null) yield note;
  }

  /** Whole transactions, and the place that they reach. */
  private whole(): ChangeBatch {
    const { decoder, work, clock } = this.deps;
    this.toldAt = clock.monotonic();
    const events = work.feed.handed(decoder.takeCommitted(), false);
    work.feed.passed(decoder.place);
    return { partition: '', events, position: this.position() };
  }

  private position(): string {
    const { decoder, book, from, work } = this.deps;
    const { file, pos, gtid, at, proof, head } = decoder.place;
    const last = proof === null ? from.last : undefined;
    const place = { file, pos, gtid, at, proof, last, head, gtids: decoder.gtids, kinds: book.kinds };
    return encodePosition({ ...from, phase: 'stream', ...place, ...work.state });
  }
}

/** Before every place. */
const NOWHERE: LogPlace = { file: '.000000', pos: 0 };
