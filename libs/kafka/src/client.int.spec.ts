import { StreamError, systemClock, type Log, type Outbound } from '@planasonix/core';
import { createOutbound } from '@planasonix/outbound';
import { eventually, startKafka, type Kafka } from '@planasonix/testing';
import { CLIENTS } from './clients-under-test.js';
import { KafkaCluster, kafkaSettings, TopicAdmin, topicSettings } from './index.js';

const lines: string[] = [];
const write = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
const log: Log = { debug: write, info: write, warn: write, error: write };
const outbound = createOutbound({ policy: 'allow-private' });

const reach = (config: Record<string, unknown>, policy: Outbound = outbound) => ({
  ...{ settings: kafkaSettings({ config }), outbound: policy, log },
});

describe.each(CLIENTS)('a client of a cluster: %s', (_, client) => {
  let kafka: Kafka;
  beforeAll(async () => {
    kafka = await startKafka({ secure: true, advertise: (port) => `localhost:${port}` });
  });
  afterAll(() => kafka.stop());

  const made: KafkaCluster[] = [];
  const cluster = (config: Record<string, unknown>, policy?: Outbound): KafkaCluster => {
    made.push(new KafkaCluster({ ...reach(config, policy), clock: systemClock, client }));
    return made.at(-1)!;
  };
  afterEach(() => made.splice(0).forEach((one) => one.close()));

  /** The codes of what became of a request for the topics, and of one that makes none. */
  async function ask(config: Record<string, unknown>, policy?: Outbound): Promise<string> {
    const admin = new TopicAdmin(reach(config, policy), client);
    const codes = [cluster(config, policy).view(null), admin.mayCreate('t')].map((asked) =>
      asked.then(
        () => 'ok',
        (error: StreamError) => error.code,
      ),
    );
    return [...new Set(await Promise.all(codes))].join(' ');
  }

  it('logs in over TLS, checks the authority and the name, and says what is wrong without the secret', async () => {
    const { username, password, ca } = kafka.login;
    const secure = { brokers: kafka.secureBrokers, tls: true, sslRootCert: ca };
    const sasl = (mechanism: string, secret = password) => ({ mechanism, username, password: secret });
    expect(await ask({ ...secure, sasl: sasl('plain') })).toBe('ok');
    expect(await ask({ ...secure, sasl: sasl('scram-sha-256') })).toBe('ok');
    expect(await ask({ ...secure, sasl: sasl('scram-sha-512') })).toBe('ok');
    expect(await ask({ ...secure, sasl: sasl('scram-sha-512', 'not-the-password') })).toBe('auth_failed');
    expect(await ask({ brokers: kafka.secureBrokers, tls: true, sasl: sasl('plain') })).toBe('tls_failed');
    const [, port] = kafka.secureBrokers[0]!.split(':');
    const renamed: Outbound = { resolve: () => Promise.resolve('127.0.0.1') };
    // Its certificate is good, and is another's.
    expect(await ask({ ...secure, brokers: [`other.test:${port}`], sasl: sasl('plain') }, renamed)).toBe('tls_failed');
    expect(await ask({ ...secure, brokers: [`localhost:${port}`], sasl: sasl('plain') }, renamed)).toBe('ok');
    expect(await ask({ brokers: kafka.brokers, sasl: sasl('plain') })).toBe('auth_failed');
    expect(await ask({ brokers: ['127.0.0.1:1'] })).toBe('source_unreachable');
    expect(lines.join('\n')).not.toMatch(/not-the-password|test-secret/);
  });

  it('dials no advertised address that the policy refuses (traps 25, 34)', async () => {
    const asked: string[] = [];
    const policy: Outbound = {
      resolve: (host, port) => {
        asked.push(host);
        if (host === 'localhost') throw new StreamError('host_forbidden', 'The host localhost is forbidden.');
        return outbound.resolve(host, port);
      },
    };
    const forbidding: Outbound = { resolve: async (host, port) => policy.resolve(host, port) };
    const config = { brokers: kafka.brokers };
    const over = cluster(config, forbidding);
    await over.view([]);
    const refused = { code: 'host_forbidden', message: expect.stringContaining('localhost') };
    expect(await over.probe()).toMatchObject([{ error: refused }]);
    // Any broker answers for the list; this asks the one that leads, by its advertised name.
    const admin = new TopicAdmin(reach(config, forbidding), client);
    await expect(admin.create({ topic: 'x', partitions: 1, replicationFactor: 1 })).rejects.toMatchObject(refused);
    expect(asked).toEqual(expect.arrayContaining(['127.0.0.1', 'localhost']));
  });

  it('makes a topic once, with its settings, and removes it once', async () => {
    const config = { brokers: kafka.brokers };
    const [over, admin] = [cluster(config), new TopicAdmin(reach(config), client)];
    const topic = { topic: 'made', partitions: 3, replicationFactor: 1, settings: { 'retention.ms': '1000' } };
    expect(await admin.mayCreate('made')).toBe(true);
    const there = async () =>
      (await over.view(['made'])).topics.map(({ error, partitions }) => [error, partitions.length]);
    expect(await there()).toEqual([[3, 0]]);
    expect([await admin.create(topic), await admin.create({ ...topic, partitions: 1 })]).toEqual([true, false]);
    await eventually('it is there', async () => (await there())[0]?.[1] === 3);
    expect((await topicSettings(over, 'made'))?.get('retention.ms')).toBe('1000');
    await admin.remove(['made']);
    await admin.remove(['made']);
    await eventually('it is gone', async () => (await there())[0]?.[0] === 3);
  });

  it('names the fields of a config that is not right, not their values', () => {
    const wrong = { brokers: ['no-port'], sasl: { mechanism: 'plain', username: 'u', password: 5 } };
    expect(() => kafkaSettings({ config: wrong })).toThrow(/brokers\.0: must be host:port.*sasl\.password/);
  });
});
