import { existsSync } from 'node:fs';
import { Kafka as Client, logLevel, Partitioners } from 'kafkajs';
import { alive, kcat, startKafka, startProxy, type Kafka, type Proxy } from '../index.js';

async function createTopic(kafka: Kafka, topic: string, numPartitions = 1): Promise<void> {
  const admin = new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  // Whoever uses it waits for its leaders; kafkajs gives up where a node has not heard of the topic yet.
  await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false });
  await admin.disconnect();
}

const read = async (brokers: readonly string[], topic: string, ...more: string[]): Promise<string[]> =>
  (await kcat(['-b', brokers.join(','), '-C', '-t', topic, '-e', '-q', ...more]))
    .toString()
    .split('\n')
    .filter((line) => line !== '');

describe('startKafka', () => {
  it('advertises what it is told, wants TLS and a login at its secure listener, keeps what it acknowledged when it is killed; leaves neither process nor folder', async () => {
    const proxies: Proxy[] = [];
    const kafka = await startKafka({
      secure: true,
      advertise: async (port) => {
        proxies.push(await startProxy({ targetPort: port }));
        return `127.0.0.1:${proxies.at(-1)!.port}`;
      },
    });
    const [node] = kafka.nodes;
    try {
      await createTopic(kafka, 'kept');
      await kcat(['-b', kafka.brokers[0]!, '-P', '-t', 'kept', '-X', 'acks=all'], 'x\n');
      expect(proxies.at(-1)!.accepted).toBeGreaterThan(0);
      const { username, password, ca } = kafka.login;
      for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
        const connect = async (secret: string) => {
          const sasl = { mechanism, username, password: secret } as { mechanism: 'plain' } & typeof kafka.login;
          const brokers = [...kafka.secureBrokers];
          const client = new Client({ brokers, ssl: { ca: [ca] }, sasl, logLevel: logLevel.NOTHING });
          const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
          await producer.connect();
          await producer.send({ topic: 'kept', messages: [{ value: mechanism, partition: 0 }] });
          await producer.disconnect();
        };
        await connect(password);
        await expect(connect('wrong')).rejects.toThrow(/[Aa]uthentication/);
      }
      await node!.kill();
      expect(node!.running).toBe(false);
      await node!.start();
      expect(await read(kafka.brokers, 'kept')).toEqual(['x', 'plain', 'scram-sha-256', 'scram-sha-512']);
      await expect(read(kafka.brokers, 'not-there')).rejects.toThrow(/Unknown topic/);
    } finally {
      await kafka.stop();
      for (const proxy of proxies) await proxy.stop();
    }
    expect(alive(node!.pid)).toBe(false);
    expect(existsSync(kafka.dir)).toBe(false);
  });
});
