import { Waker, type Clock } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
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
  let abort: AbortController;
  beforeEach(() => void (abort = new AbortController()));
  /** Also where a test has failed: what waits keeps the process. */
  afterEach(() => abort.abort());

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
      ...{
        feed: feed as unknown as LogFeed,
        decoder: decoder as unknown as LogDecoder,
        book: { renews: false } as TableBook,
      },
      ...{ from: {} as LogReaderDeps['from'], wholeBy: null, clock: busyClock(), waker: new Waker() },
    };
    setImmediate(() => abort.abort());
    for await (const _batch of new LogReader(deps).batches(abort.signal)) throw new Error('nothing is to be told');
    expect(events).toBeGreaterThan(0);
  });

  it('puts no rows behind the half of a transaction that an earlier reader may have left: all that he may have been sent comes first (Invariant 5)', async () => {
    let asked = 0;
    const decoder = {
      ...{ more: false, committed: 2, moved: false, inside: false, torn: false, proven: true, gtids: null },
      ...{ between: { file: 'b.000001', pos: 500 }, encoder: { events: [], bytes: 0 } },
      place: { file: 'b.000001', pos: 500, gtid: null, at: null, proof: null, head: null },
      takeCommitted: () => {
        decoder.committed--;
        return [{ order: null }];
      },
    };
    const work = {
      ...{ look: () => undefined, note: () => null, state: {}, take: () => (asked++, null) },
      feed: { wantsStillness: true, stands: () => undefined, passed: () => undefined, handed: (of: unknown) => of },
    };
    const waker = new Waker();
    const reader = new LogReader({
      ...{
        work: work as unknown as RowWork,
        decoder: decoder as unknown as LogDecoder,
        book: { renews: false } as TableBook,
        waker,
      },
      ...{ feed: { finished: false, next: () => null } as unknown as LogFeed, from: {} as LogReaderDeps['from'] },
      ...{ clock: busyClock(), wholeBy: { file: 'b.000001', pos: 900 } },
    });
    const batches = reader.batches(abort.signal);
    // Also behind whole ones: the log may hold more of those than its position says, and a half behind them.
    for (let whole = 0; whole < 2; whole++) expect((await batches.next()).value?.events).toHaveLength(1);
    const next = batches.next();
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toBe(0);
    decoder.between.pos = 900;
    waker.stir();
    await eventually('rows are asked for', () => asked > 0);
    abort.abort();
    waker.stir();
    expect(await next).toMatchObject({ done: true });
  });

  it('tells a part of a transaction for its own size alone, so that every reader tells the same of it before it goes back to a savepoint', async () => {
    const events = Array.from({ length: 1000 }, () => ({ order: null }));
    const decoder = {
      ...{ more: false, committed: 999, moved: false, inside: true, torn: false, proven: true, gtids: null },
      ...{ between: { file: 'b.000001', pos: 500 }, encoder: { events, bytes: 0 } },
      place: { file: 'b.000001', pos: 500, gtid: null, at: null, proof: null, head: null },
      feed: () => null,
      takeCommitted: () => {
        decoder.committed = 0;
        return decoder.encoder.events.splice(0, 999);
      },
    };
    const work = {
      ...{ look: () => undefined, note: () => null, state: {}, take: () => null },
      feed: { wantsStillness: false, stands: () => undefined, passed: () => undefined, handed: (of: unknown) => of },
    };
    const waker = new Waker();
    let left = 2;
    const next = (): Buffer | null => (left-- > 0 ? Buffer.alloc(19) : null);
    const reader = new LogReader({
      ...{
        work: work as unknown as RowWork,
        decoder: decoder as unknown as LogDecoder,
        book: { renews: false } as TableBook,
        waker,
      },
      ...{ feed: { finished: false, next } as unknown as LogFeed, from: {} as LogReaderDeps['from'] },
      ...{ clock: busyClock(), wholeBy: null },
    });
    const batches = reader.batches(abort.signal);
    expect((await batches.next()).value?.events).toHaveLength(999);
    const after = batches.next();
    await eventually('the log was read to its end', () => left < 0);
    abort.abort();
    waker.stir();
    expect(await after).toMatchObject({ done: true });
  });
});
