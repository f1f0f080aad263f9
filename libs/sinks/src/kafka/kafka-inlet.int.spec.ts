import type { EventLog, Inlet, InletReport, TakenIn } from '@planasonix/core';
import { KafkaCluster, topicSettings, TransactionalProducer } from '@planasonix/kafka';
import { eventually, startKafka, startRedis, type Kafka, type Redis as RedisServer } from '@planasonix/testing';
import { delivery, gate, soon } from '../deliveries-under-test.js';
import { indexKey, knownKey } from '../redis-stream/keys.js';
import { allCommitted, Logs } from './logs-under-test.js';
import { SeenTopic, seenTopic } from './seen-topic.js';
import { Turn } from './turn.js';
import { StreamWriter } from './writer.js';

jest.setTimeout(120_000);
let streams = 0;

describe('many writers into one log in Kafka', () => {
  let kafka: Kafka;
  let redis: RedisServer;
  let logs: Logs;
  let log: EventLog;
  let id: string;
  const inlets: Inlet[] = [];

  beforeAll(async () => {
    [kafka, redis] = await Promise.all([startKafka(), startRedis()]);
  });
  afterAll(() => Promise.all([kafka.stop(), redis.stop()]));
  beforeEach(() => {
    id = `str_hooks${process.pid}x${++streams}`;
    logs = new Logs(kafka.brokers, redis.url);
    log = logs.open();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    for (const inlet of inlets.splice(0)) await inlet.close();
    await logs.close();
  });

  function writer(of: EventLog = log): Inlet {
    const inlet = of.inlet!();
    inlets.push(inlet);
    return inlet;
  }
  async function opened(epoch = 1, of: EventLog = log): Promise<Inlet> {
    const inlet = writer(of);
    await eventually('the log is open', () => inlet.open(id, epoch, null).then(() => true));
    return inlet;
  }
  const take = (inlet: Inlet, name: string, epoch = 1) => inlet.append(id, epoch, delivery(name), soon(20_000));
  /** In the order of the topic, once it is so many. */
  const ids = async (count: number) =>
    (await allCommitted(kafka.brokers, `log.${id}`, count)).map(({ headers }) => headers['ce_id']!);
  const nothing = (): InletReport => ({
    ...{ streamId: id, epoch: 1, oldestPendingAt: null, answers: [] },
    counts: { errors: 0, rejected: 0, dropped: 0, latency: new Map() },
  });
  const written = (name: string): TakenIn => ({ kind: 'written', id: `wh_${name}` });
  const repeated = (name: string): TakenIn => ({ kind: 'repeated', id: `wh_${name}` });
  /** The next transaction that would be committed. */
  function nextCommit(instead: (commit: () => Promise<void>) => Promise<void>): void {
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const commit = TransactionalProducer.prototype.commit;
    jest.spyOn(TransactionalProducer.prototype, 'commit').mockImplementationOnce(function (
      this: TransactionalProducer,
    ) {
      return instead(() => commit.call(this));
    });
  }

  /** Whoever writes next gets no further until it is opened. */
  function holdNextWrite(): ReturnType<typeof gate> {
    const held = gate();
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const write = StreamWriter.prototype.write;
    jest.spyOn(StreamWriter.prototype, 'write').mockImplementationOnce(async function (this: StreamWriter, ...args) {
      await held.pass();
      return write.apply(this, args);
    });
    return held;
  }

  it('fifty equal deliveries at once, at two writers, are one event and fifty answers with its id (trap 29)', async () => {
    const [one, two] = [await opened(), writer()];
    const taken = await Promise.all(Array.from({ length: 50 }, (_, i) => take(i % 2 ? one : two, 'a')));
    expect(taken.filter(({ kind }) => kind === 'written')).toHaveLength(1);
    expect(new Set(taken.map((each) => JSON.stringify({ ...each, kind: '' })))).toEqual(
      new Set([JSON.stringify({ kind: '', id: 'wh_a' })]),
    );
    expect(await ids(1)).toEqual(['wh_a']);
    expect(await log.totals(id)).toEqual({ events: 1, bytes: 9 });
  });

  it('writes deliveries in turn, each once, all parts of one or none, and those of one key in their order', async () => {
    const of = logs.open({ createTopics: { partitions: 3, replicationFactor: 1 } });
    const [one, two] = [await opened(1, of), writer(of)];
    const part = (n: number) => ({ partitionkey: `"${n % 4}"`, data: Buffer.from(String(n)) });
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => {
        const parts = [part(n), part(n + 1)];
        return (n % 2 ? one : two).append(id, 1, delivery(`n${n}`, { expanded: true, parts }), soon(20_000));
      }),
    );
    const lines = await allCommitted(kafka.brokers, `log.${id}`, 80);
    expect(new Set(lines.map(({ headers }) => headers['ce_id'])).size).toBe(80);
    expect(lines).toHaveLength(80);
    // What came at one writer is there in the order in which it came, key by key.
    for (const odd of [0, 1])
      for (const key of new Set(lines.map((line) => line.key))) {
        const numbers = lines
          .filter((line) => line.key === key)
          .map(({ headers }) => Number(/^wh_n(\d+)/.exec(headers['ce_id']!)![1]))
          .filter((n) => n % 2 === odd);
        expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      }
  });

  it('does not need the turns: writers that bar each other lose nothing and double nothing (trap 25a)', async () => {
    jest.spyOn(Turn.prototype, 'take').mockResolvedValue(true);
    const writers = [await opened(), writer()];
    const names = Array.from({ length: 12 }, (_, i) => `n${i}`);
    const taken = await Promise.all(
      writers.flatMap((inlet) => names.map((name) => inlet.append(id, 1, delivery(name), soon(60_000)))),
    );
    expect(new Set(taken.map((one) => 'id' in one && one.id)).size).toBe(12);
    expect((await ids(12)).sort()).toEqual(names.map((name) => `wh_${name}`).sort());
  });

  it.each([
    ['before it was committed, which nobody is held up by', () => Promise.resolve(), written('b')],
    [
      'when it was committed and nobody told, which is a repeat then',
      (commit: () => Promise<void>) => commit(),
      repeated('b'),
    ],
  ])('a delivery whose writer died %s is there once (trap 38)', async (_, dying, becomes) => {
    const [one, two] = [await opened(), writer()];
    await take(one, 'a');
    const died = gate();
    nextCommit((commit) => dying(commit).then(() => died.pass()));
    void take(one, 'b').catch(() => null);
    await died.reached;
    await one.close();
    expect(await take(two, 'b')).toEqual(becomes);
    expect(await take(two, 'a')).toEqual(repeated('a'));
    expect(await ids(2)).toEqual(['wh_a', 'wh_b']);
    expect((await log.totals(id)).events).toBe(2);
  });

  it('a stop bars writers that go on entering under the epoch that it ends, however many (Invariant 3)', async () => {
    // They take no turns, so that somebody is always entering.
    jest.spyOn(Turn.prototype, 'take').mockResolvedValue(true);
    const writers = [await opened(), writer(), writer()];
    let [stop, n] = [false, 0];
    const load = writers.map(async (inlet) => {
      while (!stop) await inlet.append(id, 1, delivery(`n${++n}`), soon(500)).catch(() => null);
    });
    await eventually('they write', async () => (await log.totals(id)).events > 0, { timeoutMs: 20_000 });
    await log.fence(id, 2);
    const { events } = await log.totals(id);
    await expect(take(writers[0]!, 'late')).rejects.toMatchObject({ code: 'fenced' });
    stop = true;
    await Promise.all(load);
    expect(await ids(events)).toHaveLength(events);
  });

  it('a stop that has begun lets nobody enter under the epoch that it ends (Invariant 3)', async () => {
    const [one, two] = [await opened(), writer()];
    await take(one, 'a');
    const stopping = holdNextWrite();
    const stopped = log.fence(id, 2);
    await stopping.reached;
    await expect(take(two, 'b')).rejects.toMatchObject({ code: 'fenced' });
    stopping.open();
    await stopped;
    expect(await ids(1)).toEqual(['wh_a']);
  });

  it('one that was frozen after it had looked writes nothing that another has written meanwhile (trap 27)', async () => {
    const [one, two] = [await opened(), writer()];
    await take(one, 'a');
    jest.spyOn(Turn.prototype, 'take').mockResolvedValue(true);
    const frozen = holdNextWrite();
    const late = take(one, 'b');
    await frozen.reached;
    expect(await take(two, 'b')).toEqual(written('b'));
    frozen.open();
    expect(await late).toEqual(repeated('b'));
    expect(await ids(2)).toEqual(['wh_a', 'wh_b']);
  });

  it('one that was frozen while the stream was stopped and started writes nothing any more (trap 32)', async () => {
    const one = await opened();
    await take(one, 'a');
    const frozen = holdNextWrite();
    const late = take(one, 'b');
    const refused = expect(late).rejects.toMatchObject({ code: 'fenced' });
    await frozen.reached;
    await log.fence(id, 2);
    const two = await opened(3);
    frozen.open();
    await refused;
    expect(await take(two, 'c', 3)).toEqual(written('c'));
    await expect(take(one, 'd')).rejects.toMatchObject({ code: 'fenced' });
    expect(await ids(2)).toEqual(['wh_a', 'wh_c']);
  });

  it.each([
    ['a fence', () => log.fence(id, 2), 'compact,delete'],
    ['a deletion', () => log.expire(id, 86_400, 2), 'delete'],
    ['a purge', () => log.expire(id, 0, 2), 'delete'],
  ])('writes nothing and confirms nothing after %s (Invariant 3)', async (_, bar, policy) => {
    const inlet = await opened();
    await take(inlet, 'a');
    await bar();
    for (const name of ['a', 'b']) await expect(take(inlet, name)).rejects.toMatchObject({ code: 'fenced' });
    expect(await ids(1)).toEqual(['wh_a']);
    // What is ours goes with the stream.
    const settings = await topicSettings((await logs.reach()).cluster, seenTopic(id));
    expect(settings!.get('cleanup.policy')).toBe(policy);
  });

  it('what makes a repeat known lives in Kafka: Redis may lose all of it, or its end (trap 26)', async () => {
    const [one, two] = [await opened(), writer()];
    await take(one, 'a');
    await redis.client().flushall();
    expect(await take(one, 'a')).toEqual(repeated('a'));
    await take(one, 'b');
    const index = await redis.client().hgetall(indexKey(id));
    // This one brings the index on, behind what the first has written.
    expect(await take(two, 'b')).toEqual(repeated('b'));
    await redis.client().del(knownKey(id, index['topic']!, 'b'));
    await redis.client().hset(indexKey(id), index);
    expect(await take(two, 'b')).toEqual(repeated('b'));
    await redis.client().flushall();
    expect(await take(writer(), 'b')).toEqual(repeated('b'));
    expect(await ids(2)).toEqual(['wh_a', 'wh_b']);
  });

  it.each([
    ['is there', 0, () => Promise.resolve()],
    ['was lost', 1, () => redis.client().flushall()],
  ])('one that stalls while it brings an index on that %s does not throw it back', async (_, made, before) => {
    const [one, two] = [await opened(), writer()];
    await take(one, 'a');
    jest.spyOn(Turn.prototype, 'take').mockResolvedValue(true);
    const stalled = gate();
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const look = SeenTopic.prototype.look;
    jest
      .spyOn(SeenTopic.prototype, 'look')
      .mockImplementationOnce(function (this: SeenTopic, ...args) {
        return look.apply(this, args);
      })
      .mockImplementationOnce(async function (this: SeenTopic, ...args) {
        const ends = await look.apply(this, args);
        await stalled.pass();
        return ends;
      });
    await before();
    const read = jest.spyOn(SeenTopic.prototype, 'read');
    const late = take(two, 'b');
    await stalled.reached;
    expect(await take(one, 'c')).toEqual(written('c'));
    stalled.open();
    expect(await late).toEqual(written('b'));
    expect(read.mock.calls.filter(([, from]) => from === 0)).toHaveLength(made);
  });

  it('a repeat after the window is an event', async () => {
    const inlet = await opened();
    const brief = delivery('a', { windowMs: 50 });
    await inlet.append(id, 1, brief, soon());
    await eventually('it is forgotten', async () => (await inlet.append(id, 1, brief, soon())).kind === 'written');
    for (const becomes of [written('c'), repeated('c')]) expect(await take(inlet, 'c')).toEqual(becomes);
    // Kafka keeps what a longer one takes.
    await inlet.append(id, 1, delivery('b', { windowMs: 30 * 86_400_000 }), soon());
    const settings = await topicSettings((await logs.reach()).cluster, seenTopic(id));
    expect(settings!.get('retention.ms')).toBe(String(31 * 86_400_000));
  });

  it('one that the log refuses is told so, and takes the others with it no further', async () => {
    const inlet = await opened();
    await (await logs.reach()).admin.set(`log.${id}`, { 'max.message.bytes': '100000' });
    const large = delivery('large', { parts: [{ partitionkey: '', data: Buffer.alloc(200_000, 32) }] });
    const all = ['a', 'large', 'b'].map((name) =>
      inlet.append(id, 1, name === 'large' ? large : delivery(name), soon(20_000)),
    );
    const [a, refused, b] = await Promise.allSettled(all);
    expect([a, b]).toEqual([written('a'), written('b')].map((value) => ({ status: 'fulfilled', value })));
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'message_too_large' } });
    expect(await ids(2)).toEqual(['wh_a', 'wh_b']);
  });

  it('what is gone or made anew is a gap until somebody decides (Invariant 2)', async () => {
    const inlet = await opened();
    await take(inlet, 'a');
    const mark = await inlet.open(id, 2, null);
    expect(await inlet.open(id, 3, mark)).toBe(mark);
    const { admin, cluster } = await logs.reach();
    await admin.remove([seenTopic(id)]);
    await eventually('it is gone', async () => (await cluster.view([seenTopic(id)])).topics[0]?.error === 3);
    await expect(take(writer(), 'b', 3)).rejects.toMatchObject({ code: 'offset_gap' });
    await expect(inlet.open(id, 4, mark)).rejects.toMatchObject({ code: 'offset_gap' });
    const next = await inlet.open(id, 4, null);
    expect(next).not.toBe(mark);
    expect(await take(inlet, 'b', 4)).toEqual(written('b'));
    await expect(inlet.open(id, 3, null)).rejects.toMatchObject({ code: 'fenced' });
    await expect(take(inlet, 'c', 9)).rejects.toMatchObject({ code: 'offset_gap' });
  });

  it('a broker that does not know the topic yet is not believed that it is gone (Invariant 2)', async () => {
    const inlet = await opened();
    const mark = await inlet.open(id, 2, null);
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const view = KafkaCluster.prototype.view;
    let lags = true;
    jest.spyOn(KafkaCluster.prototype, 'view').mockImplementation(async function (this: KafkaCluster, topics) {
      const known = await view.call(this, topics);
      if (!lags || !topics?.includes(seenTopic(id))) return known;
      lags = false;
      return { ...known, topics: known.topics.map((one) => ({ ...one, error: 3 })) };
    });
    expect(await inlet.open(id, 3, mark)).toBe(mark);
    expect(lags).toBe(false);
  });

  it('one that was frozen does not keep what is to go with a stream that was purged (trap 32)', async () => {
    const inlet = await opened();
    const frozen = gate();
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const keepFor = SeenTopic.prototype.keepFor;
    jest.spyOn(SeenTopic.prototype, 'keepFor').mockImplementationOnce(async function (this: SeenTopic, windowMs) {
      await frozen.pass();
      return keepFor.call(this, windowMs);
    });
    const refused = expect(take(inlet, 'a')).rejects.toMatchObject({ code: 'offset_gap' });
    await frozen.reached;
    await log.expire(id, 0, 2);
    frozen.open();
    await refused;
    const { admin, cluster } = await logs.reach();
    const settings = () => topicSettings(cluster, seenTopic(id));
    expect((await settings())!.get('cleanup.policy')).toBe('delete');
    // Who takes it as it is has it kept, for its age alone.
    await inlet.open(id, 3, null);
    await admin.set(seenTopic(id), { 'cleanup.policy': 'delete', 'retention.ms': '60000', 'retention.bytes': '1000' });
    await inlet.open(id, 4, null);
    const kept = (await settings())!;
    expect([kept.get('cleanup.policy'), kept.get('retention.bytes')]).toEqual(['compact,delete', '-1']);
    expect(kept.get('retention.ms')).toBe(String(4 * 86_400_000));
  });

  it('a delivery without events is a repeat when it comes again', async () => {
    const inlet = await opened();
    const none = () => inlet.append(id, 1, delivery('a', { expanded: true, parts: [] }), soon());
    expect(await none()).toEqual(written('a'));
    expect(await none()).toEqual(repeated('a'));
  });

  it('one that a compacted topic refuses is refused alone', async () => {
    const inlet = await opened();
    await (await logs.reach()).admin.set(`log.${id}`, { 'cleanup.policy': 'compact' });
    const keyed = (name: string, partitionkey: string) =>
      inlet.append(id, 1, delivery(name, { parts: [{ partitionkey, data: Buffer.from('{}') }] }), soon(20_000));
    const [a, refused, b] = await Promise.allSettled([keyed('a', '"1"'), keyed('none', ''), keyed('b', '"2"')]);
    expect([a, b]).toEqual([written('a'), written('b')].map((value) => ({ status: 'fulfilled', value })));
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'config_invalid' } });
    expect((await ids(2)).sort()).toEqual(['wh_a', 'wh_b']);
  });

  it('adds up what all writers count, also where Redis has lost what it knew of the log', async () => {
    const [one, two] = [await opened(), writer()];
    await take(one, 'a');
    const counts = { errors: 1, rejected: 2, dropped: 3, latency: new Map([[7, 4]]) };
    expect(await one.report({ ...nothing(), counts, answers: ['{"n":1}'] })).toMatchObject({ events: 1, errors: 1 });
    expect(await two.report({ ...nothing(), counts, answers: ['{"n":2}'] })).toMatchObject({
      ...{ events: 1, bytes: 9, errors: 2, rejected: 4, dropped: 6, latency: [[7, 8]] },
      lastEventAt: 1_795_564_800_000,
    });
    expect(await log.answers!(id)).toEqual(['{"n":1}', '{"n":2}']);
    await redis.client().del(indexKey(id));
    expect(await two.report(nothing())).toMatchObject({ events: 1, bytes: 9, errors: 2 });
    await one.open(id, 2, null);
    expect(await two.report(nothing())).toBeNull();
    expect(await two.report({ ...nothing(), epoch: 2 })).toMatchObject({ events: 1, errors: 0 });
  });

  it('a Redis that would forget what was taken in is told of in the check (trap 26)', async () => {
    const codes = async () => (await log.check()).map(({ code }) => code);
    expect(await codes()).not.toContain('log_may_evict');
    await redis.client().config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru');
    expect(await codes()).toContain('log_may_evict');
    await redis.client().config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
  });

  it('tells in time that a write hangs, and what was sent meanwhile is there once (trap 29)', async () => {
    const inlet = await opened();
    await take(inlet, 'a');
    const hung = holdNextWrite();
    await expect(inlet.append(id, 1, delivery('b'), soon(300))).rejects.toMatchObject({ code: 'log_unavailable' });
    hung.open();
    expect(await take(inlet, 'b')).toEqual(repeated('b'));
    expect(await ids(2)).toEqual(['wh_a', 'wh_b']);
  });

  it('loses nothing that it confirmed and doubles nothing while broker and Redis are killed (traps 26, 29)', async () => {
    const writers = [await opened(), writer()];
    const confirmed = new Set<string>();
    let [stop, next] = [false, 0];
    const load = writers.flatMap((inlet) =>
      Array.from({ length: 8 }, async () => {
        while (!stop) {
          const name = `n${next++}`;
          // As senders do: again until it is confirmed, at whichever it meets.
          for (let at = inlet; !stop; at = writers[next % 2]!) {
            const taken = await at.append(id, 1, delivery(name), soon(1_000)).catch(() => null);
            if (taken === null || taken.kind === 'full') continue;
            confirmed.add(taken.id);
            break;
          }
        }
      }),
    );
    const more = (count: number, before = confirmed.size) =>
      eventually('deliveries are confirmed', () => Promise.resolve(confirmed.size >= before + count), {
        timeoutMs: 60_000,
      });
    for (const server of [redis, kafka.nodes[0]!]) {
      await more(100);
      await server.kill();
      await server.start();
    }
    await more(1);
    stop = true;
    await Promise.all(load);
    const found = await ids((await log.totals(id)).events);
    const kept = new Set(found);
    expect(found.filter((one, i) => found.indexOf(one) !== i)).toEqual([]);
    expect([...confirmed].filter((one) => !kept.has(one))).toEqual([]);
    expect((await log.totals(id)).events).toBe(found.length);
  });
});
