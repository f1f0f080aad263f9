import fc from 'fast-check';
import { batchesOf, type KafkaRecord } from './consumer-batch.js';
import { BATCH_OVERHEAD, encodeBatch, recordSize, type OutRecord } from './record-batch.js';
import { HeaderWriter, headerName } from './record-headers.js';

const identity = { producerId: 4_711, producerEpoch: 3, sequence: 2 ** 31 - 1, timestamp: 1_700_000_000_123 };
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const nullable = fc.option(bytes, { nil: null });
const record = fc.record({
  key: nullable,
  value: nullable,
  headers: fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), nullable), { maxLength: 9 }),
});

/** One after the other in the same memory, some of them together. */
const writer = new HeaderWriter();

const made = (of: { key: Buffer | null; value: Buffer | null; headers: [string, Buffer | null][] }): OutRecord => ({
  ...of,
  headers: [of.headers.slice(0, 2), of.headers.slice(2)].map((some) => {
    for (const [name, value] of some) writer.add(headerName(name), value);
    return writer.take();
  }),
});

describe('a batch of records', () => {
  it('is read back as it was written: null and empty keys, tombstones, repeated and null headers (trap 25)', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 200 }), (records) => {
        const [batch, ...more] = batchesOf(encodeBatch(records.map(made), identity));
        expect(more).toEqual([]);
        expect(batch).toMatchObject({ producerId: 4_711, transactional: true, control: false, count: records.length });
        expect(batch!.records()).toEqual(
          records.map((one, offset) => ({ ...one, offset, timestamp: identity.timestamp })),
        );
      }),
      { numRuns: 200 },
    );
  });

  it('is never larger than its records were said to be', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 100 }), (records) => {
        const all = records.map(made);
        const most = all.reduce((sum, one) => sum + recordSize(one), BATCH_OVERHEAD);
        expect(encodeBatch(all, identity).length).toBeLessThanOrEqual(most);
      }),
    );
  });

  it('takes values of megabytes', () => {
    const value = Buffer.alloc(9_000_000, 'x');
    const [batch] = batchesOf(encodeBatch([{ key: null, value, headers: [] }], identity));
    expect(batch!.records()[0]!.value!.equals(value)).toBe(true);
  });

  it('has headers of text as their UTF-8', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 300 }))), (texts) => {
        for (const one of texts) writer.add(headerName('name'), one);
        const [batch] = batchesOf(encodeBatch([{ key: null, value: null, headers: [writer.take()] }], identity));
        const [{ headers }] = batch!.records() as [KafkaRecord];
        expect(headers.map(([, value]) => value)).toEqual(texts.map((one) => Buffer.from(one)));
      }),
    );
  });
});
