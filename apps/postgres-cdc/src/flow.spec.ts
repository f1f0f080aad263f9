import { Waker } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { Flow } from './flow.js';
import type { RowWork } from './row-work.js';
import type { WalReader } from './wal-reader.js';

const POSITION = { phase: 'stream', slot: 's', attempt: 1, system_id: '1', timeline: 1, lsn: '0/0' } as const;

/** A fake of the stream, with so many batches decoded: the moment between freezing and standing is the test's to choose. */
function fakeReader(decoded: number) {
  const reader = {
    ...{ frozen: false, left: decoded, reached: 0n, handedOver: 0n, taken: 0, asked: 0 },
    freeze: () => void (reader.frozen = true),
    thaw: () => void (reader.frozen = false),
    get drained(): boolean {
      return reader.left === 0;
    },
    take: (events: readonly never[] = []) => {
      if (reader.left === 0) return null;
      reader.left--;
      return { events, endLsn: 1n, bytes: 0, oldestMs: null };
    },
    ask: () => void reader.asked++,
  };
  return reader;
}

/** A fake of the rows that does nothing but wish, and keeps what it is told. */
function fakeWork() {
  const feed = {
    ...{ wantsStillness: false, told: [] as boolean[], waitsFor: null, idle: false, asked: 0 },
    stands: (still: boolean) => void feed.told.push(still),
    take: () => (feed.asked++, null),
    passed: () => undefined,
  };
  return { feed, state: null, look: () => undefined, note: () => null };
}

const running: AbortController[] = [];
/** Also where a test has failed: what waits keeps the process. */
afterEach(() => running.splice(0).forEach((one) => one.abort()));

function flowing(decoded: number, wholeBy?: bigint) {
  const [reader, work] = [fakeReader(decoded), fakeWork()];
  const waker = new Waker();
  const abort = new AbortController();
  running.push(abort);
  let now = 0;
  const flow = new Flow({
    ...{ position: POSITION, waker, wholeBy, monotonic: () => (now += 100), mark: () => undefined },
    work: work as unknown as RowWork,
    reader: reader as unknown as WalReader,
  });
  return { reader, feed: work.feed, waker, batches: flow.batches(abort.signal) };
}

describe('a stream that is to stand', () => {
  it('freezes, stands once everything has been taken, and thaws when nobody wants it any more', async () => {
    const { reader, feed, batches } = flowing(2);
    feed.wantsStillness = true;
    for (let taken = 0; taken < 2; taken++) {
      await batches.next();
      expect([reader.frozen, feed.told]).toEqual([true, []]);
    }
    const waiting = batches.next();
    await eventually('it stands', () => feed.told.length > 0);
    expect(feed.told).toEqual([true]);
    feed.wantsStillness = false;
    reader.left = 1;
    await waiting;
    expect([reader.frozen, feed.told]).toEqual([false, [true, false]]);
    await batches.return(undefined);
  });

  it('thaws also where the wish goes before it stood: an order that is cancelled freezes nothing for ever', async () => {
    const { reader, feed, batches } = flowing(3);
    feed.wantsStillness = true;
    await batches.next();
    expect(reader.frozen).toBe(true);
    feed.wantsStillness = false;
    await batches.next();
    expect([reader.frozen, feed.told]).toEqual([false, []]);
    await batches.return(undefined);
  });
});

describe('behind a place where an earlier reader was interrupted (Invariant 5)', () => {
  it('puts nothing between the halves of a transaction: first comes its end', async () => {
    const { reader, feed, batches } = flowing(0, 9n);
    feed.wantsStillness = true;
    reader.take = (events = reader.taken++ === 1 ? [{} as never] : []) => {
      if (reader.taken > 2) return null;
      return { events, endLsn: 1n, bytes: 0, oldestMs: null };
    };
    // One without changes of ours is none of which the log has a part.
    await batches.next();
    expect([feed.asked, reader.frozen]).toEqual([0, false]);
    await batches.next();
    expect([feed.asked, reader.frozen]).toEqual([0, false]);
    const waiting = batches.next();
    await eventually('it stands', () => feed.told.length > 0);
    expect(feed.asked).toBeGreaterThan(0);
    feed.wantsStillness = false;
    reader.taken = 0;
    await waiting;
    await batches.return(undefined);
  });

  it('or, where there is none, the server says that it has nothing before the place; it is asked only where somebody waits', async () => {
    const { reader, feed, waker, batches } = flowing(0, 9n);
    const waiting = batches.next();
    await eventually('it asks', () => reader.asked > 0);
    feed.idle = true;
    const { asked } = reader;
    waker.stir();
    await new Promise((resolve) => setImmediate(resolve));
    expect([feed.asked, reader.asked]).toEqual([0, asked]);
    reader.reached = 9n;
    waker.stir();
    await eventually('rows are asked for', () => feed.asked > 0);
    reader.left = 1;
    waker.stir();
    await waiting;
    await batches.return(undefined);
  });
});
