import type { ChangeEvent } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import type { TrialStream } from '../trial/trial-stream.js';
import { NOTEBOOK } from './rows-state.js';
import { expectEqual, expectUniqueIds, settle, sourceUnderTest, type Database } from './source-under-test.js';

jest.setTimeout(180_000);

const { fresh, reading } = sourceUnderTest();

const REKEY = 'ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)';
const QUICK = { tables: ['public.*'], snapshot_readers: 1 };
const CONFIG = { ...QUICK, snapshot_max_rows_per_second: 20_000 };

/** A stream that was stopped after changes of `t` had come, before the turn of its rows. */
async function stopped(): Promise<{ db: Database; one: TrialStream }> {
  const db =
    await fresh(`CREATE TABLE before_it (id int PRIMARY KEY); INSERT INTO before_it SELECT generate_series(1, 1000);
    CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL UNIQUE, v text);
    INSERT INTO t SELECT i, i + 1000, 'first' FROM generate_series(1, 50) i; ANALYZE`);
  const one = reading(db, { ...QUICK, snapshot_max_rows_per_second: 1 });
  one.start();
  await eventually('the stream is read', () => one.connected);
  await db.client.query("UPDATE t SET v = 'came by itself' WHERE a <= 5");
  await one.seen('came by itself');
  await one.stop();
  one.configure(QUICK);
  expect(one.events.some(({ subject, data }) => subject === 'public.t' && data.includes('"op":"r"'))).toBe(false);
  return { db, one };
}

async function expectWhole(one: TrialStream, db: Database, key = "'a', a", table = 'public.t'): Promise<void> {
  await one.rowsDone(60_000);
  await settle(one, db.client);
  await one.rowsDone(60_000);
  await expectEqual(one, db.client, table, key);
  expectUniqueIds(one);
}

/** Readers have changes of it, and nothing else would ever tell them that those are not its rows any more. */
describe('a table that waits for its turn while the stream is stopped (Invariant 2)', () => {
  it('and gets another key: what came by the former one goes', async () => {
    const { db, one } = await stopped();
    await db.client.query(REKEY);
    one.start();
    await expectWhole(one, db, "'b', b");
  });

  it('and leaves the publication for a while: what was deleted meanwhile goes', async () => {
    const { db, one } = await stopped();
    const publication = `planasonix_${db.name}`;
    await db.client.query(`ALTER PUBLICATION ${publication} DROP TABLE t`);
    await db.client.query('DELETE FROM t WHERE a = 5');
    await db.client.query(`ALTER PUBLICATION ${publication} ADD TABLE t`);
    one.start();
    await expectWhole(one, db);
  });

  it('and is not asked for for a while: what was deleted meanwhile goes', async () => {
    const { db, one } = await stopped();
    one.configure({ ...QUICK, exclude_tables: ['public.t'] });
    one.start();
    await settle(one, db.client);
    await db.client.query('DELETE FROM t WHERE a = 5');
    await settle(one, db.client);
    await one.stop();
    one.configure(QUICK);
    one.start();
    await expectWhole(one, db);
  });

  it('and is dropped and made anew: what came of the former one goes', async () => {
    const { db, one } = await stopped();
    await db.client.query('DROP TABLE t');
    await db.client.query("CREATE TABLE t (a int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'of the new one')");
    one.start();
    await expectWhole(one, db);
  });

  it('and that is all: nothing is forgotten', async () => {
    const { db, one } = await stopped();
    one.start();
    await expectWhole(one, db);
    expect(one.events.some(({ data }) => data.includes('"op":"t"'))).toBe(false);
  });

  it('and is renamed: its rows come under the new name, and another one under the former says first that what came of it goes', async () => {
    const { db, one } = await stopped();
    await db.client.query('ALTER TABLE t RENAME TO u');
    one.start();
    await expectWhole(one, db, "'a', a", 'public.u');
    await db.client.query("CREATE TABLE t (a int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'of the new one')");
    one.ordersChanged();
    await one.seen('of the new one');
    await expectWhole(one, db);
  });
});

