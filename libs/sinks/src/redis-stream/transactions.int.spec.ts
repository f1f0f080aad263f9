import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, type ChangeBatch } from '@planasonix/core';
import { commit, eventually, freePort, startRedis, type Redis as RedisServer } from '@planasonix/testing';
import { Redis } from 'ioredis';
import { redisFactory } from './connection.js';
import { borrowedKey, eventsKey, logKey } from './keys.js';
import { RedisLog, type RedisOutput } from './redis-log.js';

const never = new AbortController().signal;
const id = 'str_01j9k9z0a1b2c3d4e5f6g7h8j9';
const LAST_ID = '18446744073709551615-18446744073709551615';

describe('a batch that is a transaction of Redis', () => {
  let redis: RedisServer;
  let client: Redis;
  const logs: RedisLog[] = [];

  function logOf(retention?: RedisOutput['retention'], connect = redisFactory(redis.url)): RedisLog {
    const log = new RedisLog({ type: 'redis_stream', ...(retention ? { retention } : {}) }, connect, systemClock, 1);
    logs.push(log);
    return log;
  }
  async function open(epoch: number, log = logOf()) {
    const sink = log.sink(id, epoch);
    await sink.open();
    return sink;
  }
  const ids = async () => (await logOf().read(id, { limit: 1_000 })).map((entry) => entry.id);
  /** Its file can't take the place of a folder. */
  async function failingToSave(): Promise<void> {
    mkdirSync(join(redis.dir, 'dump.rdb'));
    await client.config('SET', 'save', '3600 1000000');
    await client.bgsave();
    await eventually('it has failed', async () => /rdb_last_bgsave_status:err/.test(await client.info('persistence')));
  }
  /** A log of three events that has the borrowed name. */
  async function leaveLent(before: () => Promise<unknown> = () => Promise.resolve()): Promise<void> {
    const sink = await open(1);
    await sink.append(commit(1, 3), never);
    await sink.close();
    await before();
    await client.rename(eventsKey(id), borrowedKey(id));
  }
  const borrowed = () => client.exists(borrowedKey(id));

  beforeEach(async () => {
    redis = await startRedis();
    client = redis.client();
  });
  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close();
    await redis.stop();
  });

  it('wakes who waits for entries, with and without a group, also where it makes the stream', async () => {
    const [plain, member] = [new Redis(redis.url), new Redis(redis.url)];
    try {
      const sink = await open(1);
      const first = plain.xread('BLOCK', 20_000, 'STREAMS', eventsKey(id), '0');
      await eventually('it waits', async () => /cmd=xread/.test(String(await client.client('LIST'))));
      await sink.append(commit(1, 2), never);
      expect((await first)?.[0]?.[1]).toHaveLength(2);

      await client.xgroup('CREATE', eventsKey(id), 'readers', '$');
      const next = member.xreadgroup('GROUP', 'readers', 'one', 'BLOCK', 20_000, 'STREAMS', eventsKey(id), '>');
      await eventually('it waits', async () => /cmd=xreadgroup/.test(String(await client.client('LIST'))));
      await sink.append(commit(3, 5), never);
      expect(((await next) as [string, unknown[]][])[0]?.[1]).toHaveLength(3);
      await sink.close();
    } finally {
      plain.disconnect();
      member.disconnect();
    }
  });

  it('of a writer that was fenced off adds nothing and leaves nothing behind', async () => {
    const old = await open(1);
    await old.append(commit(1, 2), never);
    const next = await open(2);
    await expect(old.append(commit(3, 4), never)).rejects.toMatchObject({ code: 'fenced' });
    expect({ ids: await ids(), borrowed: await borrowed() }).toEqual({ ids: ['e-1', 'e-2'], borrowed: 0 });
    await next.append(commit(3, 3), never);
    expect(await ids()).toEqual(['e-1', 'e-2', 'e-3']);
    await next.close();
  });

  it('adds nothing where Redis has forgotten the script, and the next writer goes on', async () => {
    const sink = await open(1);
    await sink.append(commit(1, 2), never);
    await client.script('FLUSH');
    await expect(sink.append(commit(3, 4), never)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(await ids()).toEqual(['e-1', 'e-2']);
    const next = await open(2);
    expect(await next.append(commit(3, 5), never)).toMatchObject({ events: 3, totals: { events: 5 } });
    expect({ ids: await ids(), borrowed: await borrowed() }).toEqual({
      ids: ['e-1', 'e-2', 'e-3', 'e-4', 'e-5'],
      borrowed: 0,
    });
    await next.close();
  });

  it('fails as a whole where Redis adds none of its events, and the stream keeps its name', async () => {
    const sink = await open(1);
    await sink.append(commit(1, 2), never);
    await client.xadd(eventsKey(id), LAST_ID, 'id', 'foreign');
    await expect(sink.append(commit(3, 4), never)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(await client.hmget(logKey(id), 'events', 'pos:')).toEqual(['2', 'at-2']);
    expect({ length: await client.xlen(eventsKey(id)), borrowed: await borrowed() }).toEqual({
      length: 3,
      borrowed: 0,
    });
  });

  it.each<[string, RegExp, () => Promise<unknown>]>([
    ['has no memory left', /memory/, () => client.config('SET', 'maxmemory', '1')],
    ['is a copy by now', /READONLY/, async () => client.replicaof('127.0.0.1', String(await freePort()))],
    ['could not save its data', /MISCONF/, failingToSave],
  ])('says why Redis gave it up: it %s', async (_, reason, breakIt) => {
    const sink = await open(1);
    await sink.append(commit(1, 2), never);
    await breakIt();
    await expect(sink.append(commit(3, 4), never)).rejects.toMatchObject({
      code: 'log_unavailable',
      message: expect.stringMatching(reason) as string,
    });
    expect({ length: await client.xlen(eventsKey(id)), borrowed: await borrowed() }).toEqual({
      length: 2,
      borrowed: 0,
    });
    // It would not end while it can't save.
    await client.config('SET', 'save', '');
  });

  it('keeps the time at which the stream goes, and its groups', async () => {
    const sink = await open(1);
    await sink.append(commit(1, 2), never);
    await client.xgroup('CREATE', eventsKey(id), 'readers', '0');
    await client.expire(eventsKey(id), 1_000);
    await sink.append(commit(3, 4), never);
    expect(await client.ttl(eventsKey(id))).toBeGreaterThan(0);
    expect(await client.xinfo('GROUPS', eventsKey(id))).toHaveLength(1);
    await sink.close();
  });

  it('is answered in its turn among batches that are one call of the script', async () => {
    const log = new RedisLog({ type: 'redis_stream' }, redisFactory(redis.url), systemClock, 10);
    logs.push(log);
    const sink = await open(1, log);
    const told: number[] = [];
    const under = [];
    for (let at = 1; at <= 2_000; at += 20) {
      // Replies of both come in one piece.
      for (const [first, last] of [
        [at, at + 18],
        [at + 19, at + 19],
      ] as const)
        under.push(sink.append(commit(first, last), never).then(({ totals }) => told.push(totals.events)));
      if (under.length >= 8) await Promise.all(under.splice(0));
    }
    await Promise.all(under);
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(await ids()).toHaveLength(1_000);
    expect(await client.xlen(eventsKey(id))).toBe(2_000);
    await sink.close();
  });

  it('tells what it dropped', async () => {
    const sink = await open(1, logOf({ max_entries: 20, on_full: 'trim' }));
    await sink.append(commit(1, 15), never);
    const { dropped = 0 } = await sink.append(commit(16, 30), never);
    const left = await ids();
    expect(left.at(-1)).toBe('e-30');
    expect(dropped).toBe(30 - left.length);
    expect((await sink.append(commit(31, 31), never)).dropped).toBe(0);
    await sink.close();
  });

  it('leaves nothing of one whose script was forgotten, once the log is opened anew or gone', async () => {
    const sink = await open(1);
    await client.script('FLUSH');
    await expect(sink.append(commit(1, 2), never)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(await borrowed()).toBe(1);
    const next = await open(2);
    expect({ borrowed: await borrowed(), ids: await ids() }).toEqual({ borrowed: 0, ids: [] });
    await next.close();
  });

  it('takes back a stream that a server left under the borrowed name', async () => {
    await leaveLent();
    const next = await open(2);
    await next.append(commit(4, 5), never);
    expect({ borrowed: await borrowed(), ids: await ids() }).toEqual({
      borrowed: 0,
      ids: ['e-1', 'e-2', 'e-3', 'e-4', 'e-5'],
    });
    await next.close();
  });

  it('takes it back from a group that made a stream of its name meanwhile', async () => {
    await leaveLent(() => client.xgroup('CREATE', eventsKey(id), 'readers', '0'));
    await client.xgroup('CREATE', eventsKey(id), 'readers', '$', 'MKSTREAM');
    const next = await open(2);
    expect({ borrowed: await borrowed(), ids: await ids() }).toEqual({ borrowed: 0, ids: ['e-1', 'e-2', 'e-3'] });
    expect(await client.xreadgroup('GROUP', 'readers', 'one', 'STREAMS', eventsKey(id), '>')).toHaveLength(1);
    // What was refused is nobody's log, however much it is.
    await client.copy(eventsKey(id), borrowedKey(id));
    await (await open(3)).close();
    expect({ borrowed: await borrowed(), ids: await ids() }).toEqual({ borrowed: 0, ids: ['e-1', 'e-2', 'e-3'] });
    await next.close();
  });

  it('keeps what is under the borrowed name of a deleted stream for as long as it was to be readable', async () => {
    await leaveLent();
    await logOf().expire(id, 3_600, 2);
    expect({ borrowed: await borrowed(), ids: await ids() }).toEqual({ borrowed: 0, ids: ['e-1', 'e-2', 'e-3'] });
    expect(await client.ttl(eventsKey(id))).toBeGreaterThan(3_000);
  });

  it.each([
    ['turn replies off', ['~plnx:*', '+@all', '-client']],
    ['open a transaction', ['~plnx:*', '+@all', '-multi']],
    ['rename', ['~plnx:*', '+@all', '-rename']],
    ['touch another key', ['~plnx:events:*', '~plnx:log:*', '+@all']],
  ])('is one call of the script for a user who may not %s', async (_what, rights) => {
    await client.call('ACL', 'SETUSER', 'plain', 'on', '>secret', ...rights);
    const connect = redisFactory(redis.url.replace('redis://', 'redis://plain:secret@'));
    const batch: ChangeBatch = commit(1, 200);
    const sink = await open(1, logOf(undefined, connect));
    expect(await sink.append(batch, never)).toMatchObject({ events: 200 });
    expect(await ids()).toHaveLength(200);
    await sink.close();
  });
});
