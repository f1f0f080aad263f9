import { changeSettings, topicSettings, TransactionalProducer } from '@planasonix/kafka';
import { eventually } from '@planasonix/testing';
import { delivery, gate, repeated, soon, written } from '../deliveries-under-test.js';
import { indexKey } from '../redis-stream/keys.js';
import { inletUnderTest } from './inlet-under-test.js';
import { allCommitted } from './logs-under-test.js';
import { seenTopic } from './seen-topic.js';
import { Turn } from './turn.js';

jest.setTimeout(120_000);

const at = inletUnderTest();
const { opened, writer, take, ids, nothing, holdNextWrite } = at;

describe('many writers into one log in Kafka', () => {
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

  it('fifty equal deliveries at once, at two writers, are one event and fifty answers with its id (trap 29)', async () => {
    const [one, two] = [await opened(), writer()];
    const taken = await Promise.all(Array.from({ length: 50 }, (_, i) => take(i % 2 ? one : two, 'a')));
    expect(taken.filter(({ kind }) => kind === 'written')).toHaveLength(1);
    expect(new Set(taken.map((each) => JSON.stringify({ ...each, kind: '' })))).toEqual(
      new Set([JSON.stringify({ kind: '', id: 'wh_a' })]),
    );
    expect(await ids(1)).toEqual(['wh_a']);
    expect(await at.log.totals(at.id)).toEqual({ events: 1, bytes: 9 });
  });

  it('writes deliveries in turn, each once, all parts of one or none, and those of one key in their order', async () => {
    const of = at.logs.open({ createTopics: { partitions: 3, replicationFactor: 1 } });
    const [one, two] = [await opened(1, of), writer(of)];
    const part = (n: number) => ({ partitionkey: `"${n % 4}"`, data: Buffer.from(String(n)) });
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => {
        const parts = [part(n), part(n + 1)];
        return (n % 2 ? one : two).append(at.id, 1, delivery(`n${n}`, { expanded: true, parts }), soon(20_000));
      }),
    );
    const lines = await allCommitted(at.kafka.brokers, `log.${at.id}`, 80);
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
      writers.flatMap((inlet) => names.map((name) => inlet.append(at.id, 1, delivery(name), soon(60_000)))),
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
    expect((await at.log.totals(at.id)).events).toBe(2);
  });

  it('a stop bars writers that go on entering under the epoch that it ends, however many (Invariant 3)', async () => {
    // They take no turns, so that somebody is always entering.
    jest.spyOn(Turn.prototype, 'take').mockResolvedValue(true);
    const writers = [await opened(), writer(), writer()];
    let [stop, n] = [false, 0];
    const load = writers.map(async (inlet) => {
      while (!stop) await inlet.append(at.id, 1, delivery(`n${++n}`), soon(500)).catch(() => null);
    });
    await eventually('they write', async () => (await at.log.totals(at.id)).events > 0);
    await at.log.fence(at.id, 2);
    const { events } = await at.log.totals(at.id);
    await expect(take(writers[0]!, 'late')).rejects.toMatchObject({ code: 'fenced' });
    stop = true;
    await Promise.all(load);
    expect(await ids(events)).toHaveLength(events);
  });

  it('a stop that has begun lets nobody enter under the epoch that it ends (Invariant 3)', async () => {
    const [one, two] = [await opened(), writer()];
    await take(one, 'a');
    const stopping = holdNextWrite();
    const stopped = at.log.fence(at.id, 2);
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
    await at.log.fence(at.id, 2);
    const two = await opened(3);
    frozen.open();
    await refused;
    expect(await take(two, 'c', 3)).toEqual(written('c'));
    await expect(take(one, 'd')).rejects.toMatchObject({ code: 'fenced' });
    expect(await ids(2)).toEqual(['wh_a', 'wh_c']);
  });

  it.each([
    ['a fence', () => at.log.fence(at.id, 2), 'compact,delete'],
    ['a deletion', () => at.log.expire(at.id, 86_400, 2), 'delete'],
    ['a purge', () => at.log.expire(at.id, 0, 2), 'delete'],
  ])('writes nothing and confirms nothing after %s (Invariant 3)', async (_, bar, policy) => {
    const inlet = await opened();
    await take(inlet, 'a');
    await bar();
    for (const name of ['a', 'b']) await expect(take(inlet, name)).rejects.toMatchObject({ code: 'fenced' });
    expect(await ids(1)).toEqual(['wh_a']);
    // What is ours goes with the stream.
    const settings = await topicSettings((await at.logs.reach()).cluster, seenTopic(at.id));
    expect(settings!.get('cleanup.policy')).toBe(policy);
  });

  it('one that the log refuses is told so, and takes the others with it no further', async () => {
    const inlet = await opened();
    await changeSettings((await at.logs.reach()).cluster, `log.${at.id}`, { 'max.message.bytes': '100000' });
    const large = delivery('large', { parts: [{ partitionkey: '', data: Buffer.alloc(200_000, 32) }] });
    const all = ['a', 'large', 'b'].map((name) =>
      inlet.append(at.id, 1, name === 'large' ? large : delivery(name), soon(20_000)),
    );
    const [a, refused, b] = await Promise.allSettled(all);
    expect([a, b]).toEqual([written('a'), written('b')].map((value) => ({ status: 'fulfilled', value })));
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'message_too_large' } });
    expect(await ids(2)).toEqual(['wh_a', 'wh_b']);
  });

  it('one that a compacted topic refuses is refused alone', async () => {
    const inlet = await opened();
    await changeSettings((await at.logs.reach()).cluster, `log.${at.id}`, { 'cleanup.policy': 'compact' });
    const keyed = (name: string, partitionkey: string) =>
      inlet.append(at.id, 1, delivery(name, { parts: [{ partitionkey, data: Buffer.from('{}') }] }), soon(20_000));
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
    expect(await at.log.answers!(at.id)).toEqual(['{"n":1}', '{"n":2}']);
    await at.redis.client().del(indexKey(at.id));
    expect(await two.report(nothing())).toMatchObject({ events: 1, bytes: 9, errors: 2 });
    await at.redis.client().del(indexKey(at.id));
    expect(await one.report({ ...nothing(), answers: ['{"n":3}'] })).toMatchObject({ events: 1 });
    await one.open(at.id, 2, null);
    expect(await two.report({ ...nothing(), answers: ['{"n":4}'] })).toBeNull();
    // What was answered was answered, whichever epoch rules.
    expect(await at.log.answers!(at.id)).toEqual([1, 2, 3, 4].map((n) => `{"n":${n}}`));
    expect(await two.report({ ...nothing(), epoch: 2 })).toMatchObject({ events: 1, errors: 0 });
  });

  it('tells in time that a write hangs, and what was sent meanwhile is there once (trap 29)', async () => {
    const inlet = await opened();
    await take(inlet, 'a');
    const hung = holdNextWrite();
    await expect(inlet.append(at.id, 1, delivery('b'), soon(300))).rejects.toMatchObject({ code: 'log_unavailable' });
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
          for (let met = inlet; !stop; met = writers[next % 2]!) {
            const taken = await met.append(at.id, 1, delivery(name), soon(1_000)).catch(() => null);
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
    for (const server of [at.redis, at.kafka.nodes[0]!]) {
      await more(100);
      await server.kill();
      await server.start();
    }
    await more(1);
    stop = true;
    await Promise.all(load);
    const found = await ids((await at.log.totals(at.id)).events);
    const kept = new Set(found);
    expect(found.filter((one, i) => found.indexOf(one) !== i)).toEqual([]);
    expect([...confirmed].filter((one) => !kept.has(one))).toEqual([]);
    expect((await at.log.totals(at.id)).events).toBe(found.length);
  });
});
