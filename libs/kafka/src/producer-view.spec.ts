import type { KafkaRecord, RecordBatch } from './consumer-batch.js';
import { Look, type LookOptions } from './producer-view.js';

const record = (offset: number): KafkaRecord => ({ offset, timestamp: 0, key: null, value: null, headers: [] });

/** Batches of one partition, one after the other. */
class Written {
  #offset = 0;

  records(count: number, producerId = -1): RecordBatch {
    const first = this.#offset;
    this.#offset += count;
    const records = Array.from({ length: count }, (_, i) => record(first + i));
    return { ...this.#head(producerId, first), count, records: () => records };
  }

  end(producerId: number, aborts: boolean): RecordBatch {
    return { ...this.#head(producerId, this.#offset++), control: true, aborts, count: 1, records: () => [] };
  }

  #head(producerId: number, firstOffset: number) {
    const of = { firstOffset, lastOffset: this.#offset - 1, leaderEpoch: 0, maxTimestamp: 0 };
    return { ...of, producerId, transactional: producerId >= 0, control: false, aborts: false };
  }
}

describe('a look at what producers have written', () => {
  const look = (options: Partial<LookOptions>) =>
    new Look({ wanted: () => true, limit: 3, most: 1_000_000, end: 'last', ...options });
  const offsets = (of: Look): number[] => of.found.map(({ offset }) => offset);

  it('tells the last ones, however many there are, and keeps no more (Invariant 6)', () => {
    const found = look({});
    const written = new Written();
    for (let i = 0; i < 50; i++) found.take(written.records(500), 0);
    expect(offsets(found)).toEqual([24_997, 24_998, 24_999]);
    expect(found.kept).toBeLessThan(2_000);
  });

  it('leaves out what is given up later: what stood before it is told, however much came between', () => {
    const found = look({});
    const written = new Written();
    found.take(written.records(5), 0);
    for (let i = 0; i < 10; i++) found.take(written.records(500, 7), 0);
    // Not decided yet: as good as there.
    expect(offsets(found)).toEqual([5002, 5003, 5004]);
    found.take(written.end(7, true), 0);
    expect(offsets(found)).toEqual([2, 3, 4]);
    found.take(written.records(1, 8), 0);
    found.take(written.end(8, false), 0);
    expect(offsets(found)).toEqual([3, 4, 5006]);
  });

  it('tells the first ones, and is over once they are decided', () => {
    const found = look({ end: 'first' });
    const written = new Written();
    found.take(written.records(4, 7), 1);
    expect(found.over).toBe(false);
    found.take(written.end(7, false), 1);
    expect([found.over, ...offsets(found)]).toEqual([true, 1, 2, 3]);
  });

  it('goes through so many at the most, not counting those before its place', () => {
    const found = look({ most: 10 });
    const written = new Written();
    found.take(written.records(100), 95);
    expect(found.over).toBe(false);
    found.take(written.records(5), 95);
    expect(found.over).toBe(true);
  });
});
