import type { ChangeBatch, Clock, Waker } from '@planasonix/core';
import { toStreamError } from './stream-error.js';
import { encodePosition, type MySqlPosition } from './position.js';
import type { LogDecoder } from './log-decoder.js';
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
  readonly from: MySqlPosition;
  readonly clock: Clock;
  readonly waker: Waker;
}

/**
 * Small transactions travel together, a large one in pieces; a piece never carries a position, so an acknowledgement can't
 * tear it (Invariant 5), and its memory is bounded (Invariant 6).
 */
export class LogReader {
  private toldAt = -Infinity;

  constructor(private readonly deps: LogReaderDeps) {}

  async *batches(signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const { feed, decoder, waker } = this.deps;
    const stir = (): void => waker.stir();
    signal.addEventListener('abort', stir);
    const tick = setInterval(stir, TICK_MS);
    const turns = new Turns(this.deps.clock);
    try {
      while (!signal.aborted) {
        const event = decoder.more ? null : this.nextEvent();
        if (event === null && !decoder.more) {
          if (decoder.committed > 0 || this.placeDue()) yield this.whole();
          else if (feed.finished) return;
          else await waker.wait();
          continue;
        }
        const wait = event === null ? decoder.feedPacked() : decoder.feed(event);
        if (wait !== null) await wait;
        if (turns.due) await turns.give();
        const { encoder } = decoder;
        if (encoder.events.length < EVENTS && encoder.bytes < BYTES) continue;
        if (decoder.committed > 0) yield this.whole();
        if (encoder.events.length > 0 && decoder.inside)
          yield { partition: '', events: decoder.takeOpen(), position: null };
      }
    } finally {
      clearInterval(tick);
      signal.removeEventListener('abort', stir);
    }
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

  /** Whole transactions, and the place that they reach. */
  private whole(): ChangeBatch {
    const { decoder, book, from, clock } = this.deps;
    this.toldAt = clock.monotonic();
    const events = decoder.takeCommitted();
    const { file, pos, gtid, at, proof, head } = decoder.place;
    const place = { file, pos, gtid, at, proof, head, gtids: decoder.gtids, kinds: book.kinds };
    return { partition: '', events, position: encodePosition({ ...from, phase: 'stream', ...place }) };
  }
}
