import { systemClock } from '@planasonix/core';
import { commit, startRedis, type Redis as RedisServer } from '@planasonix/testing';
import { entry, leaveRest } from './rest-under-test.js';
import { redisFactory } from './connection.js';
import { removeDoubles } from './doubles.js';
import { borrowedKey, eventsKey, logKey } from './keys.js';
import { RedisLog } from './redis-log.js';

const never = new AbortController().signal;
const id = 'str_01j9k9z0a1b2c3d4e5f6g7h8j9';

describe.each([
  ['transactions', 1, true],
  ['calls of a script', 1_000, false],
  ['a transaction, then calls of a script', 1_000, true],
])('a Redis that was killed amid a batch, and whose file nobody mended (%s)', (_, transactionFrom, borrows) => {
  let redis: RedisServer;
  const logs: RedisLog[] = [];

  const log = (): RedisLog => {
    const made = new RedisLog({ type: 'redis_stream' }, redisFactory(redis.url), systemClock, transactionFrom);
    logs.push(made);
    return made;
  };
  async function open(epoch: number) {
    const sink = log().sink(id, epoch);
    return { sink, found: await sink.open() };
  }
  const ids = async () => (await log().read(id, { limit: 10_000 })).map((entry) => entry.id);
  const all = (until: number) => Array.from({ length: until }, (_, i) => `e-${i + 1}`);

  /** What a kill leaves of a batch with events `from` to `to`, all of the last but its end. */
  function leaveBegun(from: number, to: number): void {
    const key = borrows ? borrowedKey(id) : eventsKey(id);
    const entries = Array.from({ length: to - from + 1 }, (_, i) => entry(key, i, `e-${from + i}`));
    leaveRest(redis.dir, [...(borrows ? [['RENAME', eventsKey(id), key]] : []), ...entries]);
  }

  /** Ten events, and what is left of five more, before they are sent again. */
  async function killedAgain(): Promise<void> {
    await (await open(1)).sink.append(commit(1, 10), never);
    await redis.kill();
    leaveBegun(11, 15);
    await redis.start();
    await open(2);
    await redis.kill();
    await redis.start();
  }

  beforeEach(async () => {
    redis = await startRedis({ mends: false });
  });
  afterEach(async () => {
    for (const one of logs.splice(0)) await one.close();
    await redis.stop();
  });

  it('has each event once after the next kill, too, and says how many it had twice', async () => {
    const first = await open(1);
    await first.sink.append(commit(1, 10), never);
    await redis.kill();
    leaveBegun(11, 15);
    await redis.start();

    const second = await open(2);
    expect(second.found.doubles).toBe(0);
    await second.sink.append(commit(11, 30), never);
    await second.sink.append(commit(31, 40), never);
    await redis.kill();
    await redis.start();
    // Not so that this suite shows nothing: Redis has them twice.
    expect(await redis.client().xlen(eventsKey(id))).toBe(44);

    const third = await open(3);
    expect(third.found).toMatchObject({ doubles: 4, totals: { events: 40 } });
    expect(await ids()).toEqual(all(40));
    await third.sink.append(commit(41, 45), never);
    expect(await ids()).toEqual(all(45));
    expect((await open(4)).found.doubles).toBe(0);
  });

  it('has no event twice, at no moment, where it was killed again before the batch was sent again', async () => {
    await killedAgain();
    const third = await open(3);
    expect(third.found).toMatchObject({ doubles: 4, totals: { events: 10 } });
    expect(await ids()).toEqual(all(10));
    await third.sink.append(commit(11, 30), never);
    expect(await ids()).toEqual(all(30));
    expect((await open(4)).found).toMatchObject({ doubles: 0, totals: { events: 30 } });
    expect(await redis.client().hmget(logKey(id), 'double', 'looked')).toEqual(['4', null]);
  });

  it('keeps what is behind a position that was set: that counts it as read', async () => {
    await killedAgain();
    await log().place(id, 3, new Map([['', 'behind it']]));
    expect((await open(4)).found).toMatchObject({ doubles: 0 });
    expect(await ids()).toEqual(all(14));
  });

  it('keeps the stream where a group was made before it was opened', async () => {
    await (await open(1)).sink.append(commit(1, 10), never);
    await redis.kill();
    leaveBegun(11, 15);
    await redis.start();
    await redis.client().xgroup('CREATE', eventsKey(id), 'readers', '$', 'MKSTREAM');
    await open(2);
    await redis.kill();
    await redis.start();
    const third = await open(3);
    await third.sink.append(commit(11, 20), never);
    expect(await ids()).toEqual(all(20));
  });

  it('is in order also where the batch came again in part, before another kill', async () => {
    await (await open(1)).sink.append(commit(1, 10), never);
    await redis.kill();
    leaveBegun(11, 25);
    await redis.start();
    const second = await open(2);
    await second.sink.append(commit(11, 14), never);
    await redis.kill();
    await redis.start();
    const third = await open(3);
    expect(third.found).toMatchObject({ doubles: 4, totals: { events: 14 } });
    expect(await ids()).toEqual(all(24));
    await third.sink.append(commit(15, 30), never);
    expect((await open(4)).found).toMatchObject({ doubles: 10, totals: { events: 30 } });
    expect(await ids()).toEqual(all(30));
  });

  it('removes and counts them once where two look for them at a time', async () => {
    await (await open(1)).sink.append(commit(1, 3), never);
    const client = redis.client();
    for (const one of ['e-2', 'e-3']) await client.xadd(eventsKey(id), '*', 'id', one, 'data', '{}');
    const looking = () => removeDoubles(redis.client(), [eventsKey(id), logKey(id)], ['epoch', '1']);
    expect((await Promise.all([looking(), looking()])).toSorted()).toEqual([0, 2]);
    expect(await client.hget(logKey(id), 'double')).toBe('2');
    expect(await removeDoubles(client, [eventsKey(id), logKey(id)], ['epoch', '2'])).toBe(0);
    expect(await ids()).toEqual(all(3));
  });

  it('has none of them kept for a group that will not acknowledge it any more', async () => {
    await (await open(1)).sink.append(commit(1, 3), never);
    const client = redis.client();
    await client.xgroup('CREATE', eventsKey(id), 'readers', '0');
    await client.xadd(eventsKey(id), '*', 'id', 'e-3', 'data', '{}');
    await client.xreadgroup('GROUP', 'readers', 'one', 'STREAMS', eventsKey(id), '>');
    expect((await open(2)).found.doubles).toBe(1);
    expect((await client.xpending(eventsKey(id), 'readers'))[0]).toBe(3);
    expect(await ids()).toEqual(all(3));
  });

  it('leaves alone what is there once, and what is not its own', async () => {
    const { sink } = await open(1);
    await sink.append(commit(1, 3), never);
    const client = redis.client();
    for (const field of ['id', 'other', 'other']) await client.xadd(eventsKey(id), '*', field, 'theirs', 'data', '{}');
    const next = await open(2);
    expect(next.found.doubles).toBe(0);
    expect(await client.hmget(logKey(id), 'double', 'looked')).toEqual(['0', '3']);
    // They have no second even behind so many: nobody has to look for it again.
    await next.sink.append(commit(4, 50_003), never);
    expect((await open(3)).found.doubles).toBe(0);
    expect(await client.hmget(logKey(id), 'double', 'looked')).toEqual(['3', null]);
    expect(await client.xlen(eventsKey(id))).toBe(50_006);
    await client.del(eventsKey(id));
    expect((await open(4)).found.doubles).toBe(0);
  });
});
