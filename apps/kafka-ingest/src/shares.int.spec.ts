import { isIn } from '@planasonix/core';
import { createTopics, eventually, kcat, startKafka, type Kafka } from '@planasonix/testing';
import { Kafka as Client, logLevel, type Admin } from 'kafkajs';
import { StreamUnderTest } from './stream-under-test.js';

describe('shares of a stream of records', () => {
  let kafka: Kafka;
  let admin: Admin;
  const streams: StreamUnderTest[] = [];

  beforeAll(async () => {
    kafka = await startKafka();
    admin = new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
  });
  afterEach(async () => {
    for (const stream of streams.splice(0)) await stream.stop();
  });
  afterAll(async () => {
    await admin.disconnect();
    await kafka.stop();
  });

  const put = (topic: string, partition: number, values: readonly string[]) =>
    kcat(['-b', kafka.brokers[0]!, '-P', '-t', topic, '-p', String(partition)], `${values.join('\n')}\n`);

  function reader(config: Readonly<Record<string, unknown>>, index: number, of: number, id = 'str_shared') {
    const made = new StreamUnderTest(id, config, { brokers: kafka.brokers });
    made.share = { index, of };
    streams.push(made);
    return made;
  }

  it('are read by one reader each, go on from the positions of all, and take up the partitions that come later', async () => {
    await createTopics(admin, [{ topic: 'orders', numPartitions: 3 }]);
    // Whatever `start` says is for the first reader alone.
    const config = { topics: ['orders'], start: 'latest', max_tasks: 4 };
    for (const partition of [0, 1, 2]) await put('orders', partition, ['before']);
    const alone = reader(config, 0, 1);
    alone.start();
    await eventually('it reads', () => alone.connected);
    for (const partition of [0, 1]) await put('orders', partition, [`one of ${partition}`]);
    await eventually('two', () => alone.events.length === 2);
    expect(await alone.look((source) => Promise.resolve(source.shares!()))).toBe(3);
    await alone.stop();

    const two = [0, 1].map((index) => reader(config, index, 2));
    for (const one of two) {
      for (const [name, position] of alone.kept)
        if (name.startsWith('#') || isIn(one.share, name)) one.kept.set(name, position);
      one.start();
    }
    const all = () => two.flatMap((one) => one.values());
    for (const partition of [0, 1, 2]) await put('orders', partition, [`two of ${partition}`]);
    await eventually('one of each', () => all().length === 3);
    await admin.createPartitions({ topicPartitions: [{ topic: 'orders', count: 5 }] });
    for (const partition of [3, 4]) await put('orders', partition, [`new ${partition}`]);
    await eventually('those that came later', () => all().length === 5);
    expect(all().sort()).toEqual(['new 3', 'new 4', 'two of 0', 'two of 1', 'two of 2']);
    for (const one of two)
      for (const { source } of one.data()) expect(isIn(one.share, `orders/${source.partition}`)).toBe(true);
    expect(await two[0]!.look((source) => Promise.resolve(source.shares!()))).toBe(4);
    await two[1]!.stop();
    for (const partition of [0, 1, 2, 3, 4]) await put('orders', partition, ['last']);
    const theirs = [0, 1, 2, 3, 4].filter((partition) => isIn(two[1]!.share, `orders/${partition}`));
    // Each tells of its own, also when it does not read.
    await eventually('the lag of one', async () => (await two[1]!.lag()).backlogRecords === theirs.length);
    await eventually('the lag of the other', async () => (await two[0]!.lag()).backlogRecords === 0);
  });

  it('are all shown by the group, also where the lead itself has nothing to read', async () => {
    await createTopics(admin, [{ topic: 'lopsided', numPartitions: 2 }]);
    const config = { topics: ['lopsided'], start: 'latest' };
    const [lead, helper] = [0, 1].map((index) => reader(config, index, 2, 'str_lopsided'));
    lead!.start();
    const groupId = 'planasonix-str_lopsided';
    const shown = async () => {
      const [found] = await admin.fetchOffsets({ groupId, topics: ['lopsided'] });
      return new Map(found!.partitions.map(({ partition, offset }) => [partition, offset]));
    };
    const [own, other] = isIn(lead!.share, 'lopsided/0') ? [0, 1] : [1, 0];
    await eventually('where the lead begins', async () => (await shown()).get(own) === '0');
    expect(lead!.owned).toEqual({ group: groupId });
    helper!.start();
    for (const value of ['a', 'b']) {
      await put('lopsided', other, [value]);
      await eventually('it', () => helper!.values().at(-1) === value);
    }
    await eventually('where the helper is', async () => (await shown()).get(other) === '2');
    expect(lead!.events).toEqual([]);
  });

  it('begin at the first record of what has no position: the first reader has gone before', async () => {
    await createTopics(admin, [{ topic: 'older', numPartitions: 2 }]);
    for (const partition of [0, 1]) await put('older', partition, ['a', 'b']);
    for (const index of [0, 1]) reader({ topics: ['older'], start: 'latest' }, index, 2).start();
    await eventually('all', () => streams.flatMap((one) => one.values()).length === 4);
  });
});
