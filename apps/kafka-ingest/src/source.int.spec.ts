import { KafkaCluster } from '@planasonix/kafka';
import { eventually, kcat } from '@planasonix/testing';
import type { Admin } from 'kafkajs';
import { rising, TopicsUnderTest } from './topics-under-test.js';

describe('a stream of records', () => {
  let world: TopicsUnderTest;
  let admin: Admin;
  beforeAll(async () => {
    world = await TopicsUnderTest.start();
    ({ admin } = world);
  });
  afterEach(() => world.stopStreams());
  afterAll(() => world.stop());

  it('hands each record over as it came: digits, text, bytes, nulls, headers, times', async () => {
    const t = await world.topic();
    const json = '{"n":12345678901234567890.10, "a":1, "a":2}';
    await world.producer.send({
      topic: t,
      messages: [
        { partition: 0, key: '{"id":1}', value: json, timestamp: '1700000000123', headers: { h: ['1', '2'] } },
        { partition: 0, key: 'plain', value: 'not json' },
        { partition: 0, key: Buffer.from([0xff]), value: Buffer.from([0xfe, 0xff]) },
        { partition: 0, key: null, value: null },
        { partition: 0, key: '', value: 'null' },
      ],
    });
    const headers = ['z=1', 'a=2', '__proto__=p', 'z=3', 'constructor=c', 'nil'].flatMap((header) => ['-H', header]);
    await kcat(['-b', world.kafka.brokers[0]!, '-P', '-t', t, '-K', ':', ...headers], 'k:{}\n');
    const s = world.stream({ topics: [t] });
    s.start();
    await world.has(s, 6);
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
      ['__proto__', 'p', 'text'],
      ['z', '3', 'text'],
      ['constructor', 'c', 'text'],
      ['nil', null, 'none'],
    ]);
    expect(sixth!.order! > fifth!.order!).toBe(true);
  });

  it('sets aside what does not fit a fixed format, with its place, and goes on', async () => {
    const t = await world.topic();
    await world.put(t, ['{"a":1}', 'not json', null, '2']);
    const s = world.stream({ topics: [t], format: 'json' });
    s.start();
    await world.has(s, 3);
    expect(s.values()).toEqual([{ a: 1 }, null, 2]);
    expect(s.aside).toMatchObject([{ place: `${t}/0 at 1`, reason: 'The value is not JSON.' }]);
    expect(s.lines.join('\n')).not.toContain('not json');
  });

  it('goes on exactly where it was, killed at any batch: each record once', async () => {
    const t = await world.topic(3);
    for (const partition of rising(3)) await world.put(t, rising(2500).map(String), partition);
    const s = world.stream({ topics: [t] });
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
    await world.has(s, 7500);
    expect(new Set(s.events.map(({ id }) => id)).size).toBe(7500);
    expect(s.events.length).toBe(7500);
    for (const partition of rising(3)) {
      const offsets = s
        .data()
        .filter(({ source }) => source.partition === partition)
        .map(({ source }) => source.offset);
      expect(offsets).toEqual(rising(2500));
    }
  });

  it('reads nothing but its own positions: the group is written and never read (trap 24)', async () => {
    const t = await world.topic();
    await world.put(t, ['0', '1', '2']);
    const s = world.stream({ topics: [t] });
    s.start();
    await world.has(s, 3);
    const group = await eventually('the group is made', () => Promise.resolve(s.owned['group']));
    const committed = async () => (await admin.fetchOffsets({ groupId: group, topics: [t] }))[0]!.partitions[0]!.offset;
    await eventually('it is written', async () => (await committed()) === '3');
    await s.stop();
    await world.commit(group, t, 0);
    await world.put(t, ['3']);
    s.start();
    await world.has(s, 4);
    await s.stop();
    expect(s.values()).toEqual([0, 1, 2, 3]);
    await admin.deleteGroups([group]);
    await world.put(t, ['4']);
    s.start();
    await world.has(s, 5);
    expect(s.values()).toEqual([0, 1, 2, 3, 4]);
    await s.stop();
    const released = await s.look((source) => source.release({ force: false }, AbortSignal.timeout(5000)));
    expect(released).toEqual({ released: [`group ${group}`], remaining: [] });
    expect((await admin.listGroups()).groups.map(({ groupId }) => groupId)).not.toContain(group);
  });

  it('tells how far it is behind, in records and in time, also while nobody reads', async () => {
    const t = await world.topic(2);
    await world.put(t, ['0', '1']);
    const s = world.stream({ topics: [t] });
    s.start();
    await world.has(s, 2);
    expect(await s.lag()).toMatchObject({ oldestPendingMs: null, backlogRecords: 0 });
    await s.stop();
    const base = Date.now() - 60_000;
    await world.producer.send({
      topic: t,
      messages: rising(7).map((i) => ({ partition: 0, value: 'x', timestamp: String(base + i) })),
    });
    await world.put(t, ['y'], 1);
    expect(await s.lag()).toMatchObject({ oldestPendingMs: base, backlogRecords: 8 });
    s.start();
    await world.has(s, 10);
    expect(await s.lag()).toMatchObject({ oldestPendingMs: null, backlogRecords: 0 });
    // While the log takes nothing more: what waits is as old as itself, not as what was read before it.
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    s.beforeEach = () => gate;
    await world.put(t, ['held'], 1);
    const since = Date.now();
    await eventually('something waits', async () => (await s.lag()).backlogRecords === 1);
    await world.put(t, ['fresh']);
    await eventually('its age is told', async () => {
      const { backlogRecords, oldestPendingMs } = await s.lag();
      return backlogRecords === 2 && oldestPendingMs! > since - 1_000;
    }).finally(open);
  });

  it('keeps its partitions and places while nothing is taken from it, as in a pause, and goes on with them', async () => {
    const t = await world.topic(3);
    for (const partition of rising(3)) await world.put(t, rising(2).map(String), partition);
    const s = world.stream({ topics: [t] });
    s.start();
    await world.has(s, 6);
    let resume: () => void = () => undefined;
    const paused = new Promise<void>((resolve) => (resume = resolve));
    s.beforeEach = () => paused;
    const asked = jest.spyOn(KafkaCluster.prototype, 'offsets');
    try {
      for (const partition of rising(3)) await world.put(t, rising(2, 2).map(String), partition);
      await admin.createPartitions({ topicPartitions: [{ topic: t, count: 4 }] });
      for (const value of rising(4)) await world.putByKcat(t, 3, String(value));
      resume();
      await world.has(s, 16);
    } finally {
      resume();
    }
    // Where it goes on is asked of none but the one that is new.
    const places = asked.mock.calls.flatMap(([asks]) => asks.map((one) => `${one.topic}/${one.partition}`));
    asked.mockRestore();
    expect(new Set(places)).toEqual(new Set([`${t}/3`]));
    for (const partition of rising(4))
      expect(s.data().filter(({ source }) => source.partition === partition).map(({ value }) => value)).toEqual(rising(4)); // prettier-ignore
  });

  it('is not behind where nothing but what was given up, and marks of transactions, follows (trap 24)', async () => {
    const t = await world.topic();
    const producer = await world.transactional();
    const transaction = async (values: readonly string[], end: 'commit' | 'abort') => {
      const open = await producer.transaction();
      await open.send({ topic: t, messages: values.map((value) => ({ partition: 0, value })) });
      await open[end]();
    };
    const s = world.stream({ topics: [t] });
    const ended = async () => (await admin.fetchTopicOffsets(t))[0]!.high;
    const upToDate = () =>
      eventually('it is up to date', async () => {
        const { backlogRecords, oldestPendingMs } = await s.lag();
        return backlogRecords === 0 && oldestPendingMs === null;
      });
    await transaction(['0', '1'], 'commit');
    await transaction(['2', '3', '4'], 'abort');
    s.start();
    await world.has(s, 2);
    await upToDate();
    await transaction(['5'], 'abort');
    await eventually('its mark is there', async () => (await ended()) === '9');
    await upToDate();
    await s.stop();
    // The position is behind the marks: also while nobody reads.
    await upToDate();
    await transaction(['6'], 'abort');
    await eventually('what follows waits, though it will not show', async () => (await s.lag()).backlogRecords === 2);
    s.start();
    await upToDate();
    expect(s.values()).toEqual([0, 1]);
    const offsets = { groupId: s.owned['group']!, topics: [t] };
    const shown = async () => (await admin.fetchOffsets(offsets))[0]!.partitions[0]!.offset;
    await eventually('people see it, too', async () => (await shown()) === '11');
  });

  it('goes where a user says, while it is stopped', async () => {
    const t = await world.topic(2);
    await world.put(t, rising(5).map(String));
    await world.put(t, ['x0'], 1);
    const s = world.stream({ topics: [t] });
    s.start();
    await world.has(s, 6);
    await s.stop();
    const settle = (wanted: unknown) => s.look((source) => source.settle!(wanted, s.kept, AbortSignal.timeout(5000)));
    await expect(settle({ [t]: { '0': 9 } })).rejects.toMatchObject({ code: 'offset_out_of_range' });
    await expect(settle({ lsn: '0/0' })).rejects.toMatchObject({ code: 'config_invalid' });
    const settled = await settle({ [t]: { '0': 3 } });
    for (const [name, position] of settled) s.kept.set(name, position);
    s.start();
    await world.has(s, 8);
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
