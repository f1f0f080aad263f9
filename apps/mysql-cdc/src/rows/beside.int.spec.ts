import { systemClock, type Clock } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import type { LogPlace } from '../server.js';
import { LEGS } from '../trial/legs.js';
import {
  expectEqual,
  expectNeverBack,
  expectUniqueIds,
  fill,
  killedAfterRows,
  killedAt,
  MARKS,
  rowsOf,
  serverUnderTest,
  settle,
  untilHeld,
} from './server-under-test.js';

jest.setTimeout(120_000);

const ROWS = 70_000;
/** When a row was written, by the server's clock once its lock is held: per key, versions never go back. */
const VERSION = 'CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS UNSIGNED)';

/** Writes until told to stop: updates, keys that change, deletes, inserts, rollbacks. */
async function write(session: Connection, table: string, seed: number, stop: () => boolean): Promise<void> {
  let state = seed;
  const next = (n: number) => (state = (state * 48_271) % 2_147_483_647) % n;
  while (!stop()) {
    const id = (1 + next(ROWS)) * 10;
    const sql = [
      `UPDATE ${table} SET v = ${VERSION}, note = 'u' WHERE id = ${id}`,
      `UPDATE ${table} SET v = ${VERSION}, note = 'range' WHERE id BETWEEN ${id} AND ${id + 300}`,
      `UPDATE ${table} SET v = ${VERSION}, id = id + ${1 + next(7)} WHERE id = ${id}`,
      `DELETE FROM ${table} WHERE id = ${id}`,
      `INSERT IGNORE INTO ${table} VALUES (${ROWS * 10 + 100 + next(100_000_000)}, ${VERSION}, 'new')`,
    ][next(5)]!;
    try {
      await session.query(`START TRANSACTION; ${sql}; ${next(6) === 0 ? 'ROLLBACK' : 'COMMIT'}`);
    } catch {
      await session.query('ROLLBACK');
    }
  }
}

