import { eventually } from '@planasonix/testing';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { LEGS } from '../trial/legs.js';
import type { TrialStream } from '../trial/trial-stream.js';
import {
  expectEqual,
  expectUniqueIds,
  fill,
  heldAt,
  killedAfterRows,
  killedAt,
  MARKS,
  rowsOf,
  serverUnderTest,
  settle,
} from './server-under-test.js';

jest.setTimeout(120_000);

const ROWS = 12_000;
const COLUMNS = 'id, v, note';

/** Writes to these tables until told to stop, whatever they are by then. */
async function write(session: Connection, tables: readonly string[], stop: () => boolean): Promise<void> {
  let state = 7919;
  const next = (n: number): number => (state = (state * 48_271) % 2_147_483_647) % n;
  while (!stop()) {
    const table = tables[next(tables.length)]!;
    const id = 1 + next(ROWS);
    const sql = [
      `UPDATE ${table} SET v = v + 1, note = 'u' WHERE id = ${id}`,
      `UPDATE ${table} SET v = v + 1 WHERE id BETWEEN ${id} AND ${id + 50}`,
      `DELETE FROM ${table} WHERE id = ${id}`,
      `REPLACE INTO ${table} (id, v, note) VALUES (${ROWS + next(100_000)}, 0, 'new')`,
    ][next(4)]!;
    await session.query(sql);
  }
}

