import { type ChangeBatch, type EventLog, type Sink } from '@planasonix/core';
import {
  becomes,
  createTopics,
  commit,
  eventOf,
  eventually,
  kcat,
  startKafka,
  startProxy,
  type Kafka,
  type Proxy,
} from '@planasonix/testing';
import { Kafka as Client, logLevel, type Admin } from 'kafkajs';
import { TOMBSTONE_TYPE } from './cloud-event.js';
import { allCommitted, committedIds, Logs } from './logs-under-test.js';

const never = new AbortController().signal;
const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => `e-${first + i}`);
const part = (first: number, last: number): ChangeBatch => commit(first, last, { position: null });
let streams = 0;

describe('the log in Kafka', () => {
  let kafka: Kafka;
  let logs: Logs;
  let proxy: Proxy;
  let id: string;
  const closers: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    kafka = await startKafka({
      secure: true,
      properties: {
        ...{ 'log.retention.check.interval.ms': '200', 'log.initial.task.delay.ms': '0' },
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        ...{ 'super.users': 'User:ANONYMOUS', 'early.start.listeners': 'CONTROLLER' },
      },
      advertise: async (port) => {
        proxy = await startProxy({ targetPort: port });
        return `127.0.0.1:${proxy.port}`;
      },
    });
    logs = new Logs([`127.0.0.1:${proxy.port}`]);
  });
  beforeEach(() => (id = `str_kafka${process.pid}x${++streams}`));
  afterEach(async () => {
    proxy.resume();
    await logs.close();
    for (const close of closers.splice(0)) await close();
  });
  afterAll(async () => {
    await kafka.stop();
    await proxy.stop();
  });

  async function admin(): Promise<Admin> {
    const client = new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await client.connect();
    closers.push(() => client.disconnect());
    return client;
  }

  const ids = () => committedIds(kafka.brokers, `log.${id}`);
  const all = (topic: string, count: number) => allCommitted(kafka.brokers, topic, count);

  it('shows a large transaction of the source whole, and takes its parts while it is open (Invariants 5, 6)', async () => {
    const log = logs.open();
    const sink = logs.sink(log, id, 1);
    await sink.open();
    await sink.append(commit(1, 2), never);
    for (let from = 3; from < 4_003; from += 500) await sink.append(part(from, from + 499), never);
    expect(await ids()).toEqual(numbers(1, 2));
    expect((await log.totals(id)).events).toBe(2);
    // A look sees what is being written.
    expect((await log.read(id, { limit: 1 }))[0]!.id).toBe('e-4002');
    expect(await sink.append(commit(4_003, 4_003), never)).toMatchObject({ totals: { events: 4_003 } });
    await becomes(ids, numbers(1, 4_003));
    const { positions } = await logs.sink(log, id, 2).open();
    expect(positions.get('')).toBe('at-4003');
  });

  it('leaves nothing of a large transaction that did not come to its end, and holds no reader up', async () => {
    const log = logs.open();
    const sink = logs.sink(log, id, 1);
    await sink.open();
    await sink.append(commit(1, 2), never);
    await sink.append(part(3, 500), never);
    await sink.close();
    const { sink: next, found } = await reopened(log, 2);
    expect(found.positions.get('')).toBe('at-2');
    expect(await next.append(commit(3, 9), never)).toMatchObject({ events: 7, duplicates: 0 });
    await becomes(ids, numbers(1, 9));
  });

  async function reopened(log: EventLog, epoch: number) {
    const sink = logs.sink(log, id, epoch);
    return { sink, found: await sink.open() };
  }

  it('writes events as CloudEvents in binary mode, tombstones behind deletes, to topics by table', async () => {
    const log = logs.open({ topic: `cdc.${id}.{schema}.{table}`, tombstones: true, createTopics: { partitions: 3, replicationFactor: 1 } }); // prettier-ignore
    const { sink } = await reopened(log, 1);
    const events = [
      eventOf(1),
      eventOf(2, { subject: 'public."Große"' }),
      eventOf(3, { type: 'com.planasonix.row.delete', partitionkey: '{"id":1}' }),
      eventOf(4, { partitionkey: '', subject: 'public.log' }),
      eventOf(5, { partitionkey: '', subject: 'public.log' }),
    ];
    await sink.append({ partition: '', events, position: 'p' }, never);
    const orders = await all(`cdc.${id}.public.orders`, 3);
    expect(orders.map(({ key, payload }) => [key, payload])).toEqual([
      ['{"id":1}', events[0]!.data.toString()],
      ['{"id":1}', events[2]!.data.toString()],
      ['{"id":1}', null],
    ]);
    expect(new Set(orders.map(({ partition }) => partition)).size).toBe(1);
    expect(orders[0]!.headers).toEqual({
      ce_specversion: '1.0',
      ce_id: 'e-1',
      ce_type: 'com.planasonix.row.insert',
      ce_source: `/streams/${id}`,
      ce_subject: 'public.orders',
      ce_time: eventOf(1).time,
      ce_partitionkey: '{"id":1}',
      'content-type': 'application/json',
    });
    expect(orders[2]!.headers).toMatchObject({ ce_type: TOMBSTONE_TYPE, ce_id: 'e-3/t' });
    await becomes(() => committedIds(kafka.brokers, `cdc.${id}.public.Gro_e`), ['e-2']);
    const keyless = await all(`cdc.${id}.public.log`, 2);
    expect(keyless.map(({ key, headers }) => [key, headers['ce_id'], headers['ce_partitionkey']])).toEqual([
      [null, 'e-4', undefined],
      [null, 'e-5', undefined],
    ]);
    // Java's choice: librdkafka puts the same key into the same partition.
    await kcat(['-b', kafka.brokers.join(','), '-P', '-t', `cdc.${id}.public.orders`, '-K', '|', '-X', 'partitioner=murmur2_random'], '{"id":1}|theirs\n'); // prettier-ignore
    const both = await all(`cdc.${id}.public.orders`, 4);
    expect(new Set(both.map(({ partition }) => partition)).size).toBe(1);
    await expect(log.read(id, { limit: 5 })).rejects.toMatchObject({ code: 'log_unreadable' });
  });

  it('bars a writer with a large transaction open: none of it is ever seen (traps 25a, 27, 32)', async () => {
    const log = logs.open();
    const { sink: older } = await reopened(log, 1);
    await older.append(commit(1, 3), never);
    await older.append(part(4, 5), never);
    const { sink: owner, found } = await reopened(log, 2);
    expect(found.positions.get('')).toBe('at-3');
    await owner.append(commit(4, 6), never);
    const late = [older.append(part(6, 7), never), older.append(commit(8, 9), never)];
    for (const one of late) await expect(one).rejects.toMatchObject({ code: 'fenced' });
    await owner.append(commit(7, 8), never);
    await becomes(ids, numbers(1, 8));
    expect((await log.totals(id)).events).toBe(8);
  });

  it('lets no writer of an older epoch in, however the two meet (traps 25a, 32)', async () => {
    const log = logs.open();
    await reopened(log, 1);
    for (let round = 1; round <= 8; round++) {
      const epoch = round * 2;
      const zombie = logs.sink(log, id, epoch - 1);
      const owner = logs.sink(log, id, epoch);
      const next = Number((await log.totals(id)).events) + 1;
      const write = async (sink: Sink, events: ChangeBatch) => {
        await sink.open();
        await sink.append(events, never);
      };
      const alien = { ...commit(1, 1), events: [eventOf(1, { id: 'alien', order: null })] };
      const [, mine] = await Promise.allSettled([write(zombie, alien), write(owner, commit(next, next))]);
      // The zombie may have had its time before the owner came, and may have been in its way.
      if (mine.status === 'rejected') {
        const { sink, found } = await reopened(log, epoch);
        if (found.positions.get('') !== `at-${next}`) await sink.append(commit(next, next), never);
      }
      await expect(logs.sink(log, id, epoch - 1).open()).rejects.toMatchObject({ code: 'fenced' });
      await expect(zombie.append(alien, never)).rejects.toBeInstanceOf(Error);
      const { found } = await reopened(log, epoch);
      await becomes(async () => (await ids()).length, found.totals.events);
    }
    const seen = await ids();
    expect(new Set(seen.filter((one) => one !== 'alien')).size).toBe(seen.filter((one) => one !== 'alien').length);
  });

  it('goes on when the broker is killed in the middle of a transaction: nothing lost, nothing twice', async () => {
    const log = logs.open();
    const { sink } = await reopened(log, 1);
    await sink.append(commit(1, 3), never);
    await sink.append(part(4, 1_000), never);
    await kafka.nodes[0]!.kill();
    const broken = Promise.allSettled([
      sink.append(part(1_001, 1_500), never),
      sink.append(commit(1_501, 1_600), never),
    ]);
    await kafka.nodes[0]!.start();
    await broken;
    const { sink: next, found } = await reopened(log, 2);
    const from = Number(found.positions.get('')!.slice(3)) + 1;
    await next.append(commit(Math.max(1, from - 2), 2_000), never);
    await becomes(ids, numbers(1, 2_000));
  });

  it('lasts through a network that is torn again and again', async () => {
    const log = logs.open();
    let epoch = 1;
    let { sink } = await reopened(log, epoch);
    for (let next = 1; next <= 400;) {
      const sends = [part(next, next + 4), commit(next + 5, next + 9), commit(next + 10, next + 19)];
      const pending = Promise.allSettled(sends.map((batch) => sink.append(batch, never)));
      if (next % 3 === 0) proxy.tear();
      const outcome = await pending;
      if (outcome.every(({ status }) => status === 'fulfilled')) {
        next += 20;
        continue;
      }
      const again = await eventually('it opens again', () => reopened(log, ++epoch));
      sink = again.sink;
      next = Number(again.found.positions.get('')?.slice(3) ?? 0) + 1;
    }
    const seen = await ids();
    expect(seen).toEqual(numbers(1, seen.length));
  });

  it('says what is missing, and what the topic refuses', async () => {
    const none = logs.open({ topic: `none.${id}`, createTopics: undefined });
    await expect(logs.sink(none, id, 1).open()).rejects.toMatchObject({ code: 'topic_missing', hint: expect.stringContaining('set createTopics') }); // prettier-ignore
    expect(await none.check()).toMatchObject([{ code: 'topic_missing', severity: 'error', fix: expect.stringContaining(`--topic none.${id}`) }]); // prettier-ignore
    const log = logs.open({ topic: `small.${id}` });
    const { sink } = await reopened(log, 2);
    expect(await log.check()).toEqual([]);
    const huge = eventOf(1, { data: Buffer.from(`"${'x'.repeat(2_000_000)}"`) });
    await expect(sink.append({ partition: '', events: [huge], position: 'p' }, never)).rejects.toMatchObject({
      code: 'message_too_large',
    });
    const wide = logs.open({ createTopics: { partitions: 1, replicationFactor: 5 } });
    expect(await wide.check()).toMatchObject([
      { code: 'config_invalid', severity: 'warning', fix: expect.stringContaining('1 or less') },
    ]);
    await expect(logs.sink(wide, `${id}wide`, 1).open()).rejects.toMatchObject({
      message: expect.stringContaining('INVALID_REPLICATION_FACTOR'),
    });
    const topics = [{ topic: `strict.${id}`, configEntries: [{ name: 'min.insync.replicas', value: '2' }] }];
    await createTopics(await admin(), topics);
    expect(await logs.open({ topic: `strict.${id}` }).check()).toMatchObject([
      { code: 'log_unavailable', severity: 'error', fix: expect.stringContaining('min.insync.replicas=1') },
    ]);
    const gone = logs.open({}, { brokers: ['127.0.0.1:1'] });
    expect(await gone.check()).toMatchObject([{ code: 'log_unavailable', severity: 'error' }]);
    await expect(logs.sink(gone, id, 1).open()).rejects.toMatchObject({ code: 'log_unavailable' });
  });

  it('dials no broker at an address that is forbidden, though the first one was allowed (traps 25, 34)', async () => {
    const log = logs.open({}, { brokers: kafka.brokers }, [{ host: '127.0.0.1', port: proxy.port }]);
    expect(await log.check()).toMatchObject([
      { code: 'host_forbidden', severity: 'error', message: expect.stringContaining(`:${proxy.port} `), fix: expect.stringContaining('advertised.listeners') }, // prettier-ignore
    ]);
    await expect(logs.sink(log, id, 1).open()).rejects.toMatchObject({ code: 'host_forbidden', recourse: 'fatal' });
  });

  it('tells before the start what a topic will refuse: large records, and events without a key', async () => {
    const of = (topic: string, settings: Readonly<Record<string, string>>) => ({
      topic,
      configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
    });
    const [tight, compact] = [`tight.${id}`, `compact.${id}`];
    await createTopics(await admin(), [
      of(tight, { 'max.message.bytes': '2000' }),
      of(compact, { 'cleanup.policy': 'compact' }),
    ]);
    expect(await logs.open({ topic: tight }).check()).toMatchObject([
      { code: 'message_too_large', severity: 'warning', message: expect.stringContaining('2000 bytes'), fix: expect.stringContaining(`--topic ${tight} --add-config max.message.bytes=`) }, // prettier-ignore
    ]);
    const log = logs.open({ topic: compact });
    expect(await log.check()).toMatchObject([{ code: 'topic_compacted', severity: 'info' }]);
    const { sink } = await reopened(log, 1);
    const keyless = { partition: '', events: [eventOf(1, { partitionkey: '' })], position: 'p' };
    await expect(sink.append(keyless, never)).rejects.toMatchObject({
      code: 'config_invalid',
      hint: expect.stringContaining('primary key'),
    });
  });

  it('tells which permission is missing on what, and writes once all are there', async () => {
    const { username, password, ca } = kafka.login;
    const config = { brokers: kafka.secureBrokers, tls: true, sslRootCert: ca, sasl: { mechanism: 'plain', username, password } }; // prettier-ignore
    const topic = `guarded.${id}`;
    const log = logs.open({ topic }, config);
    const denied = (await log.check()).map(({ code, message, fix }) => `${code} ${message} ${fix}`);
    expect(denied).toEqual([
      expect.stringMatching(/^permission_denied .*transactional ids planasonix\.\*.*--operation Write .*--transactional-id planasonix\. /), // prettier-ignore
      expect.stringMatching(/^permission_denied .*Create is missing on planasonix\.positions\.\*.*--operation Create .*--operation Read .*--topic planasonix\.positions\. /), // prettier-ignore
      expect.stringMatching(new RegExp(`^permission_denied .*the topic ${topic}.*--operation Create .*--topic ${topic}$`)), // prettier-ignore
    ]);
    await expect(logs.sink(log, id, 1).open()).rejects.toMatchObject({
      code: 'permission_denied',
      message: expect.stringContaining('AUTHORIZATION_FAILED'),
    });
    const [TOPIC, TRANSACTIONS] = [2, 5];
    const operations = { Read: 3, Write: 4, Create: 5, Delete: 6, Describe: 8, DescribeConfigs: 10, AlterConfigs: 11 };
    const grant = async (fix: string, resourceType: number, resourceName: string) => {
      const of = { resourceType, resourceName, resourcePatternType: fix.includes('prefixed') ? 4 : 3 };
      const names = [...fix.matchAll(/--operation (\w+)/g)].map(([, name]) => name as keyof typeof operations);
      const acl = names.map((name) => ({ ...of, principal: 'User:test', host: '*', operation: operations[name], permissionType: 3 })); // prettier-ignore
      await (await admin()).createAcls({ acl });
    };
    // What the findings say, and nothing else.
    await grant(denied[0]!, TRANSACTIONS, 'planasonix.');
    await grant(denied[1]!, TOPIC, 'planasonix.positions.');
    await grant(denied[2]!, TOPIC, topic);
    await eventually('nothing is missing', async () => (await log.check()).length === 0);
    const { sink } = await reopened(log, 2);
    await sink.append(commit(1, 3), never);
    expect((await log.read(id, { limit: 9 })).map((entry) => entry.id)).toEqual(numbers(1, 3));
    await log.expire(id, 86_400, 2);
  });

  it('gives its own topic back once its time is over, and leaves the topics with events', async () => {
    const log = logs.hasty(2);
    const { sink } = await reopened(log, 1);
    await sink.append(commit(1, 3), never);
    const topics = async () => (await kcat(['-b', kafka.brokers.join(','), '-L'])).toString();
    await log.expire(id, 0, 2);
    // Whoever is deleted next may take it along, if only it itself once more.
    expect(await topics()).toContain(`planasonix.positions.${id}`);
    await log.expire(id, 0, 2);
    await becomes(ids, numbers(1, 3));
    await eventually(
      'the next one that is deleted takes it along',
      async () => {
        await log.expire(`${id}y${++streams}`, 0, 1);
        return !(await topics()).includes(`planasonix.positions.${id}"`);
      },
      { timeoutMs: 60_000, everyMs: 500 },
    );
    // Nobody who was under way makes it anew.
    await expect(log.sink(id, 1).open()).rejects.toMatchObject({ code: 'offset_gap' });
    expect(await topics()).not.toContain(`planasonix.positions.${id}"`);
  });

  it('lives on when a writer enters that may', async () => {
    const log = logs.open();
    const { sink } = await reopened(log, 1);
    await sink.append(commit(1, 3), never);
    await log.expire(id, 86_400, 2);
    const { sink: next, found } = await reopened(log, 2);
    expect(found.positions.get('')).toBe('at-3');
    await next.append(commit(4, 5), never);
    expect((await log.read(id, { limit: 9 })).map((entry) => entry.id)).toEqual(numbers(1, 5));
  });
});
