import { eventually } from '@planasonix/testing';
import type { TrialStream } from '../trial/trial-stream.js';
import { NOTEBOOK } from './rows-state.js';
import { expectEqual, expectUniqueIds, settle, sourceUnderTest, type Database } from './source-under-test.js';

jest.setTimeout(180_000);

const { fresh, reading } = sourceUnderTest();

const ROWS = 50_000;
const T = `CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL UNIQUE, v text);
  INSERT INTO t SELECT i, i + 1000000, 'first' FROM generate_series(1, ${ROWS}) i; ANALYZE`;
const KEY = (column: string): string => `ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (${column})`;
const CONFIG = { tables: ['public.*'], snapshot_readers: 1 };

const isBegun = (one: TrialStream): boolean => one.events.some(({ subject }) => subject === 'public.t');
const keysOf = (one: TrialStream, column: string): number =>
  one.events.filter(({ subject, partitionkey }) => subject === 'public.t' && partitionkey.includes(`"${column}"`))
    .length;

/** Goes on as an owner does: the server may break its sender off for a key that goes while it is being looked up (XX000). */
function begin(one: TrialStream, options: Parameters<TrialStream['start']>[0] = {}): void {
  one.start(options);
  void one.outcome().then(() => {
    if (one.failure?.recourse === 'retry') begin(one, options);
  });
}

/** Once, before the first batch for which `when` says so. */
const once = (when: () => boolean, act: () => Promise<unknown>) => {
  let done = false;
  return async (): Promise<void> => {
    if (done || !when()) return;
    done = true;
    await act();
  };
};

async function expectWhole(one: TrialStream, db: Database): Promise<void> {
  await one.rowsDone(60_000);
  await settle(one, db.client);
  await one.rowsDone(60_000);
  await expectEqual(one, db.client, 'public.t', "'a', a");
  expectUniqueIds(one);
}

/** Changes that came by the key of meanwhile are rows of their own to readers, which nothing else would take away. */
describe('a table whose key becomes another one amid its rows, and is the old one again when they are over', () => {
  it('keeps nothing of what came by the key of meanwhile', async () => {
    const db = await fresh(T);
    const one = reading(db, CONFIG);
    let between = 0;
    const beforeEach = once(
      () => isBegun(one),
      async () => {
        await db.client.query(KEY('b'));
        await db.client.query("UPDATE t SET v = 'by the other key' WHERE a <= 5 OR a > 49990");
        await db.client.query(KEY('a'));
      },
    );
    begin(one, {
      beforeEach: async () => {
        between = keysOf(one, 'b');
        await beforeEach();
      },
    });
    await expectWhole(one, db);
    expect(between).toBeGreaterThan(0);
  });

  it('nor where its turn had not come', async () => {
    const db = await fresh(
      `CREATE TABLE a_first (id int PRIMARY KEY); INSERT INTO a_first SELECT generate_series(1, 1000000); ${T}`,
    );
    const one = reading(db, { ...CONFIG, snapshot_max_rows_per_second: 10_000 });
    begin(one);
    await eventually('the stream is read', () => one.connected);
    await settle(one, db.client);
    expect(isBegun(one)).toBe(false);
    await db.client.query(KEY('b'));
    await db.client.query("UPDATE t SET v = 'by the other key' WHERE a <= 5");
    await eventually('it came by the other key', () => keysOf(one, 'b') > 0);
    await db.client.query(KEY('a'));
    await db.client.query('DROP TABLE a_first');
    await expectWhole(one, db);
  });

  it('nor where readers of rows meet it, and the stream says nothing until it has the old one again', async () => {
    const db = await fresh(T);
    const one = reading(db, { ...CONFIG, snapshot_max_rows_per_second: 15_000 });
    begin(one);
    await eventually('it is begun', () => isBegun(one));
    await db.client.query(KEY('b'));
    await eventually('rows came by the other key', () => keysOf(one, 'b') > 0);
    await db.client.query(KEY('a'));
    await db.client.query("UPDATE t SET v = 'by the old key again' WHERE a <= 5");
    await db.client.query('DELETE FROM t WHERE a BETWEEN 6 AND 9');
    await expectWhole(one, db);
  });

  it('nor where the reader is killed once the change is durable, before the notebook says what is missing', async () => {
    const db = await fresh(T);
    const one = reading(db, CONFIG);
    one.start({
      beforeEach: () => {
        if (isBegun(one)) throw new Error('killed');
      },
    });
    expect(await one.outcome()).toMatchObject({ message: 'killed' });
    await db.client.query(KEY('b'));
    await db.client.query("UPDATE t SET v = 'by the other key' WHERE a <= 5");
    await db.client.query(KEY('a'));
    for (let a = 10; a < 60; a++) await db.client.query(`UPDATE t SET v = 'by the old key again' WHERE a = ${a}`);
    // Nothing is noted before the stream has passed what was there when it was opened.
    one.start({
      beforeEach: () => {
        if (keysOf(one, 'b') > 0) throw new Error('killed');
      },
    });
    expect(await one.outcome()).toMatchObject({ message: 'killed' });
    expect(one.positions.get('')).toContain('"strays"');
    expect(one.positions.get(NOTEBOOK)).not.toContain('"missed"');
    begin(one);
    await expectWhole(one, db);
  });
});
