import { ROW_EVENT_TYPES, systemClock, Waker, type ChangeEvent, type Clock } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { parseConfig } from '../config.js';
import { logEnd, serverOf, type LogPlace } from '../server.js';
import type { Sessions } from '../sessions.js';
import { LEGS, sessionsOf } from '../trial/legs.js';
import { RowFeed } from './row-feed.js';
import { fill, serverUnderTest } from './server-under-test.js';

const quiet = (): void => undefined;
const ROWS = 3000;
const NO_DATA = Buffer.alloc(0);
/** Each of the three readers may have 25 rows at once, which have so much time. */
const PAUSING = { snapshot_max_rows_per_second: 100 };
const PAUSE_MS = 250;

describe.each(LEGS)('the rows of $name that wait for the log', (leg) => {
  const one = serverUnderTest(leg);
  let sessions: Sessions;
  let feed: RowFeed;

  beforeAll(async () => {
    sessions = sessionsOf(one.server, leg.type);
    await one.db.query('CREATE DATABASE f; CREATE TABLE f.t (id INT PRIMARY KEY, v INT)');
    await fill(one.db, 'f.t', ROWS, (n) => `${n}, 0`);
  });
  afterEach(() => feed.close());
  afterAll(() => sessions.close());

  const end = () => sessions.ask(async (session) => logEnd(session, await serverOf(session)));
  const begin = async (reached: () => LogPlace, table = 't', clock: Clock = systemClock, more = {}): Promise<void> => {
    const server = await sessions.ask(serverOf);
    feed = new RowFeed({
      ...{ server, clock, waker: new Waker(), config: parseConfig({ tables: ['f.*'], ...more }), reached },
      ...{ alone: null, session: null, from: { file: 0, pos: 0 }, excludedOf: () => new Set<string>(), refuse: quiet },
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      ask: (question) => sessions.ask(question),
      open: () => sessions.open('rows'),
      end: (session) => sessions.end(session),
      kill: (id) => sessions.kill(server, id),
    });
    feed.add({ schema: 'f', table, order: null, where: null, id: 'one', empties: false });
    feed.start();
  };
  const pieces = (): number => feed['runs'][0]?.pieces.length ?? 0;
  const change = (id: number, type: ChangeEvent['type'] = ROW_EVENT_TYPES.u): ChangeEvent => ({
    ...{ id: String(id), type, subject: 'f.t', partitionkey: `{"id":${id}}`, time: '', timeMs: 0 },
    ...{ data: NO_DATA, order: '0001-00000001-000000000010-00000000' },
  });
  /** All that may be handed over once everything is. */
  const take = async (events: ChangeEvent[]): Promise<ChangeEvent[]> => {
    const at = await end();
    for (let some = feed.take(at); some !== null; some = feed.take(at)) events.push(...some);
    return events;
  };

  it('go once it has come to what they saw, and not before (Invariant 5)', async () => {
    const before = await end();
    await one.db.query('UPDATE f.t SET v = v + 1 WHERE id = 5');
    const far = { file: before.file.replace(/\d+$/, '999999'), pos: 4 };
    await begin(() => far);
    await eventually('rows wait', () => pieces() === ROWS / 1000);
    expect(feed.take(before)).toBeNull();
    expect(await take([])).toHaveLength(ROWS);
    expect(feed.idle).toBe(true);
  });

  it('are not read while it is far behind', async () => {
    let reached = await end();
    await one.db.query('UPDATE f.t SET v = v + 1 WHERE id = 5');
    await begin(() => reached);
    await eventually('a chunk is begun', () => feed['runs'].length === 1);
    expect(feed['runs'][0]!.place).toBeNull();
    reached = await end();
    const events: ChangeEvent[] = [];
    await eventually('all rows are there', async () => (await take(events)).length === ROWS);
  });

  it.each([
    [
      'more was told than can be remembered',
      (): ChangeEvent[] => Array.from({ length: 200_001 }, (_, i) => change(-i)),
    ],
    [
      'what was told weighs too much',
      (): ChangeEvent[] =>
        Array.from({ length: 40 }, (_, i) => ({ ...change(-i), partitionkey: `${i} ${'k'.repeat(1024 * 1024)}` })),
    ],
    ['the table was emptied', (): ChangeEvent[] => [change(0, ROW_EVENT_TYPES.t)]],
  ])('are read again where %s (Invariant 6)', async (_, told) => {
    const far = { file: (await end()).file.replace(/\d+$/, '999999'), pos: 4 };
    await begin(() => far);
    await eventually('rows wait', () => pieces() === ROWS / 1000);
    const first = feed.take(await end())!;
    feed.handed(told(), false);
    const events = [...first];
    await eventually('all rows are there', async () => (await take(events)).length >= ROWS && feed.idle);
    const ids = new Set(events.map(({ id }) => id));
    const keys = new Set(events.map(({ partitionkey }) => partitionkey));
    expect([events.length, ids.size, keys.size]).toEqual([ROWS, ROWS, ROWS]);
    // What was read again is of another chunk.
    const chunks = new Set([...ids].map((id) => /-(0\.\d+)-/.exec(id)?.[1]));
    expect([...chunks]).toEqual(['0.0', '0.1']);
  });

  it.each([
    ['all of them', null, 0],
    ['some of them, of a table that lost its key amid an order with a condition', 'a = 2', 1],
  ])('without a key stand for the changes before them where they are %s, and else for none', async (_, where, kept) => {
    await one.db.query('CREATE TABLE IF NOT EXISTS f.heap (a INT); INSERT INTO f.heap VALUES (1), (2)');
    const far = { file: (await end()).file.replace(/\d+$/, '999999'), pos: 4 };
    await begin(() => far);
    feed.add({ schema: 'f', table: 'heap', order: 'snap_1', where, id: 'snap_1', empties: false });
    feed.stands(true);
    const events: ChangeEvent[] = [];
    await eventually('all rows are there', async () => (await take(events)).length > ROWS && feed.idle);
    const told = { ...change(1), subject: 'f.heap', partitionkey: '' };
    expect(feed.handed([told], false)).toHaveLength(kept);
  });

  it('of keys that were told of meanwhile do not come, and nothing else is left out', async () => {
    const far = { file: (await end()).file.replace(/\d+$/, '999999'), pos: 4 };
    await begin(() => far);
    await eventually('rows wait', () => pieces() === ROWS / 1000);
    feed.handed([change(7), change(2500, ROW_EVENT_TYPES.d)], false);
    const keys = new Set((await take([])).map(({ partitionkey }) => partitionkey));
    expect([keys.size, keys.has('{"id":7}'), keys.has('{"id":2500}')]).toEqual([ROWS - 2, false, false]);
  });

  it('of a table without a key wait for as long as nobody takes them: given back, they would begin anew', async () => {
    await one.db.query('CREATE TABLE f.long (a INT)');
    await fill(one.db, 'f.long', 20_000, (n) => `${n % 7}`);
    let ahead = 0;
    let looks = 0;
    const sleep: Clock['sleep'] = (ms, signal) => {
      // For how long a reader sleeps before it looks again whether anybody takes anything, and likewise whether it is wanted.
      if (ms === 1000 && ahead > 0) looks++;
      return systemClock.sleep(ms, signal);
    };
    const at = await end();
    await begin(() => at, 'long', { ...systemClock, monotonic: () => systemClock.monotonic() + ahead, sleep });
    await eventually('it wants the log to stand', () => feed.wantsStillness);
    feed.stands(true);
    const events = feed.take(at)!;
    expect(events.map(({ type }) => type)).toEqual([ROW_EVENT_TYPES.t]);
    await eventually('rows wait', () => pieces() >= 8);
    ahead = 3_600_000;
    await eventually('an hour later they still do', () => looks >= 4 && pieces() >= 8);
    await eventually('all rows are there', async () => (await take(events)) && feed.idle);
    expect(events).toHaveLength(1 + 20_000);
    expect(events.every(({ id }) => id.startsWith('snap-one-1-'))).toBe(true);
  });

  it('of a table without a key come no faster than they may, and nobody sleeps behind readers that are closed', async () => {
    await one.db.query('CREATE TABLE f.slow (a INT)');
    await fill(one.db, 'f.slow', 10_000, String);
    let asleep = 0;
    const sleep: Clock['sleep'] = (ms, signal) => {
      if (ms !== PAUSE_MS) return systemClock.sleep(ms, signal);
      asleep++;
      return new Promise((resolve) => signal?.addEventListener('abort', () => resolve(asleep-- < 0)));
    };
    const at = await end();
    await begin(() => at, 'slow', { ...systemClock, monotonic: () => 0, sleep }, PAUSING);
    await eventually('it wants the log to stand', () => feed.wantsStillness);
    feed.stands(true);
    expect(feed.take(at)).toHaveLength(1);
    const all: ChangeEvent[] = [];
    // Its own, and those that wait for their turn.
    await eventually('readers sleep', async () => (await take(all)) && asleep === 3);
    expect(all).toHaveLength(25);
    feed.close();
    expect(asleep).toBe(0);
  });

  it('come no faster than they may from the first one on, whoever reads them', async () => {
    let now = 0;
    const wake: (() => void)[] = [];
    const sleep: Clock['sleep'] = async (ms, signal) => {
      if (ms !== PAUSE_MS) return systemClock.sleep(ms, signal);
      await new Promise<void>((resolve) => wake.push(resolve));
      return true;
    };
    const at = await end();
    await begin(() => at, 't', { ...systemClock, monotonic: () => now, sleep }, PAUSING);
    const all: ChangeEvent[] = [];
    for (const where of ['id > 0', null, 'id > 100'])
      feed.add({ schema: 'f', table: 't', order: 'snap_1', where, id: `of ${where}`, empties: false });
    for (const rows of [25, 50, 75]) {
      await eventually('readers sleep', async () => (await take(all)) && wake.length === 3);
      expect(all).toHaveLength(rows);
      now += PAUSE_MS;
      for (const one of wake.splice(0)) one();
    }
  });

  it('of a table that is gone are none, and the position that says so is brought on a quiet server too', async () => {
    const at = await end();
    await begin(() => at, 'gone');
    await eventually('it is seen', () => feed.idle);
    expect([feed.take(at), feed.take(at)]).toEqual([[], null]);
  });
});
