import { Waker } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { Flow } from './flow.js';
import type { RowWork } from './row-work.js';
import type { WalReader } from './wal-reader.js';

const POSITION = { phase: 'stream', slot: 's', attempt: 1, system_id: '1', timeline: 1, lsn: '0/0' } as const;

/** A fake of the stream, with so many batches decoded: the moment between freezing and standing is the test's to choose. */
function fakeReader(decoded: number) {
  const reader = {
    ...{ frozen: false, left: decoded, reached: 0n, handedOver: 0n, asked: 0 },
    freeze: () => void (reader.frozen = true),
    thaw: () => void (reader.frozen = false),
    get drained(): boolean {
      return reader.left === 0;
    },
    take: () => {
      if (reader.left === 0) return null;
      reader.left--;
      return { events: [{}], endLsn: 1n, bytes: 0, oldestMs: null };
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
  return { feed, until: 0n, state: null, look: () => undefined, note: () => null };
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
  const marks = { count: 0 };
  const flow = new Flow({
    ...{ position: POSITION, waker, wholeBy, monotonic: () => (now += 100), mark: () => void marks.count++ },
    work: work as unknown as RowWork,
    reader: reader as unknown as WalReader,
  });
  return { reader, work, feed: work.feed, waker, marks, batches: flow.batches(abort.signal) };
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

describe('behind the place at which tables were found to have other names', () => {
  it('puts rows once the stream has come there, also where it freezes for one and knows less of that', async () => {
    const { reader, work, feed, waker, batches } = flowing(0);
    work.until = 9n;
    const waiting = batches.next();
    await eventually('it asks how far the server is', () => reader.asked > 0);
    expect(feed.asked).toBe(0);
    Object.assign(reader, { reached: 9n, freeze: () => Object.assign(reader, { frozen: true, reached: 1n }) });
    feed.wantsStillness = true;
    waker.stir();
    await eventually('it stands', () => feed.told.length > 0);
    await eventually('rows are asked for', () => feed.asked > 0);
    feed.wantsStillness = false;
    reader.left = 1;
    waker.stir();
    await waiting;
    await batches.return(undefined);
  });
});

describe('behind a place where an earlier reader was interrupted (Invariant 5)', () => {
  it('puts nothing between the halves of a transaction: all that he may have been sent comes first', async () => {
    const { reader, feed, batches } = flowing(3, 9n);
    feed.wantsStillness = true;
    // Also behind whole ones: the log may hold more of those than its position says, and a half behind them.
    for (let taken = 0; taken < 3; taken++) {
      await batches.next();
      expect([feed.asked, reader.frozen]).toEqual([0, false]);
    }
    reader.reached = 9n;
    reader.left = 1;
    await batches.next();
    expect(feed.asked).toBe(1);
    // Frozen, it is where it was.
    reader.reached = 1n;
    const waiting = batches.next();
    await eventually('it stands', () => feed.told.length > 0);
    expect(feed.asked).toBeGreaterThan(1);
    feed.wantsStillness = false;
    reader.left = 1;
    await waiting;
    await batches.return(undefined);
  });

  it('asks the server how far it is only where somebody waits, and marks its WAL once', async () => {
    const { reader, feed, waker, marks, batches } = flowing(0, 9n);
    const waiting = batches.next();
    await eventually('it asks', () => reader.asked > 0);
    const stir = async () => {
      const { asked } = reader;
      waker.stir();
      await new Promise((resolve) => setImmediate(resolve));
      return reader.asked - asked;
    };
    expect([await stir(), await stir(), marks.count]).toEqual([1, 1, 1]);
    feed.idle = true;
    expect([await stir(), feed.asked]).toEqual([0, 0]);
    reader.reached = 9n;
    waker.stir();
    await eventually('rows are asked for', () => feed.asked > 0);
    reader.left = 1;
    waker.stir();
    await waiting;
    await batches.return(undefined);
  });
});
