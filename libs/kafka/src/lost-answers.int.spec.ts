import { becomes, startKafka, startKafkaProxy, type Kafka, type KafkaApi, type KafkaProxy } from '@planasonix/testing';
import { CLIENTS } from './clients-under-test.js';
import { ClusterUnderTest } from './cluster-under-test.js';
import { committed, Producers, text } from './producers-under-test.js';

describe.each(CLIENTS)(
  'over %s, a producer to which an answer never comes, though the broker has done what was asked (trap 25a)',
  (_, client) => {
    let server: Kafka;
    let kafka: ClusterUnderTest;
    let producers: Producers;
    let proxy: KafkaProxy;
    let brokers: string[];
    beforeAll(async () => {
      server = await startKafka({
        advertise: async (port) => {
          proxy = await startKafkaProxy({ targetPort: port });
          return `127.0.0.1:${proxy.port}`;
        },
      });
      kafka = new ClusterUnderTest(server, client);
      brokers = [`127.0.0.1:${proxy.port}`];
    });
    beforeEach(() => (producers = new Producers(brokers, client)));
    afterEach(() => producers.close());
    afterAll(async () => {
      await kafka.close();
      await server.stop();
      await proxy.stop();
    });

    const asked: readonly KafkaApi[] = ['InitProducerId', 'AddPartitionsToTxn', 'Produce', 'EndTxn'];
    const cases = asked.flatMap((api) => (['cut', 'silent'] as const).map((how) => [api, how] as const));

    it.each(cases)('%s, its connection %s: writes each record once, and those after it', async (api, how) => {
      const topic = `${api}-${how}`;
      await kafka.create(topic);
      // A connection that is silent is given up after some time.
      const cluster = kafka.cluster({ brokers }, { ask: 2_000, produce: 2_000 });
      const producer = producers.make(topic, { cluster });
      const put = (value: string) => producer.write([{ topic, partition: 0, records: [text(value)] }]);
      const begin = async () => {
        await producer.begin();
        await put('a');
        await producer.commit();
      };
      // Twice, so that what is sent again is lost as well.
      const lose = () => Promise.all([proxy.loseAnswer(api, how), proxy.loseAnswer(api, how)]);
      const handed = proxy.handed(api);
      const lost = api === 'InitProducerId' ? lose() : (await begin(), lose());
      if (api === 'InitProducerId') await begin();
      await put('b');
      await producer.commit();
      await lost;
      expect(proxy.handed(api) - handed).toBeGreaterThanOrEqual(3);
      // As large as the one that was written unheard: kafkajs takes these for it, and the broker too.
      for (const value of ['c', 'd']) {
        await put(value);
        await producer.commit();
      }
      await becomes(() => committed(server.brokers, topic), ['a', 'b', 'c', 'd']);
    });
  },
);
