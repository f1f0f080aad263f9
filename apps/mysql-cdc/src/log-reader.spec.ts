import { Waker, type Clock } from '@planasonix/core';
import type { LogDecoder } from './log-decoder.js';
import { LogReader, type LogReaderDeps } from './log-reader.js';
import type { RowWork } from './row-work.js';
import type { TableBook } from './table-book.js';
import type { LogFeed } from './wire/log-feed.js';

/** Each look at it takes a millisecond. */
function busyClock(): Clock {
  let now = 0;
  return { now: () => 0, monotonic: () => now++, sleep: () => Promise.resolve(true) };
}

describe('reading the log', () => {
  it.each([
    ['events', false],
    ['events of one compressed transaction', true],
  ])('leaves others their turn amid %s without a change of ours (trap 17)', async (_, packed) => {
    let events = 0;
    const count = (): void => {
      events += 1;
      if (events > 10_000) throw new Error('nobody else had a turn');
    };
    const feed = {
      finished: false,
      next: () => {
        count();
        return Buffer.alloc(19);
      },
    };
    const decoder = {
      ...{ more: packed, committed: 0, moved: false, inside: true, torn: true, encoder: { events: [], bytes: 0 } },
      feed: () => null,
      feedPacked: () => {
        count();
        return null;
      },
    };
    const feedOfRows = { wantsStillness: false, stands: () => undefined };
    const work = { look: () => undefined, feed: feedOfRows } as unknown as RowWork;
    const deps: LogReaderDeps = {
      work,
      ...{ feed: feed as unknown as LogFeed, decoder: decoder as unknown as LogDecoder, book: {} as TableBook },
      ...{ from: {} as LogReaderDeps['from'], clock: busyClock(), waker: new Waker() },
    };
    const abort = new AbortController();
    setImmediate(() => abort.abort());
    for await (const _batch of new LogReader(deps).batches(abort.signal)) throw new Error('nothing is to be told');
    expect(events).toBeGreaterThan(0);
  });
});
