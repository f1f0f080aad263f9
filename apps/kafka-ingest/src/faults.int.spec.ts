import { createTopics, eventually, kcat, startKafka, type Kafka } from '@planasonix/testing';
import { Kafka as Client, logLevel, Partitioners, type Admin } from 'kafkajs';
import { StreamUnderTest } from './stream-under-test.js';

const rising = (count: number) => Array.from({ length: count }, (_, i) => i);

const clientOf = (kafka: Kafka, requestTimeout = 3000) =>
  new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING, requestTimeout });

/**
 * Writes to each partition in turn, until it is told to stop; what did not arrive is sent no more. kafkajs goes on asking a
 * broker that is frozen, so a producer that has failed is thrown away.
 */
function writing(kafka: Kafka, topic: string, partitions: number) {
  const open = () =>
    clientOf(kafka, 700).producer({
      ...{ createPartitioner: Partitioners.DefaultPartitioner, idempotent: true },
      retry: { retries: 1, initialRetryTime: 50 },
    });
  let on = true;
  const done = (async () => {
    let producer = open();
    for (let i = 0; on; i++) {
      const messages = rising(10).map((n) => ({ partition: i % partitions, value: `${i}/${n}` }));
      try {
        await producer.connect();
        await producer.send({ topic, messages });
      } catch {
        void producer.disconnect().catch(() => undefined);
        producer = open();
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await producer.disconnect();
  })();
  return {
    async stop() {
      on = false;
      await done;
    },
  };
}

describe('three brokers, of which some fail', () => {
  let kafka: Kafka;
  let admin: Admin;
  const ends: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    kafka = await startKafka({ nodes: 3 });
    admin = clientOf(kafka).admin();
    await admin.connect();
  }, 120_000);
  afterAll(async () => {
    for (const end of ends) await end();
    await admin.disconnect();
    await kafka.stop();
  });

  it('has each record once, in order, over changes of leader: killed, frozen, shut down', async () => {
    await createTopics(admin, [{ topic: 'three', numPartitions: 6 }]);
    const stream = new StreamUnderTest('str_three', { topics: ['three'] }, { brokers: kafka.brokers });
    const writer = writing(kafka, 'three', 6);
    ends.push(
      () => writer.stop(),
      () => stream.stop(),
    );
    stream.start();
    const more = async (what: string) => {
      const before = stream.events.length;
      const went = () => stream.events.length > before + 200 || (stream.failure && Promise.reject(stream.failure));
      await eventually(what, went, { timeoutMs: 60_000 });
    };
    await more('records come');
    const [one, two, three] = kafka.nodes;
    await one!.kill();
    await more('records come without the first');
    await one!.start();
    two!.freeze();
    await more('records come while the second is frozen');
    two!.thaw();
    await more('records come after it woke up');
    await three!.shutDown();
    await more('records come without the third');
    await three!.start();
    await more('records come from all');
    await writer.stop();
    const highs = async () =>
      (await admin.fetchTopicOffsets('three')).map(({ partition, high }) => [partition, Number(high)] as const);
    const held = await eventually('the brokers tell what they hold', highs);
    const total = held.reduce((sum, [, high]) => sum + high, 0);
    await eventually('all is there', () => stream.events.length >= total, { timeoutMs: 60_000 });
    await stream.stop();
    for (const [partition, high] of held) {
      const mine = stream.data().filter(({ source }) => source.partition === partition);
      expect(mine.map(({ source }) => source.offset)).toEqual(rising(high));
    }
    expect(stream.events.length).toBe(total);
  }, 240_000);

  it('says that nobody leads a partition, though all others can be read', async () => {
    const [one, two] = kafka.nodes;
    const replicaAssignment = [one!, two!].map(({ id }, partition) => ({ partition, replicas: [id] }));
    const configEntries = [{ name: 'min.insync.replicas', value: '1' }];
    await createTopics(admin, [{ topic: 'single', replicaAssignment, configEntries }]);
    const stream = new StreamUnderTest('str_single', { topics: ['single'] }, { brokers: kafka.brokers });
    stream.pace = { ...stream.pace, patienceMs: 5_000 };
    ends.push(() => stream.stop());
    stream.start();
    await eventually('it reads', () => stream.connected);
    await one!.kill();
    const failure = await eventually('it is said', () => stream.failure, { timeoutMs: 60_000 });
    expect(failure).toMatchObject({ code: 'source_unreachable', recourse: 'retry' });
    await one!.start();
  }, 150_000);

  /** A topic of one partition on the first two brokers, who writes to it, and who reads it. */
  async function onTwo(topic: string, settings: Readonly<Record<string, string>>) {
    const replicas = kafka.nodes.slice(0, 2).map(({ id }) => id);
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    await createTopics(admin, [{ topic, replicaAssignment: [{ partition: 0, replicas }], configEntries }]);
    const to = ['-b', kafka.brokers.join(','), '-P', '-t', topic, '-p', '0', '-X', 'acks=all'];
    const put = (values: readonly string[]) => kcat(to, values.map((value) => `${value}\n`).join(''));
    const stream = new StreamUnderTest(`str_${topic}`, { topics: [topic] }, { brokers: kafka.brokers });
    ends.push(() => stream.stop());
    const has = (count: number) =>
      eventually(`${count} records`, () => stream.events.length === count, { timeoutMs: 60_000 });
    return { put, stream, has };
  }

  it('says that a log was cut back where a leader was elected that lacked what we had read, though our offset is there again', async () => {
    const [one, two] = kafka.nodes;
    const settings = { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' };
    const { put, stream, has } = await onTwo('cut', settings);
    await put(['both 1', 'both 2']);
    stream.start();
    await has(2);
    await two!.kill();
    await put(['one 3', 'one 4']);
    await has(4);
    await stream.stop();
    await one!.kill();
    await two!.start();
    await eventually('the other one leads', () => put(['two 3', 'two 4', 'two 5']).then(() => true), {
      timeoutMs: 60_000,
    });
    stream.start();
    expect(await stream.outcome()).toMatchObject({
      code: 'offset_out_of_range',
      recourse: 'lost',
      message: expect.stringContaining('cut back'),
    });
    expect(stream.values()).toEqual(['both 1', 'both 2', 'one 3', 'one 4']);
  }, 150_000);

  it('believes no broker that woke up and knows less than what was read: it waits for the others (trap 24, Invariant 2)', async () => {
    const [one, two, three] = kafka.nodes;
    await one!.start();
    await eventually('all are there', async () => (await admin.describeCluster()).brokers.length === 3);
    const { put, stream, has } = await onTwo('woken', { 'min.insync.replicas': '1' });
    await put(['both 1', 'both 2']);
    stream.start();
    await has(2);
    one!.freeze();
    try {
      await eventually('the other one leads', () => put(['two 3', 'two 4', 'two 5']).then(() => true), {
        timeoutMs: 60_000,
      });
      await has(5);
      await stream.stop();
      two!.freeze();
      three!.freeze();
      one!.thaw();
      // It is the first one that is asked, leads as far as it knows, and ends before our position.
      stream.start();
      expect(await stream.outcome()).toMatchObject({
        ...{ code: 'source_unreachable', recourse: 'retry' },
        message: expect.stringContaining('do not know of the newest leader that is known of woken/0'),
      });
    } finally {
      for (const node of kafka.nodes) node.thaw();
    }
    await eventually('it can be written again', () => put(['two 6']).then(() => true), { timeoutMs: 60_000 });
    stream.start();
    await has(6);
    expect(stream.values()).toEqual(['both 1', 'both 2', 'two 3', 'two 4', 'two 5', 'two 6']);
  }, 150_000);
});
