import type { ChangeBatch, EventLog } from '@planasonix/core';
import { commit, eventually, startRedis, type Redis as RedisServer } from '@planasonix/testing';
import { openLog } from '../open-log.js';
import { eventsKey, logKey } from './keys.js';

const never = new AbortController().signal;
const id = 'str_01j9k9z0a1b2c3d4e5f6g7h8j9';
const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => `e-${first + i}`);

describe('a batch that is larger than the whole log', () => {
  let redis: RedisServer;
  let log: EventLog;

  async function begin(on_full: 'block' | 'trim') {
    redis = await startRedis();
    log = openLog({ type: 'redis_stream', retention: { max_entries: 20, on_full } }, { redisUrl: redis.url });
  }
  async function open(epoch: number) {
    const sink = log.sink(id, epoch);
    return { sink, found: await sink.open() };
  }
  const ids = async () => (await log.read(id, { limit: 1_000 })).map((entry) => entry.id);
  const makeGroup = () => redis.client().xgroup('CREATE', eventsKey(id), 'readers', '0');
  /** Reads and acknowledges. */
  async function read(count: number) {
    const client = redis.client();
    const place = ['STREAMS', eventsKey(id), '>'] as const;
    const [[, entries]] = (await client.xreadgroup('GROUP', 'readers', 'one', 'COUNT', count, ...place)) as [
      [string, [string][]],
    ];
    await client.xack(eventsKey(id), 'readers', ...entries.map(([entry]) => entry));
  }

  afterEach(async () => {
    await log.close();
    await redis.stop();
  });

  it('enters in pieces as there is room, its position with the last', async () => {
    await begin('block');
    const { sink } = await open(1);
    const waiting = sink.append(commit(1, 50), never);
    await eventually('full', () => sink.blocked);
    expect(await ids()).toEqual(numbers(1, 20));
    expect(await redis.client().hkeys(logKey(id))).not.toContain('pos:');
    await makeGroup();
    await read(20);
    await eventually('the second piece', async () => (await ids()).at(-1) === 'e-40');
    await read(20);
    expect(await waiting).toMatchObject({ events: 50, duplicates: 0, totals: { events: 50 } });
    expect(await ids()).toEqual(numbers(41, 50));
    expect(await redis.client().hget(logKey(id), 'pos:')).toBe('at-50');
    await sink.close();
  });

  it('doubles nothing when its writer ends between two pieces', async () => {
    await begin('block');
    const first = await open(1);
    const cut = first.sink.append(commit(1, 50), never);
    await eventually('full', () => first.sink.blocked);
    await first.sink.close();
    await expect(cut).rejects.toMatchObject({ code: 'log_unavailable' });
    await makeGroup();
    const { sink, found } = await open(2);
    expect(found.positions.size).toBe(0);
    const again = sink.append(commit(1, 50), never);
    await read(20);
    await eventually('the second piece', async () => (await ids()).at(-1) === 'e-40');
    await read(20);
    expect(await again).toMatchObject({ events: 30, duplicates: 20, totals: { events: 50 } });
    await sink.close();
  });

  it('leaves its last events under `trim`, and no more than the log may hold', async () => {
    await begin('trim');
    const { sink } = await open(1);
    const { events, dropped } = await sink.append(commit(1, 50), never);
    const left = await ids();
    expect(left.length).toBeLessThanOrEqual(20);
    expect(left).toEqual(numbers(51 - left.length, 50));
    expect({ events, dropped }).toEqual({ events: 50, dropped: 50 - left.length });
    await sink.close();
  });

  it('enters as a whole once the log is empty where its events have no order', async () => {
    await begin('block');
    const { sink } = await open(1);
    const rows = (from: number, to: number): ChangeBatch => {
      const batch = commit(from, to);
      return { ...batch, events: batch.events.map((event) => ({ ...event, order: null })) };
    };
    await sink.append(rows(1, 50), never);
    const waiting = sink.append(rows(51, 100), never);
    await eventually('full', () => sink.blocked);
    await makeGroup();
    await read(50);
    await waiting;
    expect(await ids()).toEqual(numbers(51, 100));
    await sink.close();
  });
});
