import { createTopics, eventually, startKafka, startProxy, type Kafka, type Proxy } from '@planasonix/testing';
import { Kafka as Client, logLevel, Partitioners } from 'kafkajs';
import { StreamUnderTest } from './stream-under-test.js';

const clientOf = (kafka: Kafka) =>
  new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING, requestTimeout: 3000 });

describe('a network that fails', () => {
  let kafka: Kafka;
  let proxy: Proxy;
  beforeAll(async () => {
    kafka = await startKafka({
      advertise: async (port) => {
        proxy = await startProxy({ targetPort: port });
        return `127.0.0.1:${proxy.port}`;
      },
    });
  });
  afterAll(async () => {
    await kafka.stop();
    await proxy.stop();
  });

  it('is followed over resets, torn answers and silence; a dead one is noticed within 60 s', async () => {
    const admin = clientOf(kafka).admin();
    await admin.connect();
    await createTopics(admin, [{ topic: 'far', numPartitions: 2 }]);
    const stream = new StreamUnderTest('str_far', { topics: ['far'] }, { brokers: [`127.0.0.1:${proxy.port}`] });
    stream.pace = { ...stream.pace, patienceMs: 4_000 };
    let sent = 0;
    const producer = clientOf(kafka).producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    const put = async () => {
      await producer.send({
        topic: 'far',
        messages: Array.from({ length: 50 }, () => ({ partition: sent % 2, value: 'v' })),
      });
      sent += 50;
    };
    const all = () =>
      eventually(
        'all is there',
        () => stream.events.length === sent || (stream.failure && Promise.reject(stream.failure)),
      );
    await put();
    stream.start();
    await all();
    for (const weather of ['cut', 'tear', 'halfOpen', 'stall'] as const) {
      proxy[weather]();
      if (weather !== 'tear') proxy.resume();
      await put();
      await all();
    }
    await producer.disconnect();
    await admin.disconnect();
    proxy.stall();
    const failure = await eventually('it is noticed', () => stream.failure, { timeoutMs: 60_000 });
    expect(failure).toMatchObject({ code: 'source_unreachable', recourse: 'retry' });
    proxy.resume();
    await stream.stop();
    expect(new Set(stream.events.map(({ id }) => id)).size).toBe(sent);
    expect(stream.events).toHaveLength(sent);
  }, 180_000);
});
