import { StreamError, type Log, type Outbound } from '@planasonix/core';
import { createOutbound } from '@planasonix/outbound';
import { startKafka, type Kafka } from '@planasonix/testing';
import { kafkaJs, kafkaSettings, toStreamError } from './index.js';

const lines: string[] = [];
const write = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
const log: Log = { debug: write, info: write, warn: write, error: write };
const outbound = createOutbound({ policy: 'allow-private' });

/** The code of what became of a request for the topics. */
async function ask(config: Record<string, unknown>, policy: Outbound = outbound): Promise<string> {
  const admin = kafkaJs(kafkaSettings({ config }), policy, log).admin();
  try {
    await admin.connect();
    await admin.listTopics();
    return 'ok';
  } catch (error) {
    return toStreamError(error, 'asking').code;
  } finally {
    await admin.disconnect();
  }
}

describe('a client of a cluster', () => {
  let kafka: Kafka;
  beforeAll(async () => {
    kafka = await startKafka({ secure: true, advertise: (port) => `localhost:${port}` });
  });
  afterAll(() => kafka.stop());

  it('logs in over TLS, checks the authority, and says what is wrong without the secret', async () => {
    const { username, password, ca } = kafka.login;
    const secure = { brokers: kafka.secureBrokers, tls: true, sslRootCert: ca };
    const sasl = (mechanism: string, secret = password) => ({ mechanism, username, password: secret });
    expect(await ask({ ...secure, sasl: sasl('plain') })).toBe('ok');
    expect(await ask({ ...secure, sasl: sasl('scram-sha-256') })).toBe('ok');
    expect(await ask({ ...secure, sasl: sasl('scram-sha-512') })).toBe('ok');
    expect(await ask({ ...secure, sasl: sasl('scram-sha-512', 'not-the-password') })).toBe('auth_failed');
    expect(await ask({ brokers: kafka.secureBrokers, tls: true, sasl: sasl('plain') })).toBe('tls_failed');
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
    const admin = kafkaJs(kafkaSettings({ config: { brokers: kafka.brokers } }), forbidding, log).admin();
    await admin.connect();
    // Any broker answers for the list; this asks the one that leads, by its advertised name.
    await expect(admin.createTopics({ topics: [{ topic: 'x' }] })).rejects.toMatchObject({ message: /localhost/ });
    await admin.disconnect();
    expect(asked).toEqual(expect.arrayContaining(['127.0.0.1', 'localhost']));
  });

  it('names the fields of a config that is not right, not their values', () => {
    const wrong = { brokers: ['no-port'], sasl: { mechanism: 'plain', username: 'u', password: 5 } };
    expect(() => kafkaSettings({ config: wrong })).toThrow(/brokers\.0: must be host:port.*sasl\.password/);
  });
});
