import { systemClock, type Appended, type EventLog, type LogEntry, type Sink } from '@planasonix/core';
import { commit, eventOf, eventually, startRedis, type Redis as RedisServer } from '@planasonix/testing';
import { openLog } from '../open-log.js';
import { eventsKey, logKey } from './keys.js';

const never = new AbortController().signal;
const id = 'str_01j9k9z0a1b2c3d4e5f6g7h8j9';

describe('the log in Redis', () => {
  let redis: RedisServer;
  let log: EventLog;
  const extra: EventLog[] = [];
  const sinks: Sink[] = [];

  const logOf = (retention?: { max_entries: number; on_full: 'block' | 'trim' }): EventLog => {
    const made = openLog({ type: 'redis_stream', retention }, { redisUrl: redis.url });
    extra.push(made);
    return made;
  };
  async function open(epoch: number, of = log) {
    const sink = of.sink(id, epoch);
    sinks.push(sink);
    return { sink, found: await sink.open() };
  }
  const everything = (): Promise<readonly LogEntry[]> => log.read(id, { limit: 1_000_000 });
  const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => `e-${first + i}`);
  async function begin(args: readonly string[] = []) {
    redis = await startRedis({ args });
    log = openLog({ type: 'redis_stream' }, { redisUrl: redis.url });
  }

  afterEach(async () => {
    for (const sink of sinks.splice(0)) await sink.close();
    for (const one of extra.splice(0)) await one.close();
    await log?.close();
    await redis?.stop();
  });

  it('uses the documented key and exactly the documented fields', async () => {
    await begin();
    const { sink } = await open(1);
    await sink.append(commit(1, 1), never);
    const client = redis.client();
    expect((await client.keys('*')).sort()).toEqual([`plnx:events:{${id}}`, `plnx:log:{${id}}`]);
    const [[, fields]] = (await client.xrange(eventsKey(id), '-', '+')) as [[string, string[]]];
    expect(fields.filter((_, i) => i % 2 === 0)).toEqual([
      'id',
      'type',
      'source',
      'subject',
      'time',
      'partitionkey',
      'data',
    ]);
  });

  it('runs in Redis Cluster: all keys lie in one slot', async () => {
    await begin(['--cluster-enabled', 'yes']);
    const client = redis.client();
    await client.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await eventually('the cluster serves', async () => (await client.cluster('INFO')).includes('cluster_state:ok'));
    const { sink } = await open(1);
    await sink.append(commit(1, 3), never);
    await sink.append(commit(4, 200), never); // a transaction
    await log.fence(id, 2);
    await log.expire(id, 0, 0);
    expect(await log.depth(id)).toBe(0);
  });

  it('loses nothing that it acknowledged and doubles nothing when Redis is killed while it appends', async () => {
    await begin();
    let acknowledged = 0;
    let next = 1;
    for (let round = 1; round <= 5; round++) {
      const { sink, found } = await open(round);
      const at = Number(found.positions.get('')?.slice(3) ?? 0);
      expect(at).toBeGreaterThanOrEqual(acknowledged);
      next = at + 1;
      let dead = false;
      const appends: Promise<void>[] = [];
      const writing = (async () => {
        while (!dead) {
          const [first, last] = [next, next + 99];
          next += 100;
          appends.push(
            sink.append(commit(first, last), never).then(
              () => void (acknowledged = last),
              () => void (dead = true),
            ),
          );
          await systemClock.sleep(1);
        }
      })();
      await eventually('some appends', () => acknowledged > at + 500);
      await redis.kill();
      await writing;
      await Promise.all(appends);
      await redis.start();
    }
    const { found } = await open(6);
    const all = (await everything()).map((entry) => entry.id);
    expect(all).toEqual(numbers(1, all.length));
    expect(all.length).toBeGreaterThanOrEqual(acknowledged);
    expect(found.totals.events).toBe(all.length);
    expect(found.positions.get('')).toBe(`at-${all.length}`);
  });

  it('rejects all that is under way at once when Redis goes, with log_unavailable', async () => {
    await begin();
    const { sink } = await open(1);
    process.kill(redis.pid, 'SIGSTOP');
    const under = Promise.allSettled([1, 2, 3].map((n) => sink.append(commit(n, n), never)));
    await redis.kill();
    const started = performance.now();
    for (const result of await under)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'log_unavailable' } });
    await expect(sink.append(commit(4, 4), never)).rejects.toMatchObject({ code: 'log_unavailable' });
    await expect(open(2)).rejects.toMatchObject({ code: 'log_unavailable' });
    await expect(log.fence(id, 2)).rejects.toMatchObject({ code: 'log_unavailable' });
    await expect(log.read(id, { limit: 1 })).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(await log.check()).toMatchObject([
      { code: 'log_unavailable', severity: 'error', fix: expect.stringContaining('Redis') },
    ]);
    expect(performance.now() - started).toBeLessThan(8_000);
    await redis.start();
    await eventually('the control plane comes back by itself', async () => (await log.check()).length === 0);
  });

  it('notices while it writes that Redis was emptied, and begins with no position after', async () => {
    await begin();
    const { sink } = await open(1);
    await sink.append(commit(1, 3), never);
    await redis.client().flushall();
    await expect(sink.append(commit(4, 5), never)).rejects.toMatchObject({
      code: 'log_unavailable',
      message: expect.stringContaining('gone'),
    });
    expect(await everything()).toEqual([]);
    expect([...(await open(1)).found.positions]).toEqual([]);
  });

  it('notices that Redis went back to an older state under it', async () => {
    await begin();
    const { sink } = await open(1);
    await sink.append(commit(1, 3), never);
    const client = redis.client();
    await sink.append(commit(4, 5), never);
    const writer = await client.hget(logKey(id), 'writer');
    await client.hset(logKey(id), 'writer', writer!.replace(/:2$/, ':1'));
    await expect(sink.append(commit(6, 6), never)).rejects.toMatchObject({
      code: 'log_unavailable',
      message: expect.stringContaining('older state'),
    });
  });

  it('lets a hundred zombies write at once and takes nothing from them (traps 27, 32)', async () => {
    await begin();
    const zombies = await Promise.all(Array.from({ length: 20 }, (_, i) => open(i + 1).catch(() => null)));
    const { sink: owner } = await open(50);
    const attempts = zombies.flatMap((zombie) =>
      zombie ? Array.from({ length: 5 }, (_, n) => zombie.sink.append(commit(9_000 + n, 9_000 + n), never)) : [],
    );
    const mine = Promise.all(Array.from({ length: 20 }, (_, n) => owner.append(commit(n * 5 + 1, n * 5 + 5), never)));
    for (const result of await Promise.allSettled(attempts)) expect(result.status).toBe('rejected');
    await mine;
    expect((await everything()).map((entry) => entry.id)).toEqual(numbers(1, 100));
  });

  describe('retention', () => {
    const key = eventsKey(id);
    const read = async (group: string, count: number, ack = true) => {
      const client = redis.client();
      const answer = (await client.xreadgroup('GROUP', group, 'c', 'COUNT', count, 'STREAMS', key, '>')) as [
        [string, [string, string[]][]],
      ];
      const ids = answer[0][1].map(([entry]) => entry);
      if (ack) await client.xack(key, group, ...ids);
      return ids;
    };

    it('trims what every group has acknowledged, and nothing that one has not (trap 26)', async () => {
      await begin();
      const { sink } = await open(1, logOf({ max_entries: 1_000, on_full: 'block' }));
      for (let n = 0; n < 10; n++) await sink.append(commit(n * 100 + 1, n * 100 + 100), never);
      const client = redis.client();
      await client.xgroup('CREATE', key, 'fast', '0');
      await client.xgroup('CREATE', key, 'slow', '0');
      await read('fast', 900);
      await read('slow', 300);
      const [pending] = await read('slow', 100, false); // read, not acknowledged
      await sink.append(commit(1_001, 1_200), never);
      const first = (await client.xrange(key, '-', '+', 'COUNT', 1)) as [string, string[]][];
      expect(first[0]![0] <= pending!).toBe(true);
      expect((await everything()).map((entry) => entry.id).slice(-900)).toEqual(numbers(301, 1_200));
      const blocked = sink.append(commit(1_201, 1_400), never);
      await eventually('full again', () => sink.blocked);
      await client.xack(
        key,
        'slow',
        ...((await client.xpending(key, 'slow', '-', '+', 1_000)) as [string][]).map(([entry]) => entry),
      );
      await read('slow', 500);
      await blocked;
      expect((await everything()).at(-1)!.id).toBe('e-1400');
      expect(await log.depth(id)).toBeLessThanOrEqual(1_000);
    });

    it('drops the oldest under `trim` when nobody reads, and counts what it dropped', async () => {
      await begin();
      const { sink } = await open(1, logOf({ max_entries: 500, on_full: 'trim' }));
      let dropped = 0;
      let last: Appended | null = null;
      for (let n = 0; n < 20; n++) {
        last = await sink.append(commit(n * 100 + 1, n * 100 + 100), never);
        dropped += last.dropped ?? 0;
      }
      const all = (await everything()).map((entry) => entry.id);
      expect(all).toEqual(numbers(2_001 - all.length, 2_000));
      expect(all.length).toBeLessThanOrEqual(500);
      expect(dropped).toBe(2_000 - all.length);
      expect(last!.totals.events).toBe(2_000);
    });

    it('keeps under `trim` what a group has not acknowledged, and waits', async () => {
      await begin();
      const { sink } = await open(1, logOf({ max_entries: 300, on_full: 'trim' }));
      await redis.client().xgroup('CREATE', key, 'readers', '0', 'MKSTREAM');
      await sink.append(commit(1, 300), never);
      const waiting = sink.append(commit(301, 400), never);
      await eventually('full', () => sink.blocked);
      expect((await everything()).length).toBe(300);
      await read('readers', 200);
      await waiting;
      expect((await everything()).map((entry) => entry.id).slice(-200)).toEqual(numbers(201, 400));
    });
  });

  describe('durability', () => {
    it('is at once under fsync always, and without warnings', async () => {
      await begin();
      expect((await open(1)).sink.settleDelayMs).toBe(0);
      expect(await log.check()).toEqual([]);
    });

    it('is 2 s late under everysec (trap 26)', async () => {
      await begin(['--appendfsync', 'everysec']);
      expect((await open(1)).sink.settleDelayMs).toBe(2_000);
      expect(await log.check()).toMatchObject([{ code: 'log_fsync_everysec', severity: 'info' }]);
    });

    it('is a warning without AOF', async () => {
      await begin(['--appendonly', 'no']);
      expect((await open(1)).sink.settleDelayMs).toBe(2_000);
      expect(await log.check()).toMatchObject([{ code: 'log_not_durable', severity: 'warning' }]);
    });

    it('is unknown where CONFIG is forbidden, and then taken for everysec', async () => {
      await begin(['--user', 'default', 'on', 'nopass', '~*', '&*', '+@all', '-config']);
      expect((await open(1)).sink.settleDelayMs).toBe(2_000);
      expect(await log.check()).toMatchObject([{ code: 'log_settings_unknown', severity: 'info' }]);
    });

    it('warns of a Redis that evicts', async () => {
      await begin(['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru']);
      expect(await log.check()).toMatchObject([{ code: 'log_may_evict', severity: 'warning' }]);
    });

    it('tells of an AOF that is rewritten while it is small, until the fix is made', async () => {
      await begin(['--auto-aof-rewrite-min-size', '64mb']);
      const [found] = await log.check();
      expect(found).toMatchObject({ code: 'log_rewrites_often', severity: 'info' });
      await redis.client().call(...(found!.fix!.split(' ') as [string, ...string[]]));
      expect(await log.check()).toEqual([]);
    });

    it('does not tell of rewrites where there are none', async () => {
      await begin(['--auto-aof-rewrite-min-size', '64mb', '--auto-aof-rewrite-percentage', '0']);
      expect(await log.check()).toEqual([]);
    });
  });

  it('writes all of a batch or none of it when the memory is full, and says what to do', async () => {
    await begin(['--maxmemory', '20mb']);
    let { sink } = await open(1);
    const data = Buffer.from(`"${'x'.repeat(1_000)}"`);
    let last = 0;
    const failure = await (async () => {
      for (;;) {
        const batch = {
          partition: '',
          events: Array.from({ length: 200 }, (_, i) => eventOf(last + i + 1, { data })),
          position: `at-${last + 200}`,
        };
        try {
          await sink.append(batch, never);
          last += 200;
        } catch (error) {
          return error;
        }
      }
    })();
    expect(failure).toMatchObject({
      code: 'log_unavailable',
      message: expect.stringContaining('maxmemory'),
      hint: expect.stringContaining('maxmemory'),
    });
    expect(await log.depth(id)).toBe(last);
    await redis.client().config('SET', 'maxmemory', '0');
    ({ sink } = await open(1));
    expect(await sink.append(commit(last - 1, last + 5), never)).toMatchObject({ events: 5, duplicates: 2 });
  });

  it('recovers from a flushed script cache by a new sink', async () => {
    await begin();
    const { sink } = await open(1);
    await redis.client().script('FLUSH');
    await expect(sink.append(commit(1, 1), never)).rejects.toMatchObject({ code: 'log_unavailable' });
    const { sink: next } = await open(1);
    await next.append(commit(1, 1), never);
  });

  it('says that a log of a kind it does not know is a mistake in the config', () => {
    expect(() => openLog({ type: 'papyrus' } as never, { redisUrl: 'redis://127.0.0.1:1' })).toThrow(
      expect.objectContaining({ code: 'config_invalid' }),
    );
  });
});
