import { systemClock } from '@planasonix/core';
import { becomes, eventually, startKafka, type Kafka } from '@planasonix/testing';
import { randomBytes } from 'node:crypto';
import { CLIENTS } from './clients-under-test.js';
import { ClusterUnderTest } from './cluster-under-test.js';
import { lagging } from './connection-error.js';
import { LATEST, type KafkaRecord, type Place, type ReadSoFar } from './index.js';

const never = new AbortController().signal;
const texts = (records: readonly KafkaRecord[]) => records.map(({ value }) => value?.toString() ?? null);
const rising = (count: number) => Array.from({ length: count }, (_, i) => i);

describe.each(CLIENTS)('over %s, reading a cluster', (_, client) => {
  let server: Kafka;
  let kafka: ClusterUnderTest;
  beforeAll(async () => {
    server = await startKafka({ properties: { 'log.cleaner.backoff.ms': '200', 'message.max.bytes': '4000000' } });
    kafka = new ClusterUnderTest(server, client);
  });
  afterAll(async () => {
    await kafka.close();
    await server.stop();
  });

  it.each(['gzip', 'snappy', 'lz4', 'zstd', 'none'])(
    'reads what librdkafka and Java compressed with %s (trap 25)',
    async (codec) => {
      const lines = rising(3000).map(
        (i) => `k${i}:${i} ${'lorem ipsum '.repeat(i % 40)}${randomBytes(i % 50).toString('hex')}`,
      );
      const values = lines.map((line) => line.slice(line.indexOf(':') + 1));
      await kafka.create(`c-${codec}`);
      await kafka.put(`c-${codec}`, lines, '-z', codec);
      expect(texts(await kafka.all(`c-${codec}`))).toEqual(values);
      if (codec === 'none') return;
      // The broker, which is Java, compresses anew where the topic wants another codec.
      await kafka.create(`j-${codec}`, { configEntries: [{ name: 'compression.type', value: codec }] });
      await kafka.put(`j-${codec}`, lines);
      expect(texts(await kafka.all(`j-${codec}`))).toEqual(values);
    },
    30_000,
  );

  it('keeps nulls, empty ones, bytes, times and headers as they came (trap 25)', async () => {
    await kafka.create('odd');
    const producer = await kafka.producer();
    const bytes = Buffer.from([0xff, 0x00, 0xfe]);
    await producer.send({
      topic: 'odd',
      messages: [
        { partition: 0, key: null, value: null, timestamp: '1700000000123' },
        {
          partition: 0,
          key: '',
          value: '',
          headers: { constructor: 'c', '10': 'ten', b: ['1', '2'], '2': bytes, __proto__x: '' },
        },
        { partition: 0, key: bytes, value: bytes },
      ],
    });
    const names = ['z=1', 'a=2', 'z=3', '__proto__=4', 'toString=5', '__proto__=6'];
    await kafka.put('odd', ['k:v'], ...names.flatMap((header) => ['-H', header]));
    const [first, second, third, fourth] = await kafka.all('odd');
    expect(first).toMatchObject({ offset: 0, timestamp: 1_700_000_000_123, key: null, value: null, headers: [] });
    expect(second!.key).toEqual(Buffer.alloc(0));
    expect(second!.value).toEqual(Buffer.alloc(0));
    expect(second!.headers).toContainEqual(['constructor', Buffer.from('c')]);
    expect(second!.headers).toContainEqual(['2', bytes]);
    expect(second!.headers.filter(([name]) => name === 'b').map(([, value]) => value!.toString())).toEqual(['1', '2']);
    expect(third).toMatchObject({ key: bytes, value: bytes });
    expect(fourth!.headers.map(([name, value]) => `${name}=${value!.toString()}`)).toEqual(names);
  });

  it('takes the time of the broker where the topic wants that', async () => {
    await kafka.create('stamped', { configEntries: [{ name: 'message.timestamp.type', value: 'LogAppendTime' }] });
    const producer = await kafka.producer();
    const begun = Date.now();
    await producer.send({ topic: 'stamped', messages: [{ partition: 0, value: 'v', timestamp: '1700000000123' }] });
    const [record] = await kafka.all('stamped');
    expect(Math.abs(record!.timestamp - begun)).toBeLessThan(10_000);
  });

  it('reads a record as large as the broker takes, between small ones, and chunks that are bounded', async () => {
    await kafka.create('large', { configEntries: [{ name: 'max.message.bytes', value: '4000000' }] });
    const large = randomBytes(1_900_000).toString('hex');
    await kafka.put('large', ['a:1', `b:${large}`, 'c:3'], '-X', 'message.max.bytes=4000000');
    expect(texts(await kafka.all('large')).map((text) => text!.length)).toEqual([1, 3_800_000, 1]);
    await kafka.put(
      'large',
      rising(1200).map((i) => `k:${i}`),
    );
    expect(texts(await kafka.all('large', { chunkRecords: 7 })).slice(3)).toEqual(rising(1200).map(String));
  });

  it('holds no more than some answers, however many partitions have something (Invariant 6)', async () => {
    await kafka.create('wide', { numPartitions: 30 });
    const producer = await kafka.producer();
    const messages = rising(600).map((i) => ({ partition: i % 30, value: randomBytes(500) }));
    for (let round = 0; round < 3; round++) await producer.send({ topic: 'wide', messages });
    const cluster = kafka.cluster();
    const limits = { maxBytes: 20_000, partitionBytes: 10_000 };
    const reader = kafka.reader(cluster, { limits, chunkRecords: 1 });
    reader.add(await kafka.places(cluster, 'wide'));
    let most = 0;
    for (let seen = 0; seen < 1800; most = Math.max(most, reader.heldBytes)) {
      seen += (await reader.next(5000))!.records.length;
      // Whoever takes them has other things to do, and the brokers answer meanwhile.
      await new Promise(setImmediate);
    }
    // One answer may come over the bound.
    expect(most).toBeLessThan(6 * limits.maxBytes);
  });

  it('never shows what a transaction gave up, interleaved as it may be (trap 25a)', async () => {
    await kafka.create('tx', { numPartitions: 2 });
    const markerLike = Buffer.from([0, 0, 0, 0]);
    const producers = await Promise.all(
      rising(4).map((i) => kafka.producer({ transactionalId: `t${i}`, idempotent: true, maxInFlightRequests: 1 })),
    );
    const committed: string[] = [];
    for (let round = 0; round < 12; round++) {
      const open = await Promise.all(producers.map((producer) => producer.transaction()));
      const fates = open.map((_, i) => (round * 7 + i * 3) % 5 < 2);
      for (let part = 0; part < 3; part++)
        for (const [i, transaction] of open.entries()) {
          const value = `${round}/${i}/${part}`;
          const messages = [{ partition: part % 2, key: part === 0 ? markerLike : `k${i}`, value }];
          await transaction.send({ topic: 'tx', messages });
          if (fates[i] === false) committed.push(value);
        }
      // Ended in another order than begun: the broker lists those that were given up by their end.
      for (const i of [2, 0, 3, 1]) await (fates[i] ? open[i]!.abort() : open[i]!.commit());
    }
    for (const limits of [{}, { partitionBytes: 300, maxBytes: 300 }, { partitionBytes: 3000, maxBytes: 2000 }]) {
      const seen = async () => texts(await kafka.all('tx', { limits })).filter((value) => value !== null);
      await becomes(async () => (await seen()).sort(), [...committed].sort());
    }
  });

  it('goes past the holes of a compacted topic, from an offset that was removed', async () => {
    const entries = { 'cleanup.policy': 'compact', 'segment.ms': '100', 'min.cleanable.dirty.ratio': '0.01' };
    await kafka.create('compact', { configEntries: Object.entries(entries).map(([name, value]) => ({ name, value })) });
    for (let i = 0; i < 30; i++) await kafka.put('compact', [`k${i % 3}:${i}`]);
    await eventually('most is removed', async () => {
      await kafka.put('compact', ['roll:1']);
      return (await kafka.all('compact')).length <= 10;
    });
    const cluster = kafka.cluster();
    const [place] = await kafka.places(cluster, 'compact');
    // The broker may go on removing between the two.
    await eventually('from a hole it goes on at what is behind it', async () => {
      const offsets = (await kafka.all('compact')).map(({ offset }) => offset);
      expect(new Set(offsets).size).toBe(offsets.length);
      const hole = rising(30).find((offset) => !offsets.includes(offset))!;
      const reader = kafka.reader(cluster);
      reader.add([{ ...place!, offset: hole }]);
      const first = (await reader.next(5000))!.records[0]!.offset;
      reader.close();
      return first > hole && first === offsets.find((offset) => offset > hole);
    });
  });

  describe('a place that is not there', () => {
    const obstacle = async (place: Place) => {
      const reader = kafka.reader(kafka.cluster());
      reader.add([place]);
      for (;;) if ((await reader.next(10_000)) === null) return 'nothing';
    };

    it('is said, whether it is too early or too late; no jump (traps 24, 25a)', async () => {
      await kafka.create('range');
      await kafka.put(
        'range',
        rising(10).map((i) => `k:${i}`),
      );
      const admin = await kafka.admin();
      await admin.fetchTopicOffsets('range');
      await admin.deleteTopicRecords({ topic: 'range', partitions: [{ partition: 0, offset: '5' }] });
      const [place] = await kafka.places(kafka.cluster(), 'range');
      expect(place!.offset).toBe(5);
      for (const offset of [4, 11])
        await expect(obstacle({ ...place!, offset })).rejects.toMatchObject({ obstacle: { kind: 'out_of_range' } });
    });

    it('is not said by a broker that knows less of its leaders than was read: others are waited for (Invariant 2)', async () => {
      await kafka.create('older');
      await kafka.put('older', ['k:0', 'k:1']);
      const cluster = kafka.cluster();
      const [place] = await kafka.places(cluster, 'older');
      const reader = kafka.reader(cluster, { patienceMs: 500 });
      reader.add([{ ...place!, offset: 9, leaderEpoch: 7 }]);
      await expect(reader.next(10_000)).rejects.toMatchObject({
        ...{ code: 'source_unreachable', hint: expect.stringContaining('PUT …/position') },
        message: expect.stringContaining('do not know of the newest leader that is known of older/0'),
      });
      // Nor is it asked where the end is.
      const hasty = kafka.cluster({}, {}, { ...systemClock, sleep: () => Promise.resolve(true) });
      const ends = (read?: ReadSoFar) =>
        hasty.offsets([{ topic: 'older', partition: 0, timestamp: LATEST, ...(read && { read }) }], never);
      await expect(ends({ topicId: place!.topicId, leaderEpoch: 7 })).rejects.toThrow(lagging('older/0').message);
      // Epochs of another topic say nothing of this one.
      for (const read of [undefined, { topicId: 'f'.repeat(32), leaderEpoch: 7 }])
        expect(await ends(read)).toMatchObject([{ error: 0, offset: 2 }]);
    });

    it('is said of a topic that was made anew under its name, also where it has as many records', async () => {
      await kafka.create('anew');
      await kafka.put('anew', ['k:old 0', 'k:old 1']);
      const [place] = await kafka.places(kafka.cluster(), 'anew');
      const admin = await kafka.admin();
      await admin.deleteTopics({ topics: ['anew'] });
      await kafka.create('anew');
      await kafka.put('anew', ['k:new 0', 'k:new 1', 'k:new 2']);
      for (const leaderEpoch of [-1, 7])
        await expect(obstacle({ ...place!, offset: 2, leaderEpoch })).rejects.toMatchObject({
          obstacle: { kind: 'topic_gone' },
        });
    });
  });

  it('reads on over a broker that is killed', async () => {
    await kafka.create('killed', { numPartitions: 2 });
    await kafka.put('killed', ['a:1', 'b:2']);
    const cluster = kafka.cluster();
    const reader = kafka.reader(cluster);
    reader.add(await kafka.places(cluster, 'killed'));
    const seen: string[] = [];
    const until = async (count: number) => {
      while (seen.length < count) seen.push(...(texts((await reader.next(1000))?.records ?? []) as string[]));
    };
    await until(2);
    await server.nodes[0]!.kill();
    const waiting = until(4);
    await server.nodes[0]!.start();
    await kafka.put('killed', ['a:3', 'b:4']);
    await waiting;
    expect(seen.sort()).toEqual(['1', '2', '3', '4']);
  });
});