describe('a table whose rows are being read (Invariant 2)', () => {
  const begun = async (more: object = {}) => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE t (a int PRIMARY KEY, v text);
      INSERT INTO t SELECT i, 'first' FROM generate_series(1, 100000) i; ANALYZE`);
    const one = reading(db, { ...CONFIG, ...more });
    const rows = () => one.events.filter(({ subject }) => subject === 'public.t').length;
    return { db, one, rows };
  };

  it('and that is left out for a while: not a row of it comes then, and all of them once it is back', async () => {
    const { db, one, rows } = await begun();
    one.start();
    await eventually('it is begun', () => rows() > 0);
    await one.stop();
    const before = rows();
    one.configure({ ...QUICK, exclude_tables: ['public.t'] });
    one.start();
    await settle(one, db.client);
    await db.client.query("DELETE FROM t WHERE a % 1000 = 5; UPDATE t SET v = 'unseen' WHERE a % 1000 = 6");
    await settle(one, db.client);
    expect(rows()).toBe(before);
    await one.stop();
    one.configure(QUICK);
    one.start();
    await expectWhole(one, db);
  });

  it('for an order, and that is left out: the order ends with the reason', async () => {
    const { one, rows } = await begun({ snapshot: 'never' });
    one.start();
    one.orders.push({ id: 'snap_1', tables: ['public.t'], where: null });
    await eventually('it is begun', () => rows() > 0);
    await one.stop();
    one.configure({ ...QUICK, snapshot: 'never', exclude_tables: ['public.t'] });
    one.start();
    await eventually('the order is over', () => one.closed.length > 0);
    expect(one.closed).toEqual([{ id: 'snap_1', failed: expect.stringContaining('left out of the tables') as string }]);
  });

  it('and that was out of the publication for a while: killed between the notebook that says so and the position after it', async () => {
    const { db, one, rows } = await begun();
    const publication = `planasonix_${db.name}`;
    let [isOut, isNoted] = [false, false];
    one.start({
      beforeEach: async ({ partition, position }) => {
        if (isNoted) throw new Error('killed');
        isNoted = isOut && partition === NOTEBOOK && position?.includes('"missed"') === true;
        if (isOut || rows() === 0) return;
        isOut = true;
        await db.client.query(`ALTER PUBLICATION ${publication} DROP TABLE t`);
        await db.client.query('DELETE FROM t WHERE a % 1000 = 5');
        await db.client.query(`ALTER PUBLICATION ${publication} ADD TABLE t`);
        one.ordersChanged();
      },
    });
    expect(await one.outcome()).toMatchObject({ message: 'killed' });
    expect(one.positions.get('')).not.toContain('"strays"');
    one.configure(QUICK);
    one.start();
    await expectWhole(one, db);
  });
});

describe('a key that only the catalog tells, from the first change on', () => {
  it.each([
    ['with REPLICA IDENTITY FULL', 'a', 'b', 'FULL', '{"b":'],
    ['with REPLICA IDENTITY NOTHING', 'a', 'b', 'NOTHING', '{"b":'],
    ['the order of its columns', 'a, b', 'b, a', 'DEFAULT', '{"b":'],
  ])('%s', async (_, from, to, identity, begins) => {
    const db =
      await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE t (a int NOT NULL, b int NOT NULL, v text, CONSTRAINT t_pkey PRIMARY KEY (${from}));
      INSERT INTO t SELECT i, i + 1000, 'first' FROM generate_series(1, 50) i`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await settle(one, db.client);
    await db.client.query(
      `ALTER TABLE t REPLICA IDENTITY ${identity}, DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (${to})`,
    );
    await db.client.query("INSERT INTO t VALUES (1001, 1, 'by the other key')");
    // Without an identity it is refused.
    await db.client.query('ALTER TABLE t REPLICA IDENTITY DEFAULT');
    one.ordersChanged();
    const keys = () => [...one.fold().keys()].filter((at) => at.startsWith('public.t '));
    const anew = () => keys().length === 51 && keys().every((at) => at.startsWith(`public.t ${begins}`));
    await eventually('it is read anew', anew);
    const keyOf = ({ data, partitionkey }: ChangeEvent) => (data.includes('by the other key') ? [partitionkey] : []);
    expect(one.events.flatMap(keyOf).filter((key) => !key.startsWith(begins))).toEqual([]);
  });
});

it('of rows alone an order goes on where its table gets another key before its turn', async () => {
  const db =
    await fresh(`CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL UNIQUE, v text); INSERT INTO t SELECT i, i + 1000, 'first' FROM generate_series(1, 50) i;
    CREATE TABLE behind_it (id int PRIMARY KEY); INSERT INTO behind_it SELECT generate_series(1, 100000)`);
  const one = reading(db, { ...CONFIG, snapshot: 'only' });
  one.start();
  await eventually('its rows are there', () => one.events.some(({ subject }) => subject === 'public.t'));
  await db.client.query(REKEY);
  one.orders.push({ id: 'snap_1', tables: ['public.t'], where: null });
  one.ordersChanged();
  await eventually('the order is over', () => one.closed.length > 0);
  expect(await one.outcome()).toBeNull();
  expect(one.closed[0]?.failed).toBeNull();
  await expectEqual(one, db.client, 'public.t', "'b', b");
});