describe.each(LEGS)('rows beside the log of $name', (leg) => {
  const one = serverUnderTest(leg);
  let database = '';
  let databases = 0;

  beforeAll(() => one.db.query(MARKS));

  /** A table of its own for each test. */
  async function ledger(rows = ROWS): Promise<string> {
    database = `b${++databases}`;
    await one.db.query(`CREATE DATABASE ${database};
      CREATE TABLE ${database}.ledger (id BIGINT PRIMARY KEY, v BIGINT NOT NULL, note VARCHAR(20))`);
    await fill(one.db, `${database}.ledger`, rows, (n) => `${n * 10}, 0, 'first'`);
    return `${database}.ledger`;
  }
  const config = (more: object = {}) => ({ tables: [`${database}.*`, 'm.marks'], ...more });

  it('while sessions write and the reader is killed again and again: nothing stale, nothing lost, never from zero (trap 13)', async () => {
    const table = await ledger();
    const stream = one.stream(config());
    let writing = true;
    const writers = [1, 2, 3].map(async (seed) => write(await one.session(), table, seed * 7919, () => !writing));
    for (let kill = 0; kill < 4; kill++) {
      stream.start(null, killedAfterRows(stream, 3000 + kill * 1000));
      expect(String(await stream.outcome())).toContain('killed');
    }
    expect(stream.positions.get('')).toContain('"after":["');
    stream.start();
    await stream.begun(90_000).finally(() => (writing = false));
    await Promise.all(writers);
    await settle(stream, one.db);
    expect([stream.rowsOver, stream.progress()?.state]).toEqual([false, 'done']);
    // Whoever told of them before may have been killed with the last row (Invariant 7).
    await stream.stop();
    stream.start();
    await eventually('nothing is left', () => stream.rowsOver);
    expectNeverBack(stream, table);
    expectUniqueIds(stream);
    await expectEqual(stream, one.db, table, 'id, v, note');
    expect(rowsOf(stream, table).length).toBeLessThanOrEqual(ROWS);
  });

  it('that are broken off at one batch or another go on at the row behind it: each comes once', async () => {
    const table = await ledger();
    const stream = one.stream(config({ snapshot_readers: 2 }));
    for (const batches of [1, 2, 3, 4, 5, 8, 14]) {
      stream.start(null, killedAt(batches));
      await stream.outcome();
    }
    stream.start();
    await stream.begun();
    const ids = rowsOf(stream, table).map(({ after }) => after!['id']);
    expect([ids.length, new Set(ids).size]).toEqual([ROWS, ROWS]);
    expectUniqueIds(stream);
  });

  it('keys that move from behind the readers to before them, and back, are there once', async () => {
    const table = await ledger(30_000);
    const stream = one.stream(config({ snapshot_readers: 1 }));
    let moved = false;
    stream.start(null, async () => {
      if (moved || stream.events.length < 10_000) return;
      moved = true;
      await one.db.query(
        `UPDATE ${table} SET id = id - 299999, v = 1 WHERE id > 299000; UPDATE ${table} SET id = id + 400000, v = 1 WHERE id BETWEEN 10 AND 2000 AND id % 10 = 0`,
      );
    });
    await stream.begun();
    await settle(stream, one.db);
    expect(moved).toBe(true);
    await expectEqual(stream, one.db, table, 'id, v, note');
  });

  it('a commit that is in the log and not visible yet is not overtaken by the row of before (trap 13)', async () => {
    const table = await ledger(5000);
    const stream = one.stream(config());
    stream.start();
    await stream.begun();
    const writer = await one.session();
    await one.holdCommits();
    const commit = writer.query(`UPDATE ${table} SET v = ${VERSION}, note = 'held back' WHERE id = 1000`);
    await untilHeld(one);
    await stream.seen('held back');
    const [[row]] = (await one.db.query(`SELECT note FROM ${table} WHERE id = 1000`)) as unknown as [[object]];
    expect(row).toEqual({ note: 'first' });
    stream.order('snap_held', [table]);
    await eventually('it says what it waits for', () =>
      stream.progress()?.tables?.some((of) => of.note?.includes('not visible')),
    );
    expect(rowsOf(stream, table)).toHaveLength(5000);
    await one.letCommits();
    await commit;
    expect(await stream.ended('snap_held')).toBeNull();
    expectNeverBack(stream, table);
    expect(rowsOf(stream, table)).toHaveLength(10_000);
    await expectEqual(stream, one.db, table, 'id, v, note');
  });

  it('nor is one that a position says was read, which somebody has set (trap 13)', async () => {
    const table = await ledger(100);
    const stream = one.stream(config());
    stream.start();
    await stream.begun();
    const writer = await one.session();
    await one.holdCommits();
    const commit = writer.query(`UPDATE ${table} SET v = ${VERSION}, note = 'held back' WHERE id = 10`);
    await untilHeld(one);
    await stream.seen('held back');
    await stream.stop();
    const { file, pos } = JSON.parse(stream.positions.get('')!) as LogPlace;
    for (const [name, text] of await stream.settle({ file, pos })) stream.positions.set(name, text);
    stream.order('snap_set', [table]);
    stream.start();
    await eventually('it says what it waits for', () => {
      if (stream.failure !== null) throw stream.failure;
      return rowsOf(stream, table).length > 100 || stream.progress()?.tables?.some((of) => of.note?.includes('not visible')); // prettier-ignore
    });
    expect(rowsOf(stream, table)).toHaveLength(100);
    await one.letCommits();
    await commit;
    expect(await stream.ended('snap_set')).toBeNull();
    expectNeverBack(stream, table);
    await expectEqual(stream, one.db, table, 'id, v, note');
  });

  it('a commit that is held back when reading begins is lost neither from the rows nor from the changes (traps 12, 13)', async () => {
    const table = await ledger(100);
    const writer = await one.session();
    await one.holdCommits();
    const commit = writer.query(`INSERT INTO ${table} VALUES (7, 1, 'held back')`);
    await untilHeld(one);
    const stream = one.stream(config());
    stream.start();
    await eventually('it has begun', () => stream.positions.get('')?.includes('"phase":"stream"'));
    await eventually('rows wait, or are there', () => {
      if (stream.failure !== null) throw stream.failure;
      return stream.events.length > 0 || stream.progress()?.tables?.some((of) => of.note?.includes('not visible'));
    });
    await one.letCommits();
    await commit;
    await stream.begun();
    await settle(stream, one.db);
    await expectEqual(stream, one.db, table, 'id, v, note');
  });

  it('a table that is emptied while its rows are on their way has none of them', async () => {
    const table = await ledger(7000);
    const stream = one.stream(config({ snapshot_readers: 1 }));
    let emptied = false;
    stream.start(null, async () => {
      if (emptied || stream.events.length < 1000) return;
      emptied = true;
      await one.db.query(`TRUNCATE TABLE ${table}; INSERT INTO ${table} VALUES (5, 1, 'after')`);
    });
    await stream.begun();
    await settle(stream, one.db);
    expect(emptied).toBe(true);
    await expectEqual(stream, one.db, table, 'id, v, note');
  });

  it('a table whose key changes while its rows are read begins again by the new one', async () => {
    const table = await ledger(25_000);
    await one.db.query(`ALTER TABLE ${table} ADD COLUMN n BIGINT NOT NULL DEFAULT 0; UPDATE ${table} SET n = -id`);
    const stream = one.stream(config({ snapshot_readers: 1, snapshot_max_rows_per_second: 4000 }));
    // 2,000 rows at once, and half a second for them, until the key has changed; then they take no time.
    let changed = false;
    let ahead = 0;
    const sleep: Clock['sleep'] = (ms, signal) => {
      if (!changed || ms <= 100 || ms > 500) return systemClock.sleep(ms, signal);
      ahead += ms;
      return Promise.resolve(true);
    };
    stream.clock = { ...systemClock, monotonic: () => systemClock.monotonic() + ahead, sleep };
    stream.start(null, async () => {
      if (changed || stream.events.length < 2000) return;
      await one.db.query(`ALTER TABLE ${table} DROP PRIMARY KEY, ADD PRIMARY KEY (n)`);
      changed = true;
    });
    await stream.begun();
    await settle(stream, one.db);
    const keys = stream.events.map(({ partitionkey }) => partitionkey);
    const before = keys.filter((key) => key.includes('"id":')).length;
    expect(before).toBeGreaterThanOrEqual(2000);
    expect(before).toBeLessThan(25_000);
    expect(new Set(keys.filter((key) => key.includes('"n":'))).size).toBe(25_000);
    expectUniqueIds(stream);
  });

  it('without a key are read as a whole while the log stands; broken off, it says so and begins again', async () => {
    await ledger(100);
    await one.db.query(`CREATE TABLE ${database}.heap (a INT, b VARCHAR(20))`);
    await fill(one.db, `${database}.heap`, 20_000, (n) => `${n % 100}, 'r${n}'`);
    const stream = one.stream(config());
    let writing = true;
    const writer = (async () => {
      const session = await one.session();
      for (let i = 0; writing; i++) await session.query(`INSERT INTO ${database}.heap VALUES (1, 'live ${i}')`);
    })();
    for (const batches of [6, 11, 17]) {
      stream.start(null, killedAt(batches));
      await stream.outcome();
    }
    const notes = new Set<unknown>();
    stream.start(null, () => {
      if (stream.events.at(-1)?.id.includes('-w-') !== true) return;
      for (const { note } of stream.progress()!.tables!) notes.add(note);
    });
    await stream.begun().finally(() => (writing = false));
    await writer;
    expect([...notes].join()).toContain('no key');
    await settle(stream, one.db);
    const [rows] = await one.db.query(`SELECT b FROM ${database}.heap`);
    const expected = (rows as { b: string }[]).map(({ b }) => b);
    let got: string[] = [];
    for (const event of stream.events.filter(({ subject }) => subject === `${database}.heap`)) {
      const { op, after } = JSON.parse(event.data.toString()) as { op: string; after: { b: string } | null };
      if (op === 't') got = [];
      else got.push(after!.b);
    }
    expect(got.sort()).toEqual(expected.sort());
    await expectEqual(stream, one.db, `${database}.ledger`, 'id, v, note');
  });
});
