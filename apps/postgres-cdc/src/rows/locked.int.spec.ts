import { eventually } from '@planasonix/testing';
import type { Client } from 'pg';
import type { TrialStream } from '../trial/trial-stream.js';
import { expectEqual, expectUniqueIds, settle, sourceUnderTest, type Database } from './source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();

const TABLE = `CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, v text);
  INSERT INTO t SELECT i, 'a' FROM generate_series(1, 100) i; ANALYZE t`;
/** More than one reader shares it. */
const LARGE = `CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, v text);
  INSERT INTO t SELECT i, repeat('x', 400) FROM generate_series(1, 65000) i; ANALYZE t`;

const held: Client[] = [];
// Whoever has not let go would keep the slots of the next test from being made.
afterEach(async () => {
  for (const session of held.splice(0)) await session.end();
});

/** Whoever rewrites a table, or an index, for long. */
async function holds(db: Database, how: string): Promise<() => Promise<unknown>> {
  const session = await db.session();
  held.push(session);
  await session.query(`BEGIN; ${how}`);
  return () => session.query('COMMIT');
}

const over = (one: TrialStream): boolean => one.closed.length > 0 || one.failure !== null;

/** The session for questions is free: a table that is made now is taken up. */
async function expectLively(one: TrialStream, db: Database): Promise<void> {
  await db.client.query('CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)');
  one.ordersChanged();
  const taken = () => one.positions.get('#tables')?.includes('public.late') === true || one.failure !== null;
  await eventually('the new table is taken up', taken, { timeoutMs: 60_000 });
  expect([one.failure, one.closed]).toEqual([null, []]);
  await settle(one, db.client);
}

async function expectDone(one: TrialStream, db: Database): Promise<void> {
  await eventually('the order is over', () => over(one));
  expect([one.failure, one.closed]).toEqual([null, [{ id: 'snap_1', failed: null }]]);
  await settle(one, db.client);
  await expectEqual(one, db.client, 'public.t', "'id', id");
  expectUniqueIds(one);
}

describe('rows of a table that somebody keeps locked', () => {
  it.each([
    ['an index, in one piece', TABLE],
    ['an index, in several', LARGE],
  ])('by rewriting %s, wait for him; the stream goes on', async (_, table) => {
    const db = await fresh(table);
    const one = reading(db, { tables: ['public.*'], snapshot: 'never' });
    one.start();
    await eventually('it runs', () => one.connected);
    const letGo = await holds(db, 'REINDEX INDEX t_pkey');
    one.orders.push({ id: 'snap_1', tables: ['public.t'], where: null });
    one.ordersChanged();
    const waits = () => one.progress()?.tables?.some(({ note }) => note?.includes('locked')) === true;
    await eventually('it says so', () => waits() || over(one), { timeoutMs: 60_000 });
    await expectLively(one, db);
    await letGo();
    await expectDone(one, db);
  });

  it.each([
    ['is started', false],
    ['runs', true],
  ])(
    'with a condition, that is ordered while the stream %s: whether it fits is asked once he is done',
    async (_, runs) => {
      const db = await fresh(TABLE);
      const one = reading(db, { tables: ['public.*'], snapshot: 'never' });
      one.start();
      await eventually('it runs', () => one.connected);
      if (!runs) await one.stop();
      const letGo = await holds(db, 'LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
      const order = { tables: ['public.t'], where: 'id > 0' };
      one.orders.push({ id: 'snap_1', ...order });
      if (runs) one.ordersChanged();
      else one.start();
      await eventually('it runs', () => one.connected || one.failure !== null, { timeoutMs: 60_000 });
      await expectLively(one, db);
      // Nothing is said against it either.
      const [found] = await one.look((source) => source.checkOrder!(order, AbortSignal.timeout(60_000)));
      expect(found).toMatchObject({ code: 'source_unreachable', fix: expect.stringContaining('locked') });
      await letGo();
      await expectDone(one, db);
    },
  );
});
