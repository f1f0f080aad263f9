import { connect } from 'node:net';
import { eventually, kcat, startKafka, startProxy, type Kafka, type Proxy } from '@planasonix/testing';
import { Kafka as Client, logLevel, Partitioners, type Admin } from 'kafkajs';
import { StreamUnderTest } from './stream-under-test.js';

const rising = (count: number) => Array.from({ length: count }, (_, i) => i);

const clientOf = (kafka: Kafka) =>
  new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING, requestTimeout: 3000 });

/**
 * Writes to each partition in turn, until it is told to stop; what did not arrive is sent no more. kafkajs goes on asking a
 * broker that is frozen, so a producer that has failed is thrown away.
 */
function writing(kafka: Kafka, topic: string, partitions: number) {
  const open = () =>
    clientOf(kafka).producer({
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
  }, 60_000);

  it('has each record once, in order, over changes of leader: killed, frozen, shut down', async () => {
    await admin.createTopics({ topics: [{ topic: 'three', numPartitions: 6 }] });
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
    const held = await eventually('the brokers tell what they hold', highs, { timeoutMs: 30_000 });
    const total = held.reduce((sum, [, high]) => sum + high, 0);
    await eventually('all is there', () => stream.events.length >= total, { timeoutMs: 60_000 });
    await stream.stop();
    for (const [partition, high] of held) {
      const mine = stream.data().filter(({ source }) => source.partition === partition);
      expect(mine.map(({ source }) => source.offset)).toEqual(rising(high));
    }
    expect(stream.events.length).toBe(total);
  }, 240_000);
});

describe('a log that was cut back', () => {
  it('is said where a leader was elected that lacked what we had read, though our offset is there again', async () => {
    const kafka = await startKafka({ nodes: 3 });
    const admin = clientOf(kafka).admin();
    await admin.connect();
    const [one, two] = kafka.nodes;
    const settings = { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' };
    await admin.createTopics({
      topics: [
        {
          topic: 'cut',
          replicaAssignment: [{ partition: 0, replicas: [one!.id, two!.id] }],
          configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
        },
      ],
    });
    const put = (values: readonly string[]) =>
      kcat(['-b', kafka.brokers.join(','), '-P', '-t', 'cut', '-p', '0', '-X', 'acks=all'], values.map((v) => `${v}\n`).join('')); // prettier-ignore
    const stream = new StreamUnderTest('str_cut', { topics: ['cut'] }, { brokers: kafka.brokers });
    const has = (count: number) =>
      eventually(`${count} records`, () => stream.events.length === count, { timeoutMs: 60_000 });
    try {
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
    } finally {
      await stream.stop();
      await admin.disconnect();
      await kafka.stop();
    }
  }, 150_000);
});

describe('a partition that nobody leads', () => {
  it('is said, though all others can be read', async () => {
    const kafka = await startKafka({ nodes: 3, properties: { 'min.insync.replicas': '1' } });
    const admin = clientOf(kafka).admin();
    await admin.connect();
    const replicaAssignment = [1, 2].map((node, partition) => ({ partition, replicas: [node] }));
    await admin.createTopics({ topics: [{ topic: 'single', replicaAssignment }] });
    const stream = new StreamUnderTest('str_single', { topics: ['single'] }, { brokers: kafka.brokers });
    stream.start();
    await eventually('it reads', () => stream.connected);
    await kafka.nodes[0]!.kill();
    const failure = await eventually('it is said', () => stream.failure, { timeoutMs: 60_000 });
    expect(failure).toMatchObject({ code: 'source_unreachable', recourse: 'retry' });
    await stream.stop();
    await admin.disconnect();
    await kafka.stop();
  }, 150_000);
});

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
  }, 90_000);
  afterAll(async () => {
    await kafka.stop();
    await proxy.stop();
  });

  it('is followed over resets, torn answers and silence; a dead one is noticed within 60 s', async () => {
    const admin = clientOf(kafka).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'far', numPartitions: 2 }] });
    const stream = new StreamUnderTest('str_far', { topics: ['far'] }, { brokers: [`127.0.0.1:${proxy.port}`] });
    let sent = 0;
    const producer = clientOf(kafka).producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    const put = async () => {
      await producer.send({ topic: 'far', messages: rising(50).map(() => ({ partition: sent % 2, value: 'v' })) });
      sent += 50;
    };
    const all = () => eventually('all is there', () => stream.events.length === sent, { timeoutMs: 40_000 });
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
    await admin.createTopics({ topics: [{ topic: 'guarded', numPartitions: 1 }] });
    const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    await producer.send({ topic: 'guarded', messages: [{ partition: 0, value: 'v' }] });
    await producer.disconnect();
  }, 90_000);
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
  }, 30_000);

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
  }, 30_000);

  it('dials no broker at an address that is forbidden, though the first one was allowed (traps 25, 34)', async () => {
    const { failure, found } = await failureOf({ brokers: kafka.brokers });
    expect(failure).toMatchObject({ code: 'host_forbidden', recourse: 'fatal' });
    expect(found).toMatchObject({ code: 'host_forbidden' });
    expect(found!.message).toContain('169.254.1.1');
    expect(found!.fix).toContain('advertised.listeners');
  }, 30_000);
});
