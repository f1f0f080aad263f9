import { systemClock } from '@planasonix/core';
import type { KafkaCluster } from './client-cluster.js';
import { batchesOf, endOf } from './consumer-batch.js';
import type { Fetched } from './consumer-fetch.js';
import { FetchReader } from './consumer-reader.js';
import { encodeBatch } from './record-batch.js';

const LENGTH_AT = 8;

function batch(length?: number): Buffer {
  const identity = { producerId: 1, producerEpoch: 0, sequence: 0, timestamp: 0 };
  const bytes = encodeBatch([{ key: null, value: Buffer.from('v'), headers: [] }], identity);
  if (length !== undefined) bytes.writeInt32BE(length, LENGTH_AT);
  return bytes;
}

/** Of a batch; -12 would lead to its own begin. */
const IMPOSSIBLE = [-12, -13, 0, 48, -2_147_483_648];

describe('a batch with a length that can not be', () => {
  it.each(IMPOSSIBLE)('%d: ends what is whole, and is told', (length) => {
    expect(endOf(batch(length))).toBeNull();
    expect(endOf(Buffer.concat([batch(), batch(length)]))).toMatchObject({ offset: 1 });
    const batches = batchesOf(Buffer.concat([batch(), batch(length)]));
    expect(batches.next().value).toMatchObject({ firstOffset: 0 });
    expect(() => batches.next()).toThrow(/shorter than its own head/);
  });

  it('is an obstacle to whoever reads, also where nothing whole is before it', async () => {
    const place = { topic: 't', topicId: 'id', partition: 0, offset: 0, leaderEpoch: 0 };
    const records = batch(-12);
    const answer = { topicId: 'id', partition: 0, error: 0, divergedAt: null, end: 9, aborted: [], records };
    const partitions = [{ partition: 0, leader: 1 }];
    const cluster: Partial<KafkaCluster> = {
      view: () => Promise.resolve({ brokers: new Map(), topics: [{ topic: 't', partitions }] } as never),
      send: (() => Promise.resolve([answer as unknown as Fetched])) as never,
    };
    const reader = new FetchReader({ cluster: cluster as KafkaCluster, clock: systemClock });
    reader.add([place]);
    await expect(reader.next(10_000)).rejects.toMatchObject({
      obstacle: { kind: 'damaged', place: { offset: 0 }, why: expect.stringContaining('shorter'), next: null },
    });
    reader.close();
  });
});
