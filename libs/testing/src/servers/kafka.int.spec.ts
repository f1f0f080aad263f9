import { existsSync } from 'node:fs';
import { Kafka as Client, logLevel, Partitioners } from 'kafkajs';
import { eventually, kcat, startKafka, startProxy, type Kafka } from '../index.js';

const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

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
  it('keeps what it acknowledged when it is killed, on the same port; leaves neither process nor folder', async () => {
    const kafka = await startKafka();
    await createTopic(kafka, 'kept');
    await kcat(['-b', kafka.brokers[0]!, '-P', '-t', 'kept', '-X', 'acks=all'], 'a\nb\n');
    const [node] = kafka.nodes;
    await node!.kill();
    expect(node!.running).toBe(false);
    await node!.start();
    expect(await read(kafka.brokers, 'kept')).toEqual(['a', 'b']);
    await expect(read(kafka.brokers, 'not-there')).rejects.toThrow(/Unknown topic/);
    const { pid } = node!;
    await kafka.stop();
    expect(alive(pid)).toBe(false);
    expect(existsSync(kafka.dir)).toBe(false);
  }, 90_000);

  it('wants TLS and a login at the secure listener', async () => {
    const kafka = await startKafka({ secure: true });
    try {
      await createTopic(kafka, 'secret');
      await kcat(['-b', kafka.brokers[0]!, '-P', '-t', 'secret'], 'x\n');
      const { username, password, ca } = kafka.login;
      for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
        const connect = async (secret: string) => {
          const sasl = { mechanism, username, password: secret } as { mechanism: 'plain' } & typeof kafka.login;
          const brokers = [...kafka.secureBrokers];
          const client = new Client({ brokers, ssl: { ca: [ca] }, sasl, logLevel: logLevel.NOTHING });
          const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
          await producer.connect();
          await producer.send({ topic: 'secret', messages: [{ value: mechanism, partition: 0 }] });
          await producer.disconnect();
        };
        await connect(password);
        await expect(connect('wrong')).rejects.toThrow(/[Aa]uthentication/);
      }
      expect(await read(kafka.brokers, 'secret')).toEqual(['x', 'plain', 'scram-sha-256', 'scram-sha-512']);
    } finally {
      await kafka.stop();
    }
  }, 90_000);

  it('advertises the address that it is told', async () => {
    const proxies: Awaited<ReturnType<typeof startProxy>>[] = [];
    const kafka = await startKafka({
      advertise: async (port) => {
        proxies.push(await startProxy({ targetPort: port }));
        return `127.0.0.1:${proxies.at(-1)!.port}`;
      },
    });
    try {
      await createTopic(kafka, 'proxied');
      await kcat(['-b', kafka.brokers[0]!, '-P', '-t', 'proxied'], 'x\n');
      expect(proxies.at(-1)!.accepted).toBeGreaterThan(0);
    } finally {
      await kafka.stop();
      for (const proxy of proxies) await proxy.stop();
    }
  }, 60_000);

  it('goes on with two of three nodes', async () => {
    const kafka = await startKafka({ nodes: 3 });
    try {
      await createTopic(kafka, 'three', 3);
      const everywhere = ['-b', kafka.brokers.join(','), '-P', '-t', 'three', '-X', 'acks=all'];
      await kcat(everywhere, 'a\n');
      await kafka.nodes[1]!.kill();
      await eventually('it takes more', () => kcat(everywhere, 'b\n'), { timeoutMs: 40_000 });
      expect((await read(kafka.brokers, 'three')).filter((line) => line === 'a')).toEqual(['a']);
      await kafka.nodes[1]!.start();
      expect(await read([kafka.brokers[1]!], 'three')).toContain('b');
    } finally {
      await kafka.stop();
    }
  }, 120_000);
});
