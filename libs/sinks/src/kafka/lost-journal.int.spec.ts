import { systemClock } from '@planasonix/core';
import { ProducerRoutes, topicSettings, TransactionalProducer } from '@planasonix/kafka';
import { createTopics, commit, kcat, startKafka, type Kafka } from '@planasonix/testing';
import { Kafka as Client, logLevel, type Admin } from 'kafkajs';
import { Journal } from './journal.js';
import { committedIds, Logs } from './logs-under-test.js';

const never = new AbortController().signal;
const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => `e-${first + i}`);
let streams = 0;

describe('a journal that somebody deletes (Invariant 2)', () => {
  let kafka: Kafka;
  let logs: Logs;
  let admin: Admin;
  let id: string;
  beforeAll(async () => {
    kafka = await startKafka();
    logs = new Logs(kafka.brokers);
    admin = new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
  });
  beforeEach(() => (id = `str_lost${process.pid}x${++streams}`));
  afterEach(() => logs.close());
  afterAll(async () => {
    await admin.disconnect();
    await kafka.stop();
  });

  const journal = () => `planasonix.positions.${id}`;
  const isThere = async () => (await kcat(['-b', kafka.brokers[0]!, '-L'])).toString().includes(`"${journal()}"`);
  const lost = { code: 'offset_gap', recourse: 'lost', message: expect.stringContaining('planasonix.positions.'), hint: expect.stringContaining('"resnapshot"') }; // prettier-ignore

  async function begun(log = logs.open()) {
    const sink = logs.sink(log, id, 1);
    await sink.open();
    await sink.append(commit(1, 3), never);
    return { log, sink };
  }

  it('ends who writes, and lets nobody begin anew but whom the user told to', async () => {
    const { log, sink } = await begun();
    await admin.deleteTopics({ topics: [journal()] });
    await expect(sink.append(commit(4, 5), never)).rejects.toMatchObject({ code: 'log_unavailable' });
    for (const epoch of [1, 2, 3]) await expect(logs.sink(log, id, epoch).open()).rejects.toMatchObject(lost);
    expect(await isThere()).toBe(false);
    const again = logs.sink(log, id, 4);
    expect(await again.open({ reset: 7 })).toMatchObject({ positions: new Map(), totals: { events: 0 } });
    await again.append(commit(4, 6), never);
    const { positions } = await logs.sink(log, id, 5).open();
    expect(positions.get('')).toBe('at-6');
    // What was not committed is not there; nothing that was is missing or there twice.
    expect(await committedIds(kafka.brokers, `log.${id}`)).toEqual([...numbers(1, 3), ...numbers(4, 6)]);
  });

  it('bars older epochs still, and says so to the next writer until its place is set', async () => {
    const { log } = await begun();
    await admin.deleteTopics({ topics: [journal()] });
    await log.fence(id, 5);
    await expect(logs.sink(log, id, 4).open({ reset: 7 })).rejects.toMatchObject({ code: 'fenced' });
    await log.fence(id, 6);
    await expect(logs.sink(log, id, 6).open()).rejects.toMatchObject(lost);
    await log.place(id, 6, new Map([['', 'at-2']]));
    expect((await logs.sink(log, id, 6).open()).positions.get('')).toBe('at-2');
  });

  it('is not lost where its first writer died before he had said anything in it', async () => {
    const { cluster, admin } = await logs.reach();
    await new Journal(id, { cluster, admin }, systemClock, 1).make();
    const create = () => Promise.resolve(false);
    const routes = new ProducerRoutes({ cluster, clock: systemClock, create, maxBytes: () => Promise.resolve(null) });
    const transactionalId = `planasonix.${id}`;
    await new TransactionalProducer({ cluster, clock: systemClock, routes, transactionalId }).begin();
    const log = logs.open();
    const sink = logs.sink(log, id, 1);
    expect((await sink.open()).positions).toEqual(new Map());
    expect(await sink.append(commit(1, 2), never)).toMatchObject({ events: 2 });
  });

  it('is gone for good where the stream is deleted', async () => {
    const { log } = await begun();
    await admin.deleteTopics({ topics: [journal()] });
    await log.expire(id, 0, 2);
    expect(await isThere()).toBe(false);
  });

  it.each([
    ['before anybody writes to it', 0],
    ['and who writes goes on', 1],
  ])(
    'and makes anew, %s',
    async (_, more) => {
      const { log, sink } = await begun();
      await admin.deleteTopics({ topics: [journal()] });
      await createTopics(admin, [{ topic: journal(), numPartitions: 1 }]);
      // Whether the broker takes it depends on its version.
      if (more) await sink.append({ ...commit(4, 5), partition: 'other' }, never).catch(() => undefined);
      await expect(logs.sink(log, id, 2).open()).rejects.toMatchObject(lost);
      const again = logs.sink(log, id, 3);
      expect((await again.open({ reset: 7 })).positions).toEqual(new Map());
      const settings = await topicSettings((await logs.reach()).cluster, journal(), 'own');
      expect(Object.fromEntries(settings!)).toMatchObject({
        'cleanup.policy': 'compact',
        'max.message.bytes': '8388608',
      });
      await again.append(commit(4, 6), never);
      expect((await logs.sink(log, id, 4).open()).positions.get('')).toBe('at-6');
    },
    60_000,
  );
});
