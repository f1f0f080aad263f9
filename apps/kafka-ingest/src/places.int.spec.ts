import { randomBytes } from 'node:crypto';
import { eventually } from '@planasonix/testing';
import type { Admin } from 'kafkajs';
import { rising, TopicsUnderTest } from './topics-under-test.js';

describe('places in topics', () => {
  let world: TopicsUnderTest;
  let admin: Admin;
  beforeAll(async () => {
    world = await TopicsUnderTest.start();
    ({ admin } = world);
  });
  afterEach(() => world.stopStreams());
  afterAll(() => world.stop());

  describe('where it starts', () => {
    it('latest holds also where it is killed as soon as it says that it reads (Invariant 2)', async () => {
      const t = await world.topic(2);
      await world.put(t, ['old']);
      const s = world.stream({ topics: [t], start: 'latest' });
      s.beforeEach = () => {
        if (s.connected) throw new Error('killed');
      };
      s.start();
      expect(await s.outcome()).toMatchObject({ message: 'killed' });
      s.beforeEach = () => undefined;
      await world.put(t, ['while it was away'], 1);
      await world.put(t, ['then']);
      s.start();
      await world.has(s, 2);
      expect(s.values().sort()).toEqual(['then', 'while it was away']);
    });

    it('a timestamp, or offsets of which the others are earliest', async () => {
      const t = await world.topic(2);
      const at = (ms: number, value: string) => ({ partition: 0, value, timestamp: String(ms) });
      const base = Date.parse('2026-01-31T00:00:00Z');
      await world.producer.send({
        topic: t,
        messages: [at(base - 1, 'before'), at(base, 'at'), at(base + 1, 'after')],
      });
      await world.put(t, ['other 0', 'other 1'], 1);
      const byTime = world.stream({ topics: [t], start: { timestamp: '2026-01-31T01:00:00+01:00' } });
      byTime.start();
      await world.has(byTime, 4);
      expect(byTime.values().sort()).toEqual(['after', 'at', 'other 0', 'other 1']);
      const byOffset = world.stream({ topics: [t], start: { offsets: { [t]: { '0': 2 } } } });
      byOffset.start();
      await world.has(byOffset, 3);
      expect(byOffset.values().sort()).toEqual(['after', 'other 0', 'other 1']);
    });

    it('not at all where an offset is of a partition that is not there', async () => {
      const prefix = world.name('off');
      await world.topic(1, `${prefix}a`);
      const start = { offsets: { [`${prefix}a`]: { '0': 0, '1': 7 }, [`${prefix}b`]: { '0': 5 } } };
      const missing = `${prefix}a/1, ${prefix}b/0`;
      const s = world.stream({ topic_pattern: `${prefix}.*`, start });
      expect(await s.check()).toContainEqual(
        expect.objectContaining({ severity: 'warning', code: 'config_invalid', message: expect.stringContaining(missing) }), // prettier-ignore
      );
      s.start();
      expect(await s.outcome()).toMatchObject({
        ...{ code: 'config_invalid', message: `start.offsets: there is no partition ${missing}.` },
        hint: expect.stringContaining('Correct start.offsets'),
      });
      expect(s.kept.size).toBe(0);
    });

    it('partitions and topics that come later are read from their first record', async () => {
      const prefix = world.name('late');
      await world.topic(1, `${prefix}.a`);
      await world.put(`${prefix}.a`, ['old']);
      const s = world.stream({ topic_pattern: `${prefix}\\.[a-z]+`, start: 'latest' });
      s.start();
      await eventually('it has begun', () => s.kept.size > 0);
      await admin.createPartitions({ topicPartitions: [{ topic: `${prefix}.a`, count: 2 }] });
      await world.topic(1, `${prefix}.b`);
      await world.topic(1, `${prefix}-other`);
      await world.putByKcat(`${prefix}.a`, 1, 'a1');
      await world.putByKcat(`${prefix}.b`, 0, 'b0');
      await world.put(`${prefix}-other`, ['no']);
      await world.has(s, 2);
      expect(s.values().sort()).toEqual(['a1', 'b0']);
      // A topic that was merely matched may go.
      await admin.deleteTopics({ topics: [`${prefix}.b`] });
      await world.putByKcat(`${prefix}.a`, 1, 'a2');
      await eventually('the topic is forgotten', () => s.lines.some((line) => line.includes('is gone')));
      await world.putByKcat(`${prefix}.a`, 1, 'a3');
      await world.has(s, 4);
      expect(s.values().slice(2)).toEqual(['a2', 'a3']);
      // Its first records would be taken for those of the old one, and dropped by the log (Invariant 2).
      await world.topic(1, `${prefix}.b`);
      await world.putByKcat(`${prefix}.b`, 0, 'another b0');
      expect(await s.outcome()).toMatchObject({ code: 'topic_recreated', recourse: 'lost' });
    });
  });

  describe('a place that is lost is an error, never a jump (traps 24, 25a)', () => {
    it('retention that overtook us, with the range; skip goes on at what there is and keeps the other partitions', async () => {
      const t = await world.topic(2);
      await world.put(t, rising(10).map(String));
      await world.put(t, ['x0', 'x1'], 1);
      const s = world.stream({ topics: [t] });
      s.start();
      await world.has(s, 12);
      await s.stop();
      await world.put(t, rising(10, 10).map(String));
      await world.put(t, ['x2'], 1);
      await admin.fetchTopicOffsets(t);
      await admin.deleteTopicRecords({ topic: t, partitions: [{ partition: 0, offset: '15' }] });
      await expect(s.lag()).rejects.toMatchObject({ code: 'offset_out_of_range' });
      s.start();
      const failure = await s.outcome();
      expect(failure).toMatchObject({ code: 'offset_out_of_range', recourse: 'lost' });
      expect(failure!.message).toBe(`Records 10 to 14 of ${t}/0 are gone: the broker holds 15 to 19.`);
      expect(failure!.hint).toContain(`{"onLostPosition":"skip"} to go on at 15 of ${t}/0 `);
      s.start('skip');
      await world.has(s, 18);
      await s.stop();
      const read = (partition: number) =>
        s
          .data()
          .filter(({ source }) => source.partition === partition)
          .map(({ source }) => source.offset);
      expect(read(0)).toEqual([...rising(10), ...rising(5, 15)]);
      expect(read(1)).toEqual([0, 1, 2]);
      s.events.splice(0);
      s.start('resnapshot');
      await world.has(s, 8);
      expect(read(0)).toEqual(rising(5, 15));
      expect(read(1)).toEqual([0, 1, 2]);
    });

    it('retention that overtakes us while we wait', async () => {
      const t = await world.topic();
      await world.put(t, rising(600).map(String));
      const s = world.stream({ topics: [t] });
      let open: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => (open = resolve));
      s.beforeEach = () => (s.connected ? gate : undefined);
      s.start();
      await eventually('it reads', () => s.connected);
      for (let from = 0; from < 3000; from += 300)
        await world.put(
          t,
          rising(300, from).map((n) => `${n} ${randomBytes(1000).toString('hex')}`),
        );
      await admin.fetchTopicOffsets(t);
      await admin.deleteTopicRecords({ topic: t, partitions: [{ partition: 0, offset: '3600' }] });
      open();
      const failure = await s.outcome();
      expect(failure).toMatchObject({ code: 'offset_out_of_range' });
      // What was fetched before came whole and in order.
      expect(s.data().map(({ source }) => source.offset)).toEqual(rising(s.events.length));
    });

    it('a topic that was made anew, running or stopped', async () => {
      const t = await world.topic();
      await world.put(t, ['0', '1']);
      const s = world.stream({ topics: [t] });
      s.start();
      await world.has(s, 2);
      await admin.deleteTopics({ topics: [t] });
      await world.topic(1, t);
      await world.put(t, ['new 0', 'new 1', 'new 2']);
      expect(await s.outcome()).toMatchObject({ code: 'topic_recreated', recourse: 'lost' });
      s.start();
      expect(await s.outcome()).toMatchObject({ code: 'topic_recreated' });
      s.start('skip');
      await world.has(s, 5);
      expect(s.values().slice(2)).toEqual(['new 0', 'new 1', 'new 2']);
      expect(new Set(s.events.map(({ id }) => id)).size).toBe(5);
    });

    it('a topic that was made anew and is shorter than our position: the lag finds it first', async () => {
      const t = await world.topic();
      await world.put(t, ['0', '1', '2']);
      const s = world.stream({ topics: [t] });
      s.start();
      await world.has(s, 3);
      await admin.deleteTopics({ topics: [t] });
      await world.topic(1, t);
      const told = await eventually('the lag can not be told', () =>
        s.lag().then(
          () => null,
          (error: { code: string }) => (error.code === 'source_unreachable' ? null : error),
        ),
      );
      expect(told).toMatchObject({ code: 'topic_recreated' });
      expect(await s.outcome()).toMatchObject({ code: 'topic_recreated' });
    });

    it('a topic that is deleted, or that never was', async () => {
      const t = await world.topic();
      const s = world.stream({ topics: [t] });
      s.start();
      await eventually('it reads', () => s.connected);
      await admin.deleteTopics({ topics: [t] });
      expect(await s.outcome()).toMatchObject({ code: 'topic_missing', message: `There is no topic ${t}.` });
      expect((await s.check()).filter(({ severity }) => severity === 'error')).toMatchObject([
        { code: 'topic_missing' },
      ]);
      const none = world.stream({ topics: [world.name('never')] });
      none.start();
      expect(await none.outcome()).toMatchObject({ code: 'topic_missing', recourse: 'fatal' });
    });
  });
});
