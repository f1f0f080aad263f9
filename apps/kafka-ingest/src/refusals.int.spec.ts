import { connect } from 'node:net';
import { createTopics, eventually, startKafka, type Kafka } from '@planasonix/testing';
import { Kafka as Client, logLevel, Partitioners, type Admin } from 'kafkajs';
import { createOutbound } from '@planasonix/outbound';
import { testConnection } from './connection-test.js';
import { StreamUnderTest } from './stream-under-test.js';

describe('what a cluster refuses', () => {
  let kafka: Kafka;
  let admin: Admin;
  beforeAll(async () => {
    kafka = await startKafka({
      secure: true,
      advertise: (port) => `169.254.1.1:${port}`,
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
        'early.start.listeners': 'CONTROLLER',
      },
    });
    const client = new Client({
      brokers: [...kafka.brokers],
      logLevel: logLevel.NOTHING,
      // What is advertised at the plain listener leads nowhere.
      socketFactory: ({ port, onConnect }) => connect({ host: '127.0.0.1', port }, onConnect),
    });
    admin = client.admin();
    await admin.connect();
    await createTopics(admin, [{ topic: 'guarded', numPartitions: 1 }]);
    const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    await producer.send({ topic: 'guarded', messages: [{ partition: 0, value: 'v' }] });
    await producer.disconnect();
  });
  afterAll(async () => {
    await admin.disconnect();
    await kafka.stop();
  });

  const secure = (over: object = {}) => {
    const { username, password, ca } = kafka.login;
    const sasl = { mechanism: 'scram-sha-256', username, password };
    return { brokers: kafka.secureBrokers, tls: true, sslRootCert: ca, sasl, ...over };
  };
  const failureOf = async (connection: object, config: object = { topics: ['guarded'] }) => {
    const stream = new StreamUnderTest('str_refused', { ...config }, { ...connection });
    stream.start();
    const failure = await stream.outcome();
    const [found] = (await stream.check()).filter(({ severity }) => severity === 'error');
    expect(stream.lines.join('\n') + JSON.stringify([failure?.message, found])).not.toMatch(/test-secret|wrong-word/);
    return { failure, found };
  };

  it('a wrong password, an authority that is not trusted', async () => {
    const { username } = kafka.login;
    const wrong = await failureOf(secure({ sasl: { mechanism: 'plain', username, password: 'wrong-word' } }));
    expect(wrong).toMatchObject({
      failure: { code: 'auth_failed', recourse: 'fatal' },
      found: { code: 'auth_failed' },
    });
    const untrusted = await failureOf(secure({ sslRootCert: undefined }));
    expect(untrusted).toMatchObject({ failure: { code: 'tls_failed' }, found: { code: 'tls_failed' } });
  });

  it('a topic that the user may not read, with the command that allows it', async () => {
    const { failure, found } = await failureOf(secure());
    expect(failure).toMatchObject({ code: 'permission_denied', recourse: 'fatal' });
    expect(found!.fix).toContain("--allow-principal User:test --operation Read --operation Describe --topic 'guarded'");
    const acl = { resourceType: 2, resourceName: 'guarded', resourcePatternType: 3, principal: 'User:test', host: '*' };
    const [describe, read] = [8, 3].map((operation) => ({ ...acl, operation, permissionType: 3 }));
    const stream = new StreamUnderTest('str_allowed', { topics: ['guarded'] }, secure());
    const wrong = async () => (await stream.check()).filter(({ severity }) => severity !== 'info');
    // Who may look at it and not read it is told before the first fetch.
    await admin.createAcls({ acl: [describe!] });
    await eventually('it is seen that it may not be read', async () => {
      const [first, ...others] = await wrong();
      return first!.fix!.includes('--operation Read') && first!.message.includes('guarded') && others.length === 1;
    });
    await admin.createAcls({ acl: [read!] });
    await eventually('nothing but the group is left', async () => (await wrong()).length === 1);
    expect(await wrong()).toMatchObject([
      {
        severity: 'warning',
        code: 'permission_denied',
        fix: expect.stringContaining("--operation Delete --group 'planasonix-str_allowed'"),
      },
    ]);
    stream.start();
    await eventually(
      'it reads',
      () => stream.events.length === 1 || (stream.failure && Promise.reject(stream.failure)),
    );
    // The group is for people's tools: that it may not be written stops nothing, and nothing is left to give back.
    await eventually('it says so', () => stream.lines.some((line) => line.includes('the group could not be written')));
    expect(stream.owned).toEqual({});
    await stream.stop();
  });

  it('dials no broker at an address that is forbidden, though the first one was allowed (traps 25, 34)', async () => {
    const { failure, found } = await failureOf({ brokers: kafka.brokers });
    expect(failure).toMatchObject({ code: 'host_forbidden', recourse: 'fatal' });
    expect(found).toMatchObject({ code: 'host_forbidden' });
    expect(found!.message).toContain('169.254.1.1');
    expect(found!.fix).toContain('advertised.listeners');
  });

  it('answers whoever tests a connection what is wrong, without the secret', async () => {
    const tested = async (config: object) => {
      const connection = { id: 'conn_test', type: 'kafka', config: { ...config } };
      const outbound = createOutbound({ policy: 'allow-private' });
      const report = await testConnection(connection, outbound, AbortSignal.timeout(20_000));
      expect(JSON.stringify(report)).not.toMatch(/test-secret|wrong-word/);
      const errors = report.checks.filter(({ severity }) => severity === 'error').map(({ code }) => code);
      return { ok: report.ok, errors };
    };
    const { username } = kafka.login;
    const failed = (code: string) => ({ ok: false, errors: [code] });
    expect(await tested(secure())).toEqual({ ok: true, errors: [] });
    expect(await tested(secure({ sasl: { mechanism: 'plain', username, password: 'wrong-word' } }))).toEqual(
      failed('auth_failed'),
    );
    expect(await tested(secure({ sslRootCert: undefined }))).toEqual(failed('tls_failed'));
    expect(await tested({ brokers: ['127.0.0.1:1'] })).toEqual(failed('source_unreachable'));
    expect(await tested({ brokers: kafka.brokers })).toEqual(failed('host_forbidden'));
    expect(await tested({ brokers: ['no-port'] })).toEqual(failed('config_invalid'));
  });
});