describe.each(LEGS)('a table that gets the name of another at $name', (leg) => {
  const one = serverUnderTest(leg);
  let database = '';
  let databases = 0;

  beforeAll(() => one.db.query(MARKS));

  /** @returns the table of `t`, and what the sessions of the test have for their database */
  async function ledger(rows = ROWS): Promise<string> {
    database = `n${++databases}`;
    await one.db.query(`CREATE DATABASE ${database}; USE ${database};
      CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT NOT NULL, note VARCHAR(20))`);
    if (rows > 0) await fill(one.db, 't', rows, (n) => `${n}, 0, 'first'`);
    return `${database}.t`;
  }

  /** How many rows a reader has of the test's tables. */
  const rowsHeld = (stream: TrialStream): number =>
    [...stream.fold().keys()].filter((key) => key.startsWith(`${database}.`)).length;

  async function session(): Promise<Connection> {
    const made = await one.session();
    await made.query(`USE ${database}`);
    return made;
  }

  async function beside<T>(tables: readonly string[], work: () => Promise<T>): Promise<T> {
    let writing = true;
    const writers = [1, 2].map(async () => write(await session(), tables, () => !writing));
    const done = await work().finally(() => (writing = false));
    await Promise.all(writers);
    return done;
  }

  /** What was written is in the log, and so are all rows that were to be read. */
  async function whole(stream: TrialStream): Promise<void> {
    await settle(stream, one.db);
    await stream.begun(60_000);
    expectUniqueIds(stream);
  }

  /** As gh-ost does it: who renames waits for a lock, behind which no change of before is left. */
  async function ghost(): Promise<void> {
    const [locks, renames] = [await session(), await session()];
    await locks.query(`CREATE TABLE _t_gho LIKE t; ALTER TABLE _t_gho ADD COLUMN more INT NOT NULL DEFAULT 5;
      INSERT INTO _t_gho (id, v, note) SELECT id, v, note FROM t WHERE id % 3 > 0;
      INSERT INTO _t_gho VALUES (-1, 1, 'of the other', 6); CREATE TABLE _t_del (id INT PRIMARY KEY);
      LOCK TABLES t WRITE, _t_del WRITE`);
    const cutOver = renames.query('RENAME TABLE t TO _t_del, _t_gho TO t');
    await eventually('the rename waits', async () => {
      const [rows] = await one.db.query<RowDataPacket[]>('SHOW FULL PROCESSLIST');
      return rows.some(
        (row) => /metadata lock/.test(String(row['State'])) && String(row['Info']).startsWith('RENAME TABLE t'),
      );
    });
    await locks.query('DROP TABLE _t_del; UNLOCK TABLES');
    await cutOver;
    await locks.query('DROP TABLE _t_del');
  }

  /** As pt-online-schema-change does it: triggers take every change to the table that is to come. */
  async function triggers(): Promise<void> {
    const own = await session();
    await own.query(`CREATE TABLE _t_new LIKE t; ALTER TABLE _t_new ADD COLUMN more INT NOT NULL DEFAULT 5;
      CREATE TRIGGER osc_del AFTER DELETE ON t FOR EACH ROW DELETE IGNORE FROM _t_new WHERE id = OLD.id;
      CREATE TRIGGER osc_upd AFTER UPDATE ON t FOR EACH ROW REPLACE INTO _t_new (id, v, note) VALUES (NEW.id, NEW.v, NEW.note);
      CREATE TRIGGER osc_ins AFTER INSERT ON t FOR EACH ROW REPLACE INTO _t_new (id, v, note) VALUES (NEW.id, NEW.v, NEW.note)`);
    for (let from = 0; from < ROWS; from += 1000) {
      const copy = `INSERT IGNORE INTO _t_new (id, v, note) SELECT id, v, note FROM t WHERE id > ${from} AND id <= ${from + 1000} LOCK IN SHARE MODE`;
      await eventually('a part is copied', () => own.query(copy).catch(() => false));
    }
    await own.query('RENAME TABLE t TO _t_old, _t_new TO t');
    await own.query('DROP TABLE _t_old');
  }

  it.each([
    ['gh-ost, of one table', ghost, ['t'], 'initial'],
    ['gh-ost, of all tables', ghost, ['*'], 'never'],
    ['pt-online-schema-change, of one table', triggers, ['t'], 'never'],
    ['pt-online-schema-change, of all tables', triggers, ['*'], 'initial'],
  ])('is read on beside writers: %s', async (_, migrate, tables, snapshot) => {
    const table = await ledger();
    const stream = one.stream({ tables: [...tables.map((name) => `${database}.${name}`), 'm.marks'], snapshot });
    stream.start();
    await stream.begun();
    await beside(['t'], async () => {
      await migrate();
      await stream.seen('"op":"t"');
    });
    await whole(stream);
    await expectEqual(stream, one.db, table, `${COLUMNS}, more`);
    expect(rowsOf(stream, table).length).toBeGreaterThan(ROWS / 2);
    expect(stream.warnings.some(({ message }) => message.includes('read again'))).toBe(true);
    expect([...stream.fold().keys()].filter((key) => /_t_/.test(key))).toEqual([]);
  });

  it('is read again by whoever goes on from between the noting and the position', async () => {
    const table = await ledger(500);
    const stream = one.stream({ tables: [table, 'm.marks'], snapshot: 'never' });
    const noted = (): boolean => stream.positions.get('#asked')?.includes('"renewed":true') === true;
    stream.start(null, () => {
      if (noted()) throw new Error('killed');
    });
    await stream.begun();
    await one.db.query(`CREATE TABLE g LIKE t; INSERT INTO g VALUES (1, 1, 'other'), (501, 1, 'other');
      UPDATE t SET v = 7 WHERE id = 2; RENAME TABLE t TO old, g TO t`);
    expect(String(await stream.outcome())).toContain('killed');
    expect(stream.data().map(({ op }) => op)).not.toContain('t');
    await one.db.query(`INSERT INTO t VALUES (2, 2, 'later')`);
    stream.start();
    await whole(stream);
    await expectEqual(stream, one.db, table, COLUMNS);
    expect(stream.data().filter(({ op }) => op === 't')).toHaveLength(1);
    await stream.stop();
    stream.start();
    await eventually('nothing is left', () => stream.rowsOver);
  });

  it('is read again also where a config of before did not ask for it, and nobody saw its rows yet', async () => {
    const table = await ledger(500);
    const stream = one.stream({ tables: ['m.marks'], snapshot: 'never' });
    stream.start();
    await stream.begun();
    await settle(stream, one.db);
    await stream.stop();
    stream.config = { ...stream.config, tables: [table, 'm.marks'] };
    stream.start(null, () => {
      if (stream.data().some(({ op }) => op === 't')) throw new Error('killed');
    });
    await settle(stream, one.db);
    await one.db.query(
      "CREATE TABLE g LIKE t; INSERT INTO g VALUES (1, 1, 'other'), (501, 1, 'other'); RENAME TABLE t TO old, g TO t",
    );
    expect(String(await stream.outcome())).toContain('killed');
    stream.start();
    await whole(stream);
    await expectEqual(stream, one.db, table, COLUMNS);
    const { tables_total: total, tables_done: done } = stream.progress()!;
    expect([total >= done, done >= 0]).toEqual([true, true]);
  });

  it('is told in the form that it had when its rows were written, also between the noting and the position', async () => {
    const table = await ledger(0);
    const json = leg.type === 'mariadb' ? 'LONGTEXT CHECK (json_valid(j))' : 'JSON';
    await one.db.query(`DROP TABLE t; CREATE TABLE t (id INT PRIMARY KEY, j LONGTEXT)`);
    const stream = one.stream({ tables: [table, 'm.marks'], snapshot: 'never' });
    const noted = (): boolean => stream.positions.get('#asked')?.includes('"renewed":true') === true;
    stream.start(null, () => {
      if (noted()) throw new Error('killed');
    });
    await stream.begun();
    await one.db.query(`CREATE TABLE g (id INT PRIMARY KEY, j ${json}); INSERT INTO g VALUES (2, '[2]');
      INSERT INTO t VALUES (1, '[1]'); RENAME TABLE t TO old, g TO t`);
    expect(String(await stream.outcome())).toContain('killed');
    stream.start();
    await whole(stream);
    await one.db.query(`INSERT INTO t VALUES (3, '[3]')`);
    await stream.seen('"id":3');
    const told = stream.data().flatMap(({ after }) => (after?.['id'] === undefined ? [] : [after]));
    expect(told).toEqual([
      { id: 1, j: '[1]' },
      { id: 2, j: [2] },
      { id: 3, j: [3] },
    ]);
  });

  it('while its rows are read, again and again, with kills, and an order on its way', async () => {
    const table = await ledger();
    const stream = one.stream({ tables: [table, 'm.marks'], snapshot_readers: 2 });
    const swap = (n: number) =>
      one.db.query(`CREATE TABLE g LIKE t; INSERT INTO g SELECT id + ${n}, v + 1000, 'g${n}' FROM t;
        RENAME TABLE t TO old${n}, g TO t`);
    stream.start(null, killedAfterRows(stream, 3000));
    expect(String(await stream.outcome())).toContain('killed');
    stream.order('snap_of', [table], 'id > 5000');
    await beside(['t'], async () => {
      for (let n = 1; n <= 4; n++) {
        // Where the rows of before are still on their way, and where the stream rests.
        if (n % 2 === 1) await swap(n);
        let swapped = n % 2 === 1;
        const kill = killedAt(5 + 3 * n);
        const from = stream.events.length;
        stream.start(null, async () => {
          if (!swapped && stream.events.length > from + 1500) {
            swapped = true;
            await swap(n);
          }
          if (swapped) kill();
        });
        expect(String(await stream.outcome())).toContain('killed');
      }
      stream.start();
      await stream.ended('snap_of', 60_000);
    });
    await whole(stream);
    await expectEqual(stream, one.db, table, COLUMNS);
  });

  it('a second time while the rows of the first are held up', async () => {
    const table = await ledger(3000);
    const stream = one.stream({ tables: [table, 'm.marks'], snapshot: 'never' });
    const [held, goOn] = heldAt(() => rowsOf(stream, table).length > 0);
    stream.start(null, held);
    await stream.begun();
    await one.db.query(`CREATE TABLE g LIKE t; INSERT INTO g SELECT id, 1, 'g' FROM t; RENAME TABLE t TO old, g TO t`);
    await eventually('rows come', () => rowsOf(stream, table).length > 0);
    await one.db.query(
      `CREATE TABLE h LIKE t; INSERT INTO h VALUES (1, 2, 'h'), (9000, 2, 'h'); RENAME TABLE t TO older, h TO t`,
    );
    goOn();
    await whole(stream);
    await expectEqual(stream, one.db, table, COLUMNS);
    expect(rowsHeld(stream)).toBe(2);
  });

  it('and gives its own to that one: two tables that are read take turns, beside writers', async () => {
    const a = await ledger(4000);
    await one.db.query('CREATE TABLE b LIKE t; ALTER TABLE b ADD COLUMN only_b INT');
    await fill(one.db, 'b', 300, (n) => `${n * 3}, 5, 'of b', ${n}`);
    const stream = one.stream({ tables: [`${database}.*`, 'm.marks'], snapshot_readers: 1 });
    stream.start();
    await stream.begun();
    const b = `${database}.b`;
    await beside(['t', 'b'], async () => {
      for (let turn = 0; turn < 3; turn++) {
        await one.db.query('RENAME TABLE t TO t_then, b TO t, t_then TO b');
        if (turn === 1) await stream.stop();
        if (turn === 1) stream.start();
      }
      await eventually('both were emptied', () => stream.data().filter(({ op }) => op === 't').length >= 6);
    });
    await whole(stream);
    await expectEqual(stream, one.db, a, `${COLUMNS}, only_b`);
    await expectEqual(stream, one.db, b, COLUMNS);
    const emptied = stream.data().flatMap(({ op, source }) => (op === 't' ? [source['table']] : []));
    expect(emptied.filter((name) => name === 't_then')).toEqual([]);
  });

  it('does not show what exclude_columns keeps back under its name of before', async () => {
    const table = await ledger(20);
    const stream = one.stream({ tables: [`${database}.*`, 'm.marks'], exclude_columns: { [table]: ['NOTE'] } });
    stream.start();
    await stream.begun();
    await one.db.query('CREATE TABLE g LIKE t; INSERT INTO g VALUES (1, 1, NULL); RENAME TABLE t TO u, g TO t');
    const failure = await stream.outcome();
    expect(failure).toMatchObject({ code: 'config_invalid' });
    expect(String(failure)).toContain('note');
    stream.config = { ...stream.config, exclude_columns: { [table]: ['note'], [`${database}.u`]: ['note'] } };
    stream.start();
    await whole(stream);
    expect(rowsHeld(stream)).toBe(21);
    expect(stream.data().filter(({ after }) => JSON.stringify(after).includes('first'))).toEqual([]);
  });

  it('without a key is emptied and read as a whole', async () => {
    const table = await ledger(0);
    await one.db.query(`CREATE TABLE heap (a INT, b VARCHAR(20)); INSERT INTO heap VALUES (1, 'x'), (1, 'x')`);
    const stream = one.stream({ tables: [table, `${database}.heap`, 'm.marks'] });
    stream.start();
    await stream.begun();
    await beside(['t'], async () => {
      await one.db.query(`CREATE TABLE g LIKE heap; INSERT INTO g VALUES (2, 'y'), (2, 'y'), (3, 'z');
        RENAME TABLE heap TO old, g TO heap; INSERT INTO heap VALUES (4, 'later')`);
      await stream.seen('later');
    });
    await whole(stream);
    await one.db.query(`INSERT INTO heap VALUES (5, 'last')`);
    await stream.seen('last');
    let got: unknown[] = [];
    for (const { op, after, source } of stream.data())
      if (source['table'] === 'heap') got = op === 't' ? [] : [...got, after!['b']];
    expect(got.sort()).toEqual(['last', 'later', 'y', 'y', 'z']);
  });

  it('and is gone itself leaves nothing behind, and comes back with all of its rows', async () => {
    const table = await ledger(50);
    const stream = one.stream({ tables: [`${database}.*`, 'm.marks'], exclude_tables: [`${database}.away`] });
    stream.start();
    await stream.begun();
    await one.db.query('RENAME TABLE t TO away; INSERT INTO away VALUES (51, 1, NULL)');
    await whole(stream);
    expect(rowsHeld(stream)).toBe(0);
    expect(stream.data().filter(({ op }) => op === 't')).toHaveLength(1);
    await one.db.query('ALTER TABLE away ADD COLUMN x INT, RENAME TO t; INSERT INTO t VALUES (52, 1, NULL, 2)');
    await whole(stream);
    await expectEqual(stream, one.db, table, `${COLUMNS}, x`);
    await one.db.query('RENAME TABLE t TO u, u TO t');
    await whole(stream);
    expect(stream.data().filter(({ op }) => op === 't')).toHaveLength(2);
    expect(rowsHeld(stream)).toBe(52);
    await one.db.query(`RENAME TABLE t TO u; CREATE TABLE v (id INT PRIMARY KEY); INSERT INTO v VALUES (1);
      CREATE TABLE w (id INT)`);
    await stream.seen('"table":"v"');
    await one.db.query(`DROP DATABASE ${database}`);
    await settle(stream, one.db);
    expect(rowsHeld(stream)).toBe(0);
  });
});
