import { eventually } from '@planasonix/testing';
import type { Client } from 'pg';
import {
  LEDGER,
  ROWS,
  expectEqual,
  expectNeverBack,
  expectUniqueIds,
  settle,
  sourceUnderTest,
} from './source-under-test.js';

jest.setTimeout(180_000);

const { fresh, reading, system, holdCommits } = sourceUnderTest();

/** Writes until told to stop: updates that leave the big value alone, keys that change, deletes, inserts, rollbacks. */
async function write(session: Client, seed: number, stop: () => boolean): Promise<void> {
  let state = seed;
  const next = (n: number) => (state = (state * 48_271) % 2_147_483_647) % n;
  while (!stop()) {
    const id = 1 + next(ROWS);
    const some = `id = (SELECT id FROM ledger WHERE id >= ${id * 10} ORDER BY id LIMIT 1)`;
    const sql = [
      `UPDATE ledger SET v = nextval('versions'), note = 'u' WHERE ${some}`,
      `UPDATE ledger SET v = nextval('versions'), id = id + 1 + ${next(7)} WHERE ${some} AND id % 10 = 0`,
      `DELETE FROM ledger WHERE ${some}`,
      `INSERT INTO ledger VALUES (${ROWS * 10 + 100 + next(100_000_000)}, nextval('versions'), 'new', repeat('z', 3000)) ON CONFLICT DO NOTHING`,
      `UPDATE ledger SET v = nextval('versions'), big = repeat('y', 2500) WHERE ${some}`,
    ][next(5)]!;
    try {
      await session.query('BEGIN');
      await session.query(sql);
      await session.query(next(6) === 0 ? 'ROLLBACK' : 'COMMIT');
    } catch {
      await session.query('ROLLBACK');
    }
  }
}

