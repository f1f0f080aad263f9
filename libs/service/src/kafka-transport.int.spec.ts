import { ServerKafka } from '@nestjs/microservices';
import type { Log } from '@planasonix/core';
import { createTopics, eventually, kcat, startKafka, type Kafka } from '@planasonix/testing';
import { Kafka as Client, logLevel, type Admin } from 'kafkajs';
import { kafkaMicroservice, type KafkaTransport } from './kafka-transport.js';

/** Of kafkajs' own numbers. */
const TOPIC = 2;
const CLUSTER = 4;
const LITERAL = 3;
const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'];
const TOPIC_SETTINGS = 2;
const OPERATIONS = { All: 2, Read: 3, Write: 4, Create: 5, Describe: 8, DescribeConfigs: 10 } as const;
const [DENY, ALLOW] = [2, 3];

describe("Nest's Kafka transport, in a cluster that compresses, by a user who may make one topic and no other", () => {
  let kafka: Kafka;
  let admin: Admin;
  let lines: string[];
  const servers: ServerKafka[] = [];
  const quiet = () => undefined;
  const log: Log = { debug: quiet, info: quiet, warn: (fields) => lines.push(JSON.stringify(fields)), error: quiet };

  beforeAll(async () => {
    kafka = await startKafka({
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        ...{ 'allow.everyone.if.no.acl.found': 'true', 'early.start.listeners': 'CONTROLLER' },
        'compression.type': 'lz4',
      },
    });
    admin = new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await createTopics(admin, [
      { topic: 'heard' },
      ...CODECS.map((value) => ({ topic: value, configEntries: [{ name: 'compression.type', value }] })),
    ]);
    const rule = (
      resourceType: number,
      resourceName: string,
      permissionType: number,
      names: readonly (keyof typeof OPERATIONS)[],
    ) =>
      names.map((name) => ({
        ...{ resourceType, resourceName, resourcePatternType: LITERAL, principal: 'User:ANONYMOUS', host: '*' },
        ...{ operation: OPERATIONS[name], permissionType },
      }));
    await admin.createAcls({
      acl: [
        ...rule(TOPIC, 'heard', ALLOW, ['Read', 'Write', 'Describe']),
        ...rule(CLUSTER, 'kafka-cluster', ALLOW, ['All']),
        ...rule(CLUSTER, 'kafka-cluster', DENY, ['Create']),
        ...rule(TOPIC, 'missing', ALLOW, ['Read', 'Write', 'Describe']),
        ...rule(TOPIC, 'made', ALLOW, ['Read', 'Write', 'Describe', 'Create', 'DescribeConfigs']),
      ],
    });
  });
  beforeEach(() => (lines = []));
  afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())));
  afterAll(async () => {
    await admin.disconnect();
    await kafka.stop();
  });

  /** @returns what it hears */
  async function listen(pattern: string, more: Partial<KafkaTransport> = {}): Promise<unknown[]> {
    const heard: unknown[] = [];
    const transport = { brokers: kafka.brokers, tls: false, sasl: null, ...more };
    const { strategy } = kafkaMicroservice(transport, `group-${pattern}`, log) as { strategy: ServerKafka };
    servers.push(strategy);
    strategy.addHandler(pattern, (data: unknown) => Promise.resolve(heard.push(data)), true);
    await strategy.listen(quiet);
    return heard;
  }

  const put = (topic: string, line: string) => kcat(['-b', kafka.brokers.join(','), '-P', '-t', topic], `${line}\n`);

  it('listens to a topic that is there', async () => {
    const heard = await listen('heard');
    await put('heard', '"hello"');
    await eventually('it is heard', () => heard.length === 1);
    expect(lines.join()).not.toContain('authorization');
  });

  it.each(CODECS)('hears what the brokers of a topic compress with %s (trap 25)', async (codec) => {
    const heard = await listen(codec);
    const report = { totals: Array.from({ length: 200 }, (_, i) => ({ stream: `str_${i % 7}`, events: i })) };
    for (let sent = 0; sent < 2; sent++) await put(codec, JSON.stringify(report));
    await eventually('both are heard', () => heard.length === 2);
    expect(heard).toEqual([report, report]);
  });

  it('makes a topic that keeps what is sent as it is', async () => {
    const heard = await listen('made');
    const setting = await eventually('it is made', async () => {
      const resources = [{ type: TOPIC_SETTINGS, name: 'made', configNames: ['compression.type', 'retention.ms'] }];
      const [found] = (await admin.describeConfigs({ resources, includeSynonyms: false })).resources;
      return found!.configEntries.map(({ configName, configValue }) => `${configName}=${configValue}`).sort();
    });
    expect(setting).toEqual(['compression.type=producer', 'retention.ms=3600000']);
    await put('made', '"hello"');
    await eventually('it is heard', () => heard.length === 1);
  });

  it.each<[string, string, Partial<KafkaTransport>, string]>([
    ['a topic that is not there', 'missing', {}, 'Topic authorization failed'],
    [
      'a login that is refused',
      'heard',
      { sasl: { mechanism: 'plain', username: 'somebody', password: 'a-secret-word' } },
      'SASL',
    ],
  ])('tells once why it does not listen: %s', async (_, pattern, more, why) => {
    const tries = jest.spyOn(ServerKafka.prototype, 'createClient');
    await listen(pattern, more);
    await eventually('it has tried again', () => tries.mock.calls.length >= 3);
    tries.mockRestore();
    expect(lines).toEqual([expect.stringContaining(why)]);
    expect(lines.join()).not.toContain('a-secret-word');
  });
});
