import type { EventLog } from '@planasonix/core';
import { changeSettings } from '@planasonix/kafka';
import { becomes, commit, createTopics, startKafka, type Kafka } from '@planasonix/testing';
import { Kafka as Client, logLevel, type Admin } from 'kafkajs';
import { journalTopic } from './journal.js';
import { Logs } from './logs-under-test.js';
import type { KafkaOutput } from './writer.js';

const never = new AbortController().signal;
/** Of kafkajs' own numbers. */
const TOPIC = 2;
const TRANSACTIONS = 5;
const LITERAL = 3;
const PREFIXED = 4;
const OPERATIONS = { Read: 3, Write: 4, Create: 5, Describe: 8, DescribeConfigs: 10, AlterConfigs: 11 } as const;
let streams = 0;

describe('the check of a log in Kafka, for one stream', () => {
  let kafka: Kafka;
  let logs: Logs;
  let admin: Admin;
  let id: string;
  beforeAll(async () => {
    kafka = await startKafka({
      secure: true,
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        ...{ 'super.users': 'User:ANONYMOUS', 'early.start.listeners': 'CONTROLLER' },
      },
    });
    logs = new Logs(kafka.brokers);
    admin = new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
  });
  beforeEach(() => (id = `str_check${process.pid}x${++streams}`));
  afterEach(() => logs.close());
  afterAll(async () => {
    await admin.disconnect();
    await kafka.stop();
  });

  const findings = async (log: EventLog) =>
    (await log.check(id)).map(({ severity, code, message, fix }) => `${severity} ${code} ${message} ${fix}`);
  const make = (topic: string, settings: Readonly<Record<string, string>> = {}) =>
    createTopics(admin, [{ topic, configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })) }]);
  /** As the user of the secure listener. */
  const asUser = (output: Partial<KafkaOutput>) => {
    const { username, password, ca } = kafka.login;
    const sasl = { mechanism: 'plain', username, password };
    return logs.open(output, { brokers: kafka.secureBrokers, tls: true, sslRootCert: ca, sasl });
  };
  const grant = (
    resourceType: number,
    resourceName: string,
    resourcePatternType: number,
    names: readonly (keyof typeof OPERATIONS)[],
  ) =>
    // prettier-ignore
    admin.createAcls({
      acl: names.map((name) => ({
        ...{ resourceType, resourceName, resourcePatternType, principal: 'User:test', host: '*' },
        ...{ operation: OPERATIONS[name], permissionType: 3 },
      })),
    });

  it('looks at the topic that is named after the stream', async () => {
    const log = logs.open({ topic: 'of.{stream}', createTopics: undefined });
    expect(await findings(log)).toEqual([expect.stringMatching(`^error topic_missing .*--create --topic of.${id};`)]);
    await make(`of.${id}`, { 'min.insync.replicas': '2' });
    await becomes(() => findings(log), [expect.stringMatching(`^error log_unavailable .*of.${id} is 2.* --topic of.${id} `)]); // prettier-ignore
    await changeSettings((await logs.reach()).cluster, `of.${id}`, { 'min.insync.replicas': null });
    await becomes(() => findings(log), []);
  });

  it('looks at topics that events may go to, and warns of what is wrong with one', async () => {
    const log = logs.open({ topic: `cdc.${id}.{schema}.{table}`, createTopics: undefined });
    expect(await findings(log)).toEqual([expect.stringMatching(`^warning topic_missing .*cdc.${id}.{schema}.{table}.*set createTopics`)]); // prettier-ignore
    await make(`cdc.${id}.public.orders`);
    await becomes(() => findings(log), []);
    await make(`cdc.${id}.public.tight`, { 'max.message.bytes': '2000', 'min.insync.replicas': '2' });
    await becomes(
      () => findings(log),
      [
        expect.stringMatching(`^warning log_unavailable .*min.insync.replicas of cdc.${id}.public.tight`),
        expect.stringMatching(`^warning message_too_large .*cdc.${id}.public.tight`),
      ],
    );
    // All topics fit: most have nothing to do with it.
    expect(await findings(logs.open({ topic: '{topic}' }))).toEqual([]);
  });

  it('looks at the topic of ours in which the stream keeps where it is', async () => {
    const log = logs.open();
    expect(await findings(log)).toEqual([]);
    const sink = logs.sink(log, id, 1);
    await sink.open();
    await sink.append(commit(1, 1), never);
    await becomes(() => findings(log), []);
    const { cluster } = await logs.reach();
    await changeSettings(cluster, journalTopic(id), { 'cleanup.policy': 'compact,delete', 'min.insync.replicas': '2' });
    await becomes(
      () => findings(log),
      [
        expect.stringMatching(`^warning log_not_durable .*will forget.*--topic ${journalTopic(id)} --add-config cleanup.policy=\\[compact\\]`), // prettier-ignore
        expect.stringMatching(`^error log_unavailable min.insync.replicas of ${journalTopic(id)} is 2`),
      ],
    );
  });

  it('tells which rights are missing on topics that are there, and on those that are to be made', async () => {
    const log = asUser({ topic: `cdc.${id}.{table}` });
    await grant(TRANSACTIONS, 'planasonix.', PREFIXED, ['Write', 'Describe']);
    await grant(TOPIC, 'planasonix.positions.', PREFIXED, ['Create', 'Describe', 'DescribeConfigs']);
    const creates = expect.stringMatching(`^warning permission_denied .*--operation Create .*--topic 'cdc.${id}.' --resource-pattern-type prefixed$`); // prettier-ignore
    await becomes(() => findings(log), [creates]);
    await make(`cdc.${id}.orders`);
    await grant(TOPIC, `cdc.${id}.orders`, LITERAL, ['Describe', 'Read']);
    const writes = expect.stringMatching(`^warning permission_denied .*may not write to the topic cdc.${id}.orders`);
    await becomes(() => findings(log), [creates, writes]);
    await grant(TOPIC, `cdc.${id}.`, PREFIXED, ['Create', 'Write']);
    const asks = expect.stringMatching(`^warning permission_denied .*settings of the topic cdc.${id}.orders: .*--operation DescribeConfigs --topic cdc.${id}.orders$`); // prettier-ignore
    await becomes(() => findings(log), [asks]);
    await grant(TOPIC, `cdc.${id}.`, PREFIXED, ['DescribeConfigs']);
    await becomes(() => findings(log), []);
    const sink = logs.sink(logs.open({ topic: `cdc.${id}.{table}` }), id, 1);
    await sink.open();
    const own = expect.stringMatching(
      `^error permission_denied .*may not write and read ${journalTopic(id)}.*--operation Read .*--topic planasonix.positions. `,
    );
    await becomes(() => findings(log), [own]);
    await grant(TOPIC, 'planasonix.positions.', PREFIXED, ['Write', 'Read', 'AlterConfigs']);
    await becomes(() => findings(log), []);
  });
});