describe('rows beside the stream', () => {
  it('come first where they are read quickly: what is written meanwhile follows, and is said once', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE quick (id int PRIMARY KEY, v int);
      INSERT INTO quick SELECT i, 0 FROM generate_series(1, 500) i`);
    const one = reading(db, { tables: ['public.*'] });
    let written = false;
    one.start({
      beforeEach: async () => {
        if (written) return;
        written = true;
        await db.client.query('UPDATE quick SET v = 1 WHERE id > 400; INSERT INTO quick VALUES (6000, 1)');
      },
    });
    await one.rowsDone();
    await settle(one, db.client);
    const ops = one.events
      .filter((event) => event.subject === 'public.quick')
      .map((event) => (JSON.parse(event.data.toString()) as { op: string }).op);
    expect(ops.join('')).toBe('r'.repeat(500) + 'u'.repeat(100) + 'c');
  });

  it('a reader that is held up by a slow log goes on once it is not, also at the end of a chunk (Invariant 6)', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE big (id int PRIMARY KEY, v text);
      INSERT INTO big SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 60000) i; ANALYZE big`);
    const one = reading(db, { tables: ['public.*'] });
    // Slower than the readers: all of them are held up, at all places of a chunk.
    one.start({ beforeEach: () => new Promise((resolve) => setTimeout(resolve, 8)) });
    await one.rowsDone(60_000);
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.big', "'id', id");
  });

  it('killed before its first table is done, and at every moment after: all tables are read (traps 5, 10)', async () => {
    const names = Array.from({ length: 6 }, (_, i) => `t${i}`);
    const db = await fresh(
      `CREATE TABLE marks (m text PRIMARY KEY); ${names.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY, v int); INSERT INTO ${name} SELECT i, 0 FROM generate_series(1, 2500) i;`).join(' ')}`,
    );
    const one = reading(db, { tables: ['public.*'] });
    for (let batches = 1; batches < 12; batches++) {
      let left = batches;
      one.start({
        beforeEach: () => {
          if (--left < 0) throw new Error('killed');
        },
      });
      await Promise.race([one.outcome(), one.rowsDone()]);
    }
    await one.stop();
    one.start();
    await settle(one, db.client);
    // Whoever told of them before may have been killed with the last row (Invariant 7).
    await eventually('nothing is left', async () => {
      if (one.rowsOver) return true;
      if (one.progress()?.state !== 'done') return false;
      await one.stop();
      one.start();
      return false;
    });
    await eventually('all rows are there', () =>
      names.every((name) => [...one.fold().keys()].filter((at) => at.startsWith(`public.${name} `)).length === 2500),
    );
    for (const name of names) await expectEqual(one, db.client, `public.${name}`, "'id', id");
    expectUniqueIds(one);
  });

  it('tables with and without keys together, larger than the first seconds: neither waits for the other for ever (Invariant 6)', async () => {
    const keyed = ['a', 'b', 'c', 'd'];
    const db = await fresh(
      `CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE heap (a int, b text); ALTER TABLE heap REPLICA IDENTITY FULL;
       INSERT INTO heap SELECT i % 100, 'r' || i FROM generate_series(1, 20000) i;
       ${keyed.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY, v text); INSERT INTO ${name} SELECT i, 'x' FROM generate_series(1, 20000) i;`).join(' ')} ANALYZE`,
    );
    const one = reading(db, { tables: ['public.*'] });
    let writing = true;
    const writer = (async () => {
      const session = await db.session();
      for (let i = 0; writing; i++) await session.query('INSERT INTO heap VALUES (1, $1)', [`live ${i}`]);
    })();
    let left = 30;
    one.start({
      beforeEach: () => {
        if (--left < 0) throw new Error('killed');
      },
    });
    await one.outcome();
    one.start({ beforeEach: () => new Promise((resolve) => setTimeout(resolve, 5)) });
    await one.rowsDone(90_000);
    writing = false;
    await writer;
    await settle(one, db.client);
    for (const name of keyed) await expectEqual(one, db.client, `public.${name}`, "'id', id");
    const { rows } = await db.client.query<{ n: string }>('SELECT count(*) AS n FROM heap');
    const texts = [...one.fold()].filter(([at]) => at.startsWith('public.heap ')).map(([, row]) => String(row['b']));
    expect([texts.length, new Set(texts).size]).toEqual([Number(rows[0]!.n), texts.length]);
  });

  it('while three sessions write and the reader is killed again and again: nothing stale, nothing lost, never from zero (traps 5, 13, 14)', async () => {
    const db = await fresh(LEDGER);
    const one = reading(db, { tables: ['public.*'] });
    let writing = true;
    const writers = [1, 2, 3].map(async (seed) => write(await db.session(), seed * 7919, () => !writing));
    let kills = 0;
    let batches = 0;
    for (; kills < 8; kills++) {
      let left = 5 + ((kills * 13) % 23);
      one.start({
        beforeEach: () => {
          batches++;
          if (--left < 0) throw new Error('killed');
        },
      });
      expect(String(await one.outcome())).toContain('killed');
    }
    one.start();
    await one.rowsDone(120_000);
    writing = false;
    await Promise.all(writers);
    await settle(one, db.client);
    expect(batches).toBeGreaterThan(kills);
    expectNeverBack(one, 'public.ledger');
    expectUniqueIds(one);
    await expectEqual(one, db.client, 'public.ledger', "'id', id");
    // Each row once, but for those that were on their way when it was killed.
    const rows = one.events.filter((event) => event.order === null).length;
    expect(rows).toBeLessThan(ROWS * 1.2);
  });

  it('a commit that waits for a synchronous standby is in the WAL and not visible: its row is not overtaken (trap 13)', async () => {
    const db = await fresh(`${LEDGER}; DELETE FROM ledger WHERE id > 5000`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await holdCommits();
    try {
      const held = await db.session();
      await held.query("SET application_name = 'held'; SET synchronous_commit = on");
      const commit = held.query("UPDATE ledger SET v = nextval('versions'), note = 'held back' WHERE id = 1000");
      await one.seen('held back');
      await db.client.query('SET synchronous_commit = local');
      expect((await db.client.query('SELECT note FROM ledger WHERE id = 1000')).rows[0]).toEqual({ note: 'first' });
      one.orders.push({ id: 'snap_held', tables: ['public.ledger'], where: null });
      one.ordersChanged();
      await eventually('it says whom it waits for', () =>
        one.progress()?.tables?.some((table) => table.note?.includes('held')),
      );
      await db.client.query("UPDATE ledger SET v = nextval('versions'), note = 'meanwhile' WHERE id = 2000");
      await one.seen('meanwhile');
      await system('RESET synchronous_standby_names');
      await commit;
      await eventually('the order is done', () => one.closed.length > 0);
    } finally {
      await system('RESET synchronous_standby_names');
    }
    await settle(one, db.client);
    expectNeverBack(one, 'public.ledger');
    await expectEqual(one, db.client, 'public.ledger', "'id', id");
  });

  it('commits are held back while rows are being read: rows of their keys are dropped, and read again where that lost a value', async () => {
    const db = await fresh(LEDGER);
    const one = reading(db, { tables: ['public.*'], snapshot_readers: 2, snapshot_max_rows_per_second: 10_000 });
    await db.client.query('SET synchronous_commit = local');
    const sessions: Promise<unknown>[] = [];
    let begun = false;
    try {
      one.start({
        beforeEach: async () => {
          if (begun || one.events.length < ROWS * 0.4) return;
          begun = true;
          await holdCommits();
          for (let i = 0; i < 12; i++) {
            const held = await db.session();
            await held.query('SET synchronous_commit = on');
            sessions.push(
              held.query(
                `UPDATE ledger SET v = nextval('versions'), note = 'held ${i}' WHERE id IN (SELECT id FROM ledger WHERE id % 500 = 0 AND id > ${ROWS * 7.5} ORDER BY id OFFSET ${i * 15} LIMIT 15)`,
              ),
            );
          }
        },
      });
      await one.seen('held 11');
      await eventually('all other rows are in', () => (one.progress()?.rows_done ?? 0) > ROWS * 0.94, {
        timeoutMs: 60_000,
      });
      expect(one.progress()?.state).toBe('running');
    } finally {
      await system('RESET synchronous_standby_names');
    }
    await Promise.all(sessions);
    await one.rowsDone();
    await settle(one, db.client);
    expectNeverBack(one, 'public.ledger');
    await expectEqual(one, db.client, 'public.ledger', "'id', id");
  });

  it('a prepared transaction that is committed while rows are read: its rows are not overtaken, nor lost (traps 12, 13, 14)', async () => {
    const db = await fresh(LEDGER);
    const one = reading(db, { tables: ['public.*'], snapshot_readers: 1 });
    const session = await db.session();
    const steps = [
      `BEGIN; UPDATE ledger SET v = nextval('versions'), note = 'prepared' WHERE id % 500 = 0;
       UPDATE ledger SET v = nextval('versions'), id = id - ${ROWS * 5} + 3 WHERE id > ${ROWS * 10 - 1000}; DELETE FROM ledger WHERE id % 700 = 0;
       PREPARE TRANSACTION 'of the ledger'`,
      "COMMIT PREPARED 'of the ledger'",
    ];
    let before = Infinity;
    one.start({
      beforeEach: async () => {
        const next = one.events.length > before ? steps.shift() : undefined;
        if (next !== undefined) await session.query(next);
        // Slower than the readers: what was committed comes between the rows of one chunk.
        if (one.events.length > before) await new Promise((resolve) => setTimeout(resolve, 5));
      },
    });
    await one.rowsDone();
    await settle(one, db.client);
    before = one.events.length;
    one.orders.push({ id: 'snap_prepared', tables: ['public.ledger'], where: null });
    one.ordersChanged();
    await eventually('the order is done', () => one.closed.length > 0, { timeoutMs: 60_000 });
    expect(steps).toEqual([]);
    await settle(one, db.client);
    expectNeverBack(one, 'public.ledger');
    await expectEqual(one, db.client, 'public.ledger', "'id', id");
  });

  it('rows wait until the stream has passed everything that they saw, however far it is behind (Invariant 5)', async () => {
    const db = await fresh(LEDGER);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await one.stop();
    for (let i = 0; i < 4; i++) await db.client.query("UPDATE ledger SET v = nextval('versions') WHERE id % 20 = 0");
    one.orders.push({ id: 'snap_behind', tables: ['public.ledger'], where: `id < ${ROWS * 3}` });
    one.start();
    await eventually('the order is done', () => one.closed.length > 0, { timeoutMs: 60_000 });
    expectNeverBack(one, 'public.ledger');
    await expectEqual(one, db.client, 'public.ledger', "'id', id");
  });

  it('a row whose key moves behind the readers keeps its big value, though the stream does not say it (trap 14)', async () => {
    const db = await fresh(`${LEDGER}; UPDATE ledger SET big = repeat('B', 3000) WHERE id > ${ROWS * 10 - 1000}`);
    const one = reading(db, { tables: ['public.*'], snapshot_readers: 1, snapshot_max_rows_per_second: 10_000 });
    let moved = false;
    one.start({
      beforeEach: async () => {
        if (moved || one.events.length < ROWS * 0.45) return;
        moved = true;
        await db.client.query(
          `UPDATE ledger SET id = id - ${ROWS * 10 - 1000} + 1, v = nextval('versions') WHERE id > ${ROWS * 10 - 500}`,
        );
      },
    });
    await one.rowsDone(60_000);
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.ledger', "'id', id");
  });

  it('a table without a key is read as a whole while the stream stands; broken off, it says so and begins again', async () => {
    const db =
      await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE heap (a int, b text); ALTER TABLE heap REPLICA IDENTITY FULL;
      INSERT INTO heap SELECT i % 1000, 'r' || i FROM generate_series(1, 30000) i`);
    const one = reading(db, { tables: ['public.*'] });
    let writing = true;
    const writer = (async () => {
      const session = await db.session();
      for (let i = 0; writing; i++) await session.query('INSERT INTO heap VALUES (1, $1)', [`live ${i}`]);
    })();
    for (let kill = 0; kill < 3; kill++) {
      let left = 4 + kill * 5;
      one.start({
        beforeEach: () => {
          if (--left < 0) throw new Error('killed');
        },
      });
      await one.outcome();
    }
    one.start();
    await one.rowsDone();
    writing = false;
    await writer;
    await settle(one, db.client);
    const { rows } = await db.client.query<{ n: string }>('SELECT count(*) AS n FROM heap');
    const texts = [...one.fold()].filter(([at]) => at.startsWith('public.heap ')).map(([, row]) => String(row['b']));
    expect(new Set(texts).size).toBe(texts.length);
    expect(texts).toHaveLength(Number(rows[0]!.n));
  });
});
