import { systemClock } from '@planasonix/core';
import { startRedis, type Redis as RedisServer } from '@planasonix/testing';
import { Inlets } from '../inlets-under-test.js';
import { redisFactory } from './connection.js';
import { BEGIN_INDEX, GROW_INDEX } from './index-scripts.js';
import { REPORT_INLET } from './inlet-scripts.js';
import { answersKey, countsKey, failuresKey, indexKey, knownKey, logKey, reportKey } from './keys.js';
import { RedisLog } from './redis-log.js';
import { cutLast, leaveRest } from './rest-under-test.js';

const id = 'str_01j9k9z0a1b2c3d4e5f6g7h8j9';
const index = indexKey(id);

describe('what a killed Redis left of a transaction, carried out with the next one', () => {
  let redis: RedisServer;
  let log: RedisLog;
  let inlets: Inlets;

  beforeEach(async () => {
    redis = await startRedis({ mends: false });
    log = new RedisLog({ type: 'redis_stream' }, redisFactory(redis.url), systemClock, 1);
    inlets = new Inlets(id, log);
  });
  afterEach(async () => {
    await inlets.close();
    await log.close();
    await redis.stop();
  });

  const again = async () => {
    await redis.kill();
    await redis.start();
  };
  /** Redis was killed amid the last transaction, behind so many of its commands, and once more later. @returns how many it had */
  async function cutAt(kept: number): Promise<number> {
    await redis.kill();
    const commands = cutLast(redis.dir, kept);
    await redis.start();
    await redis.client().multi().set('a', 1).set('b', 1).exec();
    await again();
    return commands;
  }
  /** Each place at which the last transaction of `act` can be cut. `found` is asked when its beginning was carried out. */
  async function atEachCut<T>(prepare: () => Promise<unknown>, act: () => Promise<unknown>, found: () => Promise<T>) {
    const all: T[] = [];
    for (let [kept, commands] = [1, 2]; kept < commands; kept++) {
      await redis.client().flushall();
      await prepare();
      await act();
      commands = await cutAt(kept);
      all.push(await found());
    }
    return all;
  }

  const report = () => {
    const keys = [logKey(id), countsKey(id), reportKey(id, 'w'), answersKey(id), failuresKey(id)];
    const args = [1, 7, 'w', '', Date.now(), 5_000, 200, 1_000, 1_000, 1, 1, '{"n":1}', '{"n":2}', 'dropped', 3];
    return redis.client().eval(REPORT_INLET, 5, ...keys, ...args);
  };

  it('loses no report that is sent again', async () => {
    const prepare = () => redis.client().hset(logKey(id), 'epoch', 1);
    const counted = await atEachCut(prepare, report, async () => {
      await report();
      const told = [answersKey(id), failuresKey(id)].map((key) => redis.client().llen(key));
      return [Number(await redis.client().hget(countsKey(id), 'c:dropped')), ...(await Promise.all(told))];
    });
    expect(counted.length).toBeGreaterThan(3);
    expect(counted.filter(([dropped, ...told]) => dropped! < 3 || told.some((n) => n < 1))).toEqual([]);
  });

  const begin = (topic: string, next: number, seen: readonly [string, number]) =>
    redis.client().eval(BEGIN_INDEX, 1, index, ...seen, topic, next, 1_000);
  const grow = (from: number, next: number, entrant: string) => {
    const known = [knownKey(id, 'one', 'a'), knownKey(id, 'one', 'b')];
    const args = ['one', from, next, entrant, 1_000, 'first', 60_000, 'first', 60_000];
    return redis.client().eval(GROW_INDEX, 3, index, ...known, ...args);
  };
  const place = () => redis.client().hmget(index, 'topic', 'next', 'entrant');

  it('does not take an index for one that is further than it is', async () => {
    const grown = await atEachCut(
      () => begin('one', 0, ['', 0]),
      () => grow(0, 5, 'me'),
      async () => [await redis.client().exists(knownKey(id, 'one', 'a'), knownKey(id, 'one', 'b')), ...(await place())],
    );
    expect(grown.length).toBeGreaterThan(1);
    for (const at of grown)
      expect([
        [1, 'one', '0', ''],
        [2, 'one', '0', ''],
        [2, 'one', '5', 'me'],
      ]).toContainEqual(at);
  });

  it('does not take an index that was cut back for the one that somebody entered with', async () => {
    const prepare = async () => {
      await begin('one', 0, ['', 0]);
      await grow(0, 5, 'me');
    };
    const begun = await atEachCut(prepare, () => begin('two', 0, ['one', 5]), place);
    expect(begun.filter(([topic, , entrant]) => topic === 'two' && entrant === 'me')).toEqual([]);
    expect(begun.length).toBeGreaterThan(0);
  });

  async function reached(): Promise<void> {
    const sink = log.sink(id, 2);
    await sink.open();
    await sink.append({ partition: '', position: 'there', events: [] }, new AbortController().signal);
  }

  it.each<[string, () => Promise<unknown>, Record<string, string>]>([
    ['a fence', () => log.fence(id, 2), { epoch: '2' }],
    ['a position that was set', () => log.place(id, 2, new Map([['', 'there']])), { epoch: '2', 'pos:': 'there' }],
    ['a position without events', reached, { 'pos:': 'there' }],
    ['a log that was opened', () => inlets.opened(2), { epoch: '2', mark: expect.any(String) as string }],
  ])('does not take %s with it that stands alone behind it', async (_, act, wanted) => {
    await redis.kill();
    leaveRest(redis.dir, [
      ['SET', 'a', '1'],
      ['SET', 'b', '1'],
    ]);
    await redis.start();
    await act();
    await again();
    expect(await redis.client().hgetall(logKey(id))).toMatchObject(wanted);
  });
});
