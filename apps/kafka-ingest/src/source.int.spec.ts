import { randomBytes } from 'node:crypto';
import { eventually, kcat, startKafka, type Kafka } from '@planasonix/testing';
import { Kafka as Client, logLevel, Partitioners, type Admin, type Producer } from 'kafkajs';
import { StreamUnderTest } from './stream-under-test.js';

const rising = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

describe('a stream of records', () => {
  let kafka: Kafka;
  let admin: Admin;
  let producer: Producer;
  let names = 0;
  const streams: StreamUnderTest[] = [];

  beforeAll(async () => {
    kafka = await startKafka({ properties: { 'log.retention.check.interval.ms': '200' } });
    const client = new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING });
    admin = client.admin();
    producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await Promise.all([admin.connect(), producer.connect()]);
  }, 90_000);
  afterEach(async () => {
    for (const stream of streams.splice(0)) await stream.stop();
  });
  afterAll(async () => {
    await Promise.all([admin.disconnect(), producer.disconnect()]);
    await kafka.stop();
  });

  async function topic(numPartitions = 1, name = `t${++names}`): Promise<string> {
    await admin.createTopics({ topics: [{ topic: name, numPartitions }] });
    return name;
  }

  function stream(config: Readonly<Record<string, unknown>>): StreamUnderTest {
    const made = new StreamUnderTest(`str_${++names}`, config, { brokers: kafka.brokers });
    streams.push(made);
    return made;
  }

  const put = (to: string, values: readonly (string | Buffer | null)[], partition = 0) =>
    producer.send({ topic: to, messages: values.map((value) => ({ partition, key: 'k', value })) });

  /** kafkajs loses what goes to a partition that it does not know yet, and fails for ever over a topic that is gone. */
  const putByKcat = (to: string, partition: number, value: string) =>
    kcat(['-b', kafka.brokers[0]!, '-P', '-t', to, '-p', String(partition)], `${value}\n`);

  const has = (of: StreamUnderTest, count: number) =>
    eventually(`${count} records`, () => of.events.length >= count || (of.failure && Promise.reject(of.failure)));

  it('hands each record over as it came: digits, text, bytes, nulls, headers, times', async () => {
    const t = await topic();
    const json = '{"n":12345678901234567890.10, "a":1, "a":2}';
    await producer.send({
      topic: t,
      messages: [
        { partition: 0, key: '{"id":1}', value: json, timestamp: '1700000000123', headers: { h: ['1', '2'] } },
        { partition: 0, key: 'plain', value: 'not json' },
        { partition: 0, key: Buffer.from([0xff]), value: Buffer.from([0xfe, 0xff]) },
        { partition: 0, key: null, value: null },
        { partition: 0, key: '', value: 'null' },
      ],
    });
    await kcat(['-b', kafka.brokers[0]!, '-P', '-t', t, '-K', ':', '-H', 'z=1', '-H', 'a=2', '-H', 'z=3'], 'k:{}\n');
    const s = stream({ topics: [t] });
    s.start();
    await has(s, 6);
    const [first, second, third, fourth, fifth, sixth] = s.events;
    expect(first).toMatchObject({
      type: 'com.planasonix.kafka.record',
      subject: t,
      time: '2023-11-14T22:13:20.123Z',
      partitionkey: '{"id":1}',
    });
    expect(first!.data.toString()).toContain(`"value":${json},"value_encoding":"json"`);
    expect(s.data()[0]).toMatchObject({
      key: { id: 1 },
      key_encoding: 'json',
      headers: [
        ['h', '1', 'text'],
        ['h', '2', 'text'],
      ],
    });
    expect(s.data()[0]!.source).toMatchObject({ topic: t, partition: 0, offset: 0, timestamp: 1_700_000_000_123 });
    expect(s.data()[1]).toMatchObject({
      key: 'plain',
      key_encoding: 'text',
      value: 'not json',
      value_encoding: 'text',
    });
    expect(second!.partitionkey).toBe('plain');
    expect(s.data()[2]).toMatchObject({ key: '/w==', key_encoding: 'base64', value: '/v8=', value_encoding: 'base64' });
    expect(third!.partitionkey).toBe('/w==');
    expect(s.data()[3]).toMatchObject({ key: null, key_encoding: 'none', value: null, value_encoding: 'none' });
    expect(fourth!.partitionkey).toBe('');
    expect(s.data()[4]).toMatchObject({ key: '', key_encoding: 'text', value: null, value_encoding: 'json' });
    expect(fifth!.id.endsWith('/0/4')).toBe(true);
    expect(s.data()[5]!.headers).toEqual([
      ['z', '1', 'text'],
      ['a', '2', 'text'],
      ['z', '3', 'text'],
    ]);
    expect(sixth!.order! > fifth!.order!).toBe(true);
  });

  it('sets aside what does not fit a fixed format, with its place, and goes on', async () => {
    const t = await topic();
    await put(t, ['{"a":1}', 'not json', null, '2']);
    const s = stream({ topics: [t], format: 'json' });
    s.start();
    await has(s, 3);
    expect(s.values()).toEqual([{ a: 1 }, null, 2]);
    expect(s.aside).toMatchObject([{ place: `${t}/0 at 1`, reason: 'The value is not JSON.' }]);
    expect(s.lines.join('\n')).not.toContain('not json');
  });

  it('goes on exactly where it was, killed at any batch: each record once', async () => {
    const t = await topic(3);
    for (const partition of rising(3)) await put(t, rising(2500).map(String), partition);
    const s = stream({ topics: [t] });
    for (let kill = 0; kill < 12; kill++) {
      let left = 1 + (kill % 4);
      s.beforeEach = () => {
        if (left-- === 0) throw new Error('killed');
      };
      s.start();
      await eventually('it ends or has all', () => s.failure ?? s.events.length === 7500);
      await s.stop();
    }
    s.beforeEach = () => undefined;
    s.start();
    await has(s, 7500);
    expect(new Set(s.events.map(({ id }) => id)).size).toBe(7500);
    expect(s.events.length).toBe(7500);
    for (const partition of rising(3)) {
      const offsets = s
        .data()
        .filter(({ source }) => source.partition === partition)
        .map(({ source }) => source.offset);
      expect(offsets).toEqual(rising(2500));
    }
  }, 60_000);

  it('reads nothing but its own positions: the group is written and never read (trap 24)', async () => {
    const t = await topic();
    await put(t, ['0', '1', '2']);
    const s = stream({ topics: [t] });
    s.start();
    await has(s, 3);
    await s.stop();
    const group = s.owned['group']!;
    const committed = async () => (await admin.fetchOffsets({ groupId: group, topics: [t] }))[0]!.partitions[0]!.offset;
    expect(await committed()).toBe('3');
    await admin.setOffsets({ groupId: group, topic: t, partitions: [{ partition: 0, offset: '0' }] });
    await put(t, ['3']);
    s.start();
    await has(s, 4);
    await s.stop();
    expect(s.values()).toEqual([0, 1, 2, 3]);
    await admin.deleteGroups([group]);
    await put(t, ['4']);
    s.start();
    await has(s, 5);
    expect(s.values()).toEqual([0, 1, 2, 3, 4]);
    await s.stop();
    const released = await s.look((source) => source.release({ force: false }, AbortSignal.timeout(5000)));
    expect(released).toEqual({ released: [`group ${group}`], remaining: [] });
    expect((await admin.listGroups()).groups.map(({ groupId }) => groupId)).not.toContain(group);
  }, 60_000);

  describe('where it starts', () => {
    it('latest holds also where it is killed before the first record came', async () => {
      const t = await topic(2);
      await put(t, ['old']);
      const s = stream({ topics: [t], start: 'latest' });
      s.start();
      await eventually('it has begun', () => s.kept.size > 0);
      await s.stop();
      await put(t, ['while it was away'], 1);
      await put(t, ['then']);
      s.start();
      await has(s, 2);
      expect(s.values().sort()).toEqual(['then', 'while it was away']);
    });

    it('a timestamp, or offsets of which the others are earliest', async () => {
      const t = await topic(2);
      const at = (ms: number, value: string) => ({ partition: 0, value, timestamp: String(ms) });
      const base = Date.parse('2026-01-31T00:00:00Z');
      await producer.send({ topic: t, messages: [at(base - 1, 'before'), at(base, 'at'), at(base + 1, 'after')] });
      await put(t, ['other 0', 'other 1'], 1);
      const byTime = stream({ topics: [t], start: { timestamp: '2026-01-31T01:00:00+01:00' } });
      byTime.start();
      await has(byTime, 4);
      expect(byTime.values().sort()).toEqual(['after', 'at', 'other 0', 'other 1']);
      const byOffset = stream({ topics: [t], start: { offsets: { [t]: { '0': 2 } } } });
      byOffset.start();
      await has(byOffset, 3);
      expect(byOffset.values().sort()).toEqual(['after', 'other 0', 'other 1']);
    });

    it('partitions and topics that come later are read from their first record', async () => {
      const prefix = `late${++names}`;
      await topic(1, `${prefix}.a`);
      await put(`${prefix}.a`, ['old']);
      const s = stream({ topic_pattern: `${prefix}\\.[a-z]+`, start: 'latest' });
      s.start();
      await eventually('it has begun', () => s.kept.size > 0);
      await admin.createPartitions({ topicPartitions: [{ topic: `${prefix}.a`, count: 2 }] });
      await topic(1, `${prefix}.b`);
      await topic(1, `${prefix}-other`);
      await putByKcat(`${prefix}.a`, 1, 'a1');
      await putByKcat(`${prefix}.b`, 0, 'b0');
      await put(`${prefix}-other`, ['no']);
      await has(s, 2);
      expect(s.values().sort()).toEqual(['a1', 'b0']);
      // A topic that was merely matched may go.
      await admin.deleteTopics({ topics: [`${prefix}.b`] });
      await putByKcat(`${prefix}.a`, 1, 'a2');
      await eventually('the topic is forgotten', () => s.lines.some((line) => line.includes('is gone')));
      await putByKcat(`${prefix}.a`, 1, 'a3');
      await has(s, 4);
      expect(s.values().slice(2)).toEqual(['a2', 'a3']);
      // Its first records would be taken for those of the old one, and dropped by the log (Invariant 2).
      await topic(1, `${prefix}.b`);
      await putByKcat(`${prefix}.b`, 0, 'another b0');
      expect(await s.outcome()).toMatchObject({ code: 'topic_recreated', recourse: 'lost' });
    }, 60_000);
  });

  describe('a place that is lost is an error, never a jump (traps 24, 25a)', () => {
    it('retention that overtook us, with the range; skip goes on at what there is and keeps the other partitions', async () => {
      const t = await topic(2);
      await put(t, rising(10).map(String));
      await put(t, ['x0', 'x1'], 1);
      const s = stream({ topics: [t] });
      s.start();
      await has(s, 12);
      await s.stop();
      await put(t, rising(10, 10).map(String));
      await put(t, ['x2'], 1);
      await admin.fetchTopicOffsets(t);
      await admin.deleteTopicRecords({ topic: t, partitions: [{ partition: 0, offset: '15' }] });
      await expect(s.lag()).rejects.toMatchObject({ code: 'offset_out_of_range' });
      s.start();
      const failure = await s.outcome();
      expect(failure).toMatchObject({ code: 'offset_out_of_range', recourse: 'lost' });
      expect(failure!.message).toBe(`Records 10 to 14 of ${t}/0 are gone: the broker holds 15 to 19.`);
      expect(failure!.hint).toContain('onLostPosition');
      s.start('skip');
      await has(s, 18);
      await s.stop();
      const read = (partition: number) =>
        s
          .data()
          .filter(({ source }) => source.partition === partition)
          .map(({ source }) => source.offset);
      expect(read(0)).toEqual([...rising(10), ...rising(5, 15)]);
      expect(read(1)).toEqual([0, 1, 2]);
      s.events.splice(0);
      s.start('resnapshot');
      await has(s, 8);
      expect(read(0)).toEqual(rising(5, 15));
      expect(read(1)).toEqual([0, 1, 2]);
    }, 60_000);

    it('retention that overtakes us while we wait', async () => {
      const t = await topic();
      await put(t, rising(600).map(String));
      const s = stream({ topics: [t] });
      let open: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => (open = resolve));
      s.beforeEach = () => gate;
      s.start();
      await eventually('it reads', () => s.connected);
      for (let from = 0; from < 3000; from += 300)
        await put(
          t,
          rising(300, from).map((n) => `${n} ${randomBytes(1000).toString('hex')}`),
        );
      await admin.fetchTopicOffsets(t);
      await admin.deleteTopicRecords({ topic: t, partitions: [{ partition: 0, offset: '3600' }] });
      open();
      const failure = await s.outcome();
      expect(failure).toMatchObject({ code: 'offset_out_of_range' });
      // What was fetched before came whole and in order.
      expect(s.data().map(({ source }) => source.offset)).toEqual(rising(s.events.length));
    }, 60_000);

    it('a topic that was made anew, running or stopped', async () => {
      const t = await topic();
      await put(t, ['0', '1']);
      const s = stream({ topics: [t] });
      s.start();
      await has(s, 2);
      await admin.deleteTopics({ topics: [t] });
      await topic(1, t);
      await put(t, ['new 0', 'new 1', 'new 2']);
      expect(await s.outcome()).toMatchObject({ code: 'topic_recreated', recourse: 'lost' });
      s.start();
      expect(await s.outcome()).toMatchObject({ code: 'topic_recreated' });
      s.start('skip');
      await has(s, 5);
      expect(s.values().slice(2)).toEqual(['new 0', 'new 1', 'new 2']);
      expect(new Set(s.events.map(({ id }) => id)).size).toBe(5);
    }, 60_000);

    it('a topic that is deleted, or that never was', async () => {
      const t = await topic();
      const s = stream({ topics: [t] });
      s.start();
      await eventually('it reads', () => s.connected);
      await admin.deleteTopics({ topics: [t] });
      expect(await s.outcome()).toMatchObject({ code: 'topic_missing', message: `There is no topic ${t}.` });
      expect((await s.check()).filter(({ severity }) => severity === 'error')).toMatchObject([
        { code: 'topic_missing' },
      ]);
    }, 60_000);
  });

  it('tells how far it is behind, in records and in time, also while nobody reads', async () => {
    const t = await topic(2);
    await put(t, ['0', '1']);
    const s = stream({ topics: [t] });
    s.start();
    await has(s, 2);
    expect(await s.lag()).toMatchObject({ oldestPendingMs: null, backlogRecords: 0 });
    await s.stop();
    const base = Date.now() - 60_000;
    await producer.send({
      topic: t,
      messages: rising(7).map((i) => ({ partition: 0, value: 'x', timestamp: String(base + i) })),
    });
    await put(t, ['y'], 1);
    expect(await s.lag()).toMatchObject({ oldestPendingMs: base, backlogRecords: 8 });
    s.start();
    await has(s, 10);
    expect(await s.lag()).toMatchObject({ oldestPendingMs: null, backlogRecords: 0 });
    // While the log takes nothing more: what waits is as old as itself, not as what was read before it.
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    s.beforeEach = () => gate;
    await put(t, ['held'], 1);
    const since = Date.now();
    await eventually('something waits', async () => (await s.lag()).backlogRecords === 1);
    await put(t, ['fresh']);
    await eventually('its age is told', async () => {
      const { backlogRecords, oldestPendingMs } = await s.lag();
      return backlogRecords === 2 && oldestPendingMs! > since - 1_000;
    }).finally(open);
  }, 30_000);

  it('goes where a user says, while it is stopped', async () => {
    const t = await topic(2);
    await put(t, rising(5).map(String));
    await put(t, ['x0'], 1);
    const s = stream({ topics: [t] });
    s.start();
    await has(s, 6);
    await s.stop();
    const settle = (wanted: unknown) => s.look((source) => source.settle!(wanted, s.kept, AbortSignal.timeout(5000)));
    await expect(settle({ [t]: { '0': 9 } })).rejects.toMatchObject({ code: 'offset_out_of_range' });
    await expect(settle({ lsn: '0/0' })).rejects.toMatchObject({ code: 'config_invalid' });
    const settled = await settle({ [t]: { '0': 3 } });
    for (const [name, position] of settled) s.kept.set(name, position);
    s.start();
    await has(s, 8);
    expect(
      s
        .data()
        .slice(6)
        .map(({ source }) => [source.partition, source.offset]),
    ).toEqual([
      [0, 3],
      [0, 4],
    ]);
  });
});
