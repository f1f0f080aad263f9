import { changeSettings, KafkaCluster, topicSettings } from '@planasonix/kafka';
import { eventually } from '@planasonix/testing';
import { delivery, gate, repeated, soon, written } from '../deliveries-under-test.js';
import { indexKey, knownKey } from '../redis-stream/keys.js';
import { inletUnderTest } from './inlet-under-test.js';
import { journalTopic } from './journal.js';
import { SeenIndex } from './seen-index.js';
import { SeenTopic, seenTopic } from './seen-topic.js';
import { Turn } from './turn.js';

jest.setTimeout(120_000);

const at = inletUnderTest();
const { opened, writer, take, ids } = at;

describe('what a log in Kafka knows of deliveries that it has', () => {
  it('what makes a repeat known lives in Kafka: Redis may lose all of it, or its end (trap 26)', async () => {
    const [one, two] = [await opened(), writer()];
    await take(one, 'a');
    await at.redis.client().flushall();
    expect(await take(one, 'a')).toEqual(repeated('a'));
    await take(one, 'b');
    const index = await at.redis.client().hgetall(indexKey(at.id));
    // This one brings the index on, behind what the first has written.
    expect(await take(two, 'b')).toEqual(repeated('b'));
    await at.redis.client().del(knownKey(at.id, index['topic']!, 'b'));
    await at.redis.client().hset(indexKey(at.id), index);
    expect(await take(two, 'b')).toEqual(repeated('b'));
    await at.redis.client().flushall();
    expect(await take(writer(), 'b')).toEqual(repeated('b'));
    expect(await ids(2)).toEqual(['wh_a', 'wh_b']);
  });

  it('what was committed is counted, also where it came to nobody to say so before it is sent again', async () => {
    const [one, two] = [await opened(), writer()];
    const publish = jest.spyOn(SeenIndex.prototype, 'publish').mockRejectedValue(new Error('Redis is away'));
    await take(one, 'a');
    publish.mockRestore();
    expect(await one.report(at.nothing())).toMatchObject({ events: 0 });
    expect(await take(two, 'a')).toEqual(repeated('a'));
    await eventually('it is counted', async () => (await two.report(at.nothing()))?.events === 1);
  });

  it.each([
    ['is there', 0, () => Promise.resolve()],
    ['was lost', 1, () => at.redis.client().flushall()],
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
    await inlet.append(at.id, 1, brief, soon());
    await eventually('it is forgotten', async () => (await inlet.append(at.id, 1, brief, soon())).kind === 'written');
    for (const becomes of [written('c'), repeated('c')]) expect(await take(inlet, 'c')).toEqual(becomes);
    // Kafka keeps what a longer one takes.
    await inlet.append(at.id, 1, delivery('b', { windowMs: 30 * 86_400_000 }), soon());
    const settings = await topicSettings((await at.logs.reach()).cluster, seenTopic(at.id));
    expect(settings!.get('retention.ms')).toBe(String(31 * 86_400_000));
  });

  it('what is gone or made anew is a gap until somebody decides (Invariant 2)', async () => {
    const inlet = await opened();
    await take(inlet, 'a');
    const mark = await inlet.open(at.id, 2, null);
    expect(await inlet.open(at.id, 3, mark)).toBe(mark);
    const { admin, cluster } = await at.logs.reach();
    await admin.remove([seenTopic(at.id)]);
    await eventually('it is gone', async () => (await cluster.view([seenTopic(at.id)])).topics[0]?.error === 3);
    await expect(take(writer(), 'b', 3)).rejects.toMatchObject({ code: 'offset_gap' });
    await expect(inlet.open(at.id, 4, mark)).rejects.toMatchObject({ code: 'offset_gap' });
    const next = await inlet.open(at.id, 4, null);
    expect(next).not.toBe(mark);
    expect(await take(inlet, 'b', 4)).toEqual(written('b'));
    await expect(inlet.open(at.id, 3, null)).rejects.toMatchObject({ code: 'fenced' });
    await expect(take(inlet, 'c', 9)).rejects.toMatchObject({ code: 'offset_gap' });
  });

  it('a broker that does not know the topic yet is not believed that it is gone (Invariant 2)', async () => {
    const inlet = await opened();
    const mark = await inlet.open(at.id, 2, null);
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const view = KafkaCluster.prototype.view;
    let lags = true;
    jest.spyOn(KafkaCluster.prototype, 'view').mockImplementation(async function (this: KafkaCluster, topics) {
      const known = await view.call(this, topics);
      if (!lags || !topics?.includes(seenTopic(at.id))) return known;
      lags = false;
      return { ...known, topics: known.topics.map((one) => ({ ...one, error: 3 })) };
    });
    expect(await inlet.open(at.id, 3, mark)).toBe(mark);
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
    await at.log.expire(at.id, 0, 2);
    frozen.open();
    await refused;
    const { cluster } = await at.logs.reach();
    const settings = () => topicSettings(cluster, seenTopic(at.id));
    expect((await settings())!.get('cleanup.policy')).toBe('delete');
    // Who takes it as it is has it kept, for its age alone.
    await inlet.open(at.id, 3, null);
    await changeSettings(cluster, seenTopic(at.id), {
      'cleanup.policy': 'delete',
      'retention.ms': '60000',
      'retention.bytes': '1000',
    });
    await inlet.open(at.id, 4, null);
    const kept = (await settings())!;
    expect([kept.get('cleanup.policy'), kept.get('retention.bytes')]).toEqual(['compact,delete', '-1']);
    expect(kept.get('retention.ms')).toBe(String(4 * 86_400_000));
  });

  it.each([
    [
      'was never opened all the way',
      async () => {
        const of = at.logs.open({ topic: 'nobody.made.it', createTopics: undefined });
        await expect(writer(of).open(at.id, 1, null)).rejects.toMatchObject({ code: 'topic_missing' });
      },
    ],
    [
      'has lost its journal',
      async () => {
        await opened();
        const { admin, cluster } = await at.logs.reach();
        await admin.remove([journalTopic(at.id)]);
        await eventually('it is gone', async () => (await cluster.view([journalTopic(at.id)])).topics[0]?.error === 3);
      },
    ],
  ])('goes with a stream whose log %s (trap 32)', async (_, before) => {
    await before();
    const { cluster } = await at.logs.reach();
    const policy = async () => (await topicSettings(cluster, seenTopic(at.id)))?.get('cleanup.policy');
    expect(await policy()).toBe('compact,delete');
    await at.log.expire(at.id, 0, 2);
    // An empty one may have gone at once.
    expect((await policy()) ?? 'delete').toBe('delete');
  });

  it('is kept for as long as any delivery may be known where it is not known for how long it was', async () => {
    const longest = 30 * 86_400_000;
    const inlet = await opened();
    await inlet.append(at.id, 1, delivery('a', { windowMs: longest }), soon());
    const { cluster } = await at.logs.reach();
    const kept = async () => (await topicSettings(cluster, seenTopic(at.id)))!.get('retention.ms');
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const send = KafkaCluster.prototype.send;
    const denied = jest.spyOn(KafkaCluster.prototype, 'send').mockImplementation(function (
      this: KafkaCluster,
      node,
      lane,
      call,
    ) {
      return call.name === 'DescribeConfigs' ? Promise.resolve(null) : send.call(this, node, lane, call);
    });
    await inlet.open(at.id, 2, null);
    denied.mockRestore();
    expect(await kept()).toBe(String(longest + 86_400_000));
    await changeSettings(cluster, seenTopic(at.id), { 'cleanup.policy': 'compact,delete', 'retention.ms': '-1' });
    await inlet.open(at.id, 3, null);
    expect(await kept()).toBe(String(longest + 86_400_000));
  });

  it('a delivery without events is a repeat when it comes again', async () => {
    const inlet = await opened();
    const none = () => inlet.append(at.id, 1, delivery('a', { expanded: true, parts: [] }), soon());
    expect(await none()).toEqual(written('a'));
    expect(await none()).toEqual(repeated('a'));
  });

  it('a Redis that would forget what was taken in is told of in the check (trap 26)', async () => {
    const codes = async () => (await at.log.check()).map(({ code }) => code);
    expect(await codes()).not.toContain('log_may_evict');
    await at.redis.client().config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru');
    expect(await codes()).toContain('log_may_evict');
    await at.redis.client().config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
  });
});
