import { Waker } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { Flow } from './flow.js';
import type { RowWork } from './row-work.js';
import type { WalReader } from './wal-reader.js';

const POSITION = { phase: 'stream', slot: 's', attempt: 1, system_id: '1', timeline: 1, lsn: '0/0' } as const;

/** A fake of the stream, with so many batches decoded: the moment between freezing and standing is the test's to choose. */
function fakeReader(decoded: number) {
  const reader = {
    ...{ frozen: false, left: decoded, reached: 0n, handedOver: 0n },
    freeze: () => void (reader.frozen = true),
    thaw: () => void (reader.frozen = false),
    get drained(): boolean {
      return reader.left === 0;
    },
    take: () => {
      if (reader.left === 0) return null;
      reader.left--;
      return { events: [], endLsn: 1n, bytes: 0, oldestMs: null };
    },
    ask: () => undefined,
  };
  return reader;
}

/** A fake of the rows that does nothing but wish, and keeps what it is told. */
function fakeWork() {
  const feed = {
    ...{ wantsStillness: false, told: [] as boolean[], waitsFor: null, idle: false },
    stands: (still: boolean) => void feed.told.push(still),
    take: () => null,
    passed: () => undefined,
  };
  return { feed, state: null, look: () => undefined, note: () => null };
}

function flowing(decoded: number) {
  const [reader, work] = [fakeReader(decoded), fakeWork()];
  const flow = new Flow({
    ...{ position: POSITION, waker: new Waker(), monotonic: () => 0, mark: () => undefined },
    work: work as unknown as RowWork,
    reader: reader as unknown as WalReader,
  });
  return { reader, feed: work.feed, batches: flow.batches(new AbortController().signal) };
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
