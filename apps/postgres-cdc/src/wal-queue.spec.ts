import type { ChangeEvent } from '@planasonix/core';
import fc from 'fast-check';
import type { StreamDecoder } from './decode/index.js';
import { WalQueue } from './wal-queue.js';

/** A fake of the decoder's outside: what it has decoded, and whether a transaction is open. */
function fakeDecoder() {
  return {
    events: [] as ChangeEvent[],
    bytes: 0,
    inTransaction: false,
    commitMs: 0,
    take(): ChangeEvent[] {
      const { events } = this;
      this.events = [];
      this.bytes = 0;
      return events;
    },
  };
}

describe('the queue between decoder and engine', () => {
  it('hands every change over once, in order; a position only where a commit ends, never in the middle of one (Invariant 5)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 2500 }), fc.boolean()), { maxLength: 12 }),
        (transactions) => {
          const decoder = fakeDecoder();
          const queue = new WalQueue(decoder as unknown as StreamDecoder);
          const out: { n: number; end: bigint | null }[] = [];
          const seen: number[] = [];
          const ends = new Map<bigint, number>();
          const pull = (): void => {
            for (let batch = queue.next(); batch !== null; batch = queue.next()) {
              expect(batch.events.length).toBeLessThanOrEqual(3500);
              seen.push(...batch.events.map((event) => Number(event.id)));
              out.push({ n: seen.length, end: batch.endLsn });
            }
          };
          let total = 0;
          transactions.forEach(([size, pulls], t) => {
            decoder.inTransaction = true;
            decoder.commitMs = t;
            for (let i = 0; i < size; i++) {
              decoder.events.push({ id: String(total++), data: Buffer.alloc(10), timeMs: t } as ChangeEvent);
              decoder.bytes += 10;
              queue.changed();
            }
            decoder.inTransaction = false;
            const end = BigInt(t + 1);
            ends.set(end, total);
            queue.committedUpTo(end);
            if (pulls) pull();
          });
          pull();
          expect(seen).toEqual(Array.from({ length: total }, (_, i) => i));
          // At each position, exactly the changes up to that commit have been handed over.
          for (const { n, end } of out) if (end !== null) expect(n).toBe(ends.get(end));
          expect(queue.empty).toBe(true);
        },
      ),
    );
  });

  it('says when it is full, and when there is room again (Invariant 6)', () => {
    const decoder = fakeDecoder();
    const queue = new WalQueue(decoder as unknown as StreamDecoder);
    for (let i = 0; !queue.full; i++) {
      expect(i).toBeLessThan(100_000);
      decoder.events.push({ id: String(i), data: Buffer.alloc(100), timeMs: 1 } as ChangeEvent);
      decoder.bytes += 100;
      queue.changed();
    }
    expect(queue.roomy).toBe(false);
    while (!queue.roomy) expect(queue.next()).not.toBeNull();
    expect(queue.full).toBe(false);
  });
});
