import type { EventLog, Inlet, InletReport, Intake, TakenIn } from '@planasonix/core';
import { eventually, startProxy, startRedis, type Redis as RedisServer } from '@planasonix/testing';
import { delivery, soon } from '../deliveries-under-test.js';
import { Inlets } from '../inlets-under-test.js';
import { openLog } from '../open-log.js';
import { answersKey, countsKey, eventsKey, failuresKey, logKey, seenKey } from './keys.js';
import { cutLast, entry, leaveRest } from './rest-under-test.js';

const id = 'str_01j9k9z0a1b2c3d4e5f6g7h8j9';
const nothing: InletReport = {
  ...{ streamId: id, epoch: 1, oldestPendingAt: null, answers: [], failures: [] },
  counts: { errors: 0, rejected: 0, dropped: 0, latency: new Map() },
};

describe('many writers into one log in Redis', () => {
  let redis: RedisServer;
  let log: EventLog;
  const logs: EventLog[] = [];
  let inlets: Inlets;

  const opened = (epoch?: number, of?: EventLog) => inlets.opened(epoch, of);
  const ids = async () => (await log.read(id, { limit: 1_000_000 })).map((entry) => entry.id);
  const logOf = (max_entries: number, on_full: 'block' | 'trim' = 'block', url = redis.url): EventLog => {
    const made = openLog({ type: 'redis_stream', retention: { max_entries, on_full } }, { redisUrl: url });
    logs.push(made);
    return made;
  };

  beforeEach(async () => {
    redis = await startRedis();
    log = logOf(1_000_000);
    inlets = new Inlets(id, log);
  });
  afterEach(async () => {
    await inlets.close();
    for (const one of logs.splice(0)) await one.close();
    await redis.stop();
  });

  it('fifty equal deliveries at once, at two writers, are one event and fifty answers with its id (trap 29)', async () => {
    const [one, two] = [await opened(), await opened()];
    const taken = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 ? one : two).append(id, 1, delivery('a'), soon())),
    );
    expect(taken.filter(({ kind }) => kind === 'written')).toHaveLength(1);
    expect(new Set(taken.map((each) => JSON.stringify({ ...each, kind: '' })))).toEqual(
      new Set([JSON.stringify({ kind: '', id: 'wh_a' })]),
    );
    expect(await ids()).toEqual(['wh_a']);
    expect(await log.totals(id)).toEqual({ events: 1, bytes: 9 });
  });

  it('another delivery under an id that is not signed is no repeat, and has an id of its own', async () => {
    const inlet = await opened();
    const forged = delivery('a', { sameDelivery: 'forged', otherId: 'wh_a~forged' });
    const real = delivery('a', { sameDelivery: 'real', otherId: 'wh_a~real' });
    const taken: TakenIn[] = [];
    for (const one of [forged, real, real, forged]) taken.push(await inlet.append(id, 1, one, soon()));
    expect(taken).toEqual([
      { kind: 'written', id: 'wh_a' },
      { kind: 'written', id: 'wh_a~real' },
      { kind: 'repeated', id: 'wh_a~real' },
      { kind: 'repeated', id: 'wh_a' },
    ]);
    expect(await ids()).toEqual(['wh_a', 'wh_a~real']);
  });

  it('a repeat after the window is an event', async () => {
    const inlet = await opened();
    const brief = delivery('a', { windowMs: 50 });
    await inlet.append(id, 1, brief, soon());
    await eventually('it is forgotten', async () => (await inlet.append(id, 1, brief, soon())).kind === 'written');
  });

  const part = (n: number) => ({ partitionkey: `"${n}"`, data: Buffer.from(String(n)) });
  const lines = (name: string, n: number, of: Partial<Intake> = {}) =>
    delivery(name, { ...of, expanded: true, parts: Array.from({ length: n }, (_, i) => part(i)) });

  it('a delivery of several events is there as a whole or not at all', async () => {
    const small = await opened(1, logOf(3));
    expect(await small.append(id, 1, lines('a', 2), soon())).toEqual({ kind: 'written', id: 'wh_a' });
    expect(await small.append(id, 1, lines('b', 2), soon())).toEqual({ kind: 'full' });
    expect(await ids()).toEqual(['wh_a/0', 'wh_a/1']);
    // What was refused is not taken for a repeat later.
    const [roomy] = [await opened(1, logOf(100))];
    expect(await roomy.append(id, 1, lines('b', 2), soon())).toEqual({ kind: 'written', id: 'wh_b' });
  });

  it.each([
    ['who keeps the order passes none that found no room (Invariant 5)', true, ['full', 'full', 'repeated']],
    ['who does not goes where there is room', false, ['full', 'written', 'repeated']],
  ])('in one group %s; a repeat is one whatever room there is', async (_, inOrder, kinds) => {
    const small = await opened(1, logOf(3));
    await small.append(id, 1, delivery('a', { inOrder }), soon());
    const group = [lines('b', 3, { inOrder }), delivery('c', { inOrder }), delivery('a', { inOrder })];
    const taken = await Promise.all(group.map((one) => small.append(id, 1, one, soon())));
    expect(taken.map(({ kind }) => kind)).toEqual(kinds);
  });

  it('a delivery that is larger than the whole log goes in once that is empty', async () => {
    const small = await opened(1, logOf(3));
    await small.append(id, 1, delivery('a'), soon());
    const reader = redis.client();
    await reader.xgroup('CREATE', eventsKey(id), 'readers', '0');
    await reader.xreadgroup('GROUP', 'readers', 'one', 'STREAMS', eventsKey(id), '>');
    expect(await small.append(id, 1, lines('b', 5), soon())).toEqual({ kind: 'full' });
    await reader.xack(eventsKey(id), 'readers', ...(await reader.xrange(eventsKey(id), '-', '+')).map(([at]) => at));
    expect(await small.append(id, 1, lines('b', 5), soon())).toEqual({ kind: 'written', id: 'wh_b' });
  });

  it.each([
    ['a fence', () => log.fence(id, 2), 'fenced'],
    ['a deletion', () => log.expire(id, 86_400, 2), 'fenced'],
    ['a purge', () => log.expire(id, 0, 2), 'fenced'],
    ['a purge whose minute has passed', () => redis.client().del(eventsKey(id), logKey(id)), 'offset_gap'],
  ])('writes nothing after %s', async (_, bar, code) => {
    const inlet = await opened();
    await inlet.append(id, 1, delivery('a'), soon());
    await bar();
    await redis.client().del(eventsKey(id));
    await expect(inlet.append(id, 1, delivery('b'), soon())).rejects.toMatchObject({ code });
    await expect(inlet.append(id, 1, delivery('a'), soon())).rejects.toMatchObject({ code });
    expect(await redis.client().exists(eventsKey(id))).toBe(0);
    expect(await inlet.report(nothing)).toBeNull();
  });

  it('an opened log that the store knows and Redis has lost is a gap, and not an empty log (Invariant 2)', async () => {
    const inlet = await opened();
    const mark = await inlet.open(id, 2, null);
    expect(await inlet.open(id, 3, mark)).toBe(mark);
    await redis.client().flushall();
    await expect(inlet.open(id, 4, mark)).rejects.toMatchObject({ code: 'offset_gap' });
    expect(await inlet.open(id, 4, null)).not.toBe(mark);
    await expect(inlet.open(id, 3, null)).rejects.toMatchObject({ code: 'fenced' });
  });

  it.each<[string, readonly string[], (inlet: Inlet) => Promise<unknown>]>([
    ['who goes on', ['a', 'b', 'c', 'e'], (inlet) => inlet.append(id, 1, delivery('e'), soon(10_000))],
    ['who opens it next', ['a', 'b', 'c'], () => opened(2)],
  ])('removes what Redis has twice since it was killed amid a group (by the one %s)', async (_, names, goOn) => {
    const own = await startRedis({ mends: false });
    try {
      log = logOf(1_000, 'block', own.url);
      inlets = new Inlets(id, log);
      const inlet = await opened();
      const take = (name: string) => inlet.append(id, 1, delivery(name), soon(10_000));
      await take('a');
      await own.kill();
      const rest = ['b', 'c', 'd'].flatMap((name, n) => [
        entry(eventsKey(id), n, `wh_${name}`),
        ['SET', seenKey(id, name), '0', 'PX', '60000'],
      ]);
      leaveRest(own.dir, rest.slice(0, -1));
      await own.start();
      for (const name of ['b', 'c']) expect((await take(name)).kind).toBe('written');
      await own.kill();
      await own.start();
      // Not so that this shows nothing.
      expect(await ids()).toEqual(['a', 'b', 'c', 'b', 'c'].map((name) => `wh_${name}`));
      await goOn(inlet);
      const wanted = names.map((name) => `wh_${name}`).join();
      await eventually('each is there once', async () => (await ids()).join() === wanted);
    } finally {
      await inlets.close();
      await own.stop();
    }
  });

  it.each<[string, number, Partial<Intake>]>([
    ['an id that is signed', 3, {}],
    ['an id that is not', 4, { sameDelivery: 'body' }],
    ['parts', 4, { expanded: true, parts: [1, 2].map((n) => ({ partitionkey: '', data: Buffer.from(`${n}`) })) }],
  ])('takes nothing for a repeat that was cut off in its file: a delivery with %s', async (_, commands, of) => {
    for (let kept = 1; kept < commands; kept++) {
      const own = await startRedis({ mends: false });
      try {
        log = logOf(1_000, 'block', own.url);
        inlets = new Inlets(id, log);
        const inlet = await opened();
        const take = (each: Intake) => inlet.append(id, 1, each, soon(10_000));
        await take(delivery('a'));
        await take(delivery('b', of));
        await own.kill();
        expect(cutLast(own.dir, kept)).toBe(commands);
        await own.start();
        await take(delivery('c'));
        await own.kill();
        await own.start();
        // What was left is carried out by now.
        const taken = await take(delivery('b', of));
        expect(taken).toMatchObject({ id: 'wh_b' });
        const wanted = of.parts ? ['wh_b/0', 'wh_b/1'] : ['wh_b'];
        expect([kept, await ids()]).toEqual([kept, expect.arrayContaining(['wh_a', ...wanted, 'wh_c'])]);
      } finally {
        await inlets.close();
        await own.stop();
      }
    }
  });

  it('loses nothing that it confirmed and doubles nothing while Redis is killed under two writers (trap 29)', async () => {
    const writers = [await opened(), await opened()];
    const confirmed = new Set<string>();
    let [stop, next] = [false, 0];
    const load = writers.flatMap((inlet) =>
      Array.from({ length: 8 }, async () => {
        while (!stop) {
          const name = `n${next++}`;
          const taken = await inlet.append(id, 1, delivery(name), soon(1_000)).catch(() => null);
          if (taken && taken.kind !== 'full') confirmed.add(taken.id);
        }
      }),
    );
    for (let round = 0; round < 3; round++) {
      const before = confirmed.size;
      await eventually('deliveries are confirmed', () => Promise.resolve(confirmed.size > before + 200));
      await redis.kill();
      await redis.start();
    }
    stop = true;
    await Promise.all(load);
    const found = await ids();
    const kept = new Set(found);
    expect(kept.size).toBe(found.length);
    expect([...confirmed].filter((one) => !kept.has(one))).toEqual([]);
    expect((await log.totals(id)).events).toBe(found.length);
  });

  it('sends again what a broken connection swallowed, and confirms it once', async () => {
    const proxy = await startProxy({ targetPort: Number(new URL(redis.url).port) });
    const inlet = await opened(1, logOf(1_000, 'block', `redis://127.0.0.1:${proxy.port}`));
    proxy.stall();
    const taken = inlet.append(id, 1, delivery('a'), soon(10_000));
    proxy.cut();
    proxy.resume();
    expect(await taken).toMatchObject({ id: 'wh_a' });
    expect(await ids()).toEqual(['wh_a']);
    await inlet.close();
    await proxy.stop();
  });

  it('under everysec it confirms only what has had its time to reach the disk (trap 26)', async () => {
    await redis.client().config('SET', 'appendfsync', 'everysec');
    const inlet = await opened();
    const began = performance.now();
    await inlet.append(id, 1, delivery('a'), soon());
    expect(performance.now() - began).toBeGreaterThan(1_990);
  });

  it('adds up what all writers count, each report once, whatever writer dies', async () => {
    const [one, two] = [await opened(), await opened()];
    await one.append(id, 1, delivery('a'), soon());
    const counts = { errors: 1, rejected: 2, dropped: 3, latency: new Map([[7, 4]]) };
    const first = await one.report({ ...nothing, counts, answers: ['{"n":1}'], oldestPendingAt: 5 });
    expect(first).toMatchObject({ events: 1, bytes: 9, errors: 1, rejected: 2, dropped: 3, oldestPendingAt: 5 });
    const second = await two.report({ ...nothing, counts, answers: ['{"n":2}'] });
    expect(second).toMatchObject({ errors: 2, rejected: 4, dropped: 6, latency: [[7, 8]], oldestPendingAt: 5 });
    expect(second!.sequence).toBeGreaterThan(first!.sequence);
    expect(second!.lastEventAt).toBe(1_795_564_800_000);
    expect(await log.answers!(id)).toEqual(['{"n":1}', '{"n":2}']);
    await one.open(id, 2, null);
    expect(await two.report(nothing)).toBeNull();
    expect(await two.report({ ...nothing, epoch: 2 })).toMatchObject({ events: 1, errors: 0, latency: [] });
  });

  it('keeps what was answered whichever epoch rules, or before there is any, and then nothing else', async () => {
    const counts = { errors: 1, rejected: 2, dropped: 3, latency: new Map([[7, 4]]) };
    const inlet = await opened();
    const told = { ...nothing, counts, answers: ['{"n":1}'] };
    expect(await inlet.report({ ...told, streamId: 'str_never', epoch: 0 })).toBeNull();
    expect(await log.answers!('str_never')).toEqual(['{"n":1}']);
    expect(await redis.client().ttl(answersKey('str_never'))).toBeLessThanOrEqual(7 * 86_400);
    expect(await redis.client().exists(countsKey('str_never'), eventsKey('str_never'))).toBe(0);
    await inlet.open(id, 2, null);
    expect(await inlet.report(told)).toBeNull();
    expect(await log.answers!(id)).toEqual(['{"n":1}']);
    expect(await inlet.report({ ...nothing, epoch: 2 })).toMatchObject({ errors: 0, rejected: 0, dropped: 0 });
  });

  it('keeps a failure however many answers come behind it, and two hundred of each', async () => {
    const inlet = await opened();
    const told = (from: number) => Array.from({ length: 50 }, (_, n) => `{"n":${from + n}}`);
    await inlet.report({ ...nothing, failures: ['"first"'] });
    for (let round = 0; round < 10; round++) await inlet.report({ ...nothing, answers: told(round * 50) });
    const kept = Array.from({ length: 200 }, (_, n) => `{"n":${300 + n}}`);
    expect(await log.answers!(id)).toEqual([...kept, '"first"']);
    for (let round = 0; round < 10; round++) await inlet.report({ ...nothing, failures: told(round * 50) });
    expect(await log.answers!(id)).toEqual([...kept, ...kept]);
    expect(await redis.client().ttl(failuresKey(id))).toBeGreaterThan(89 * 86_400);
    await inlet.open(id, 2, null);
    expect(await inlet.report({ ...nothing, failures: ['"last"'] })).toBeNull();
    expect((await log.answers!(id)).at(-1)).toBe('"last"');
    await log.expire(id, 0, 3);
    expect(await log.answers!(id)).toEqual([]);
  });

  it('numbers its reports on where Redis has lost the number: the last ones may be under way still (trap 37)', async () => {
    const inlet = await opened();
    const before = [await inlet.report(nothing), await inlet.report(nothing)];
    // They come a second apart.
    await eventually('a later moment', () => Date.now() > before.at(-1)!.sequence);
    await redis.client().del(countsKey(id));
    const after = await inlet.report(nothing);
    expect(after!.sequence).toBeGreaterThan(before.at(-1)!.sequence);
  });
});
