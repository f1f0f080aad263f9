import { systemClock } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { LEDGER, ROWS, expectEqual, expectUniqueIds, settle, sourceUnderTest } from './source-under-test.js';

jest.setTimeout(180_000);

const { fresh, reading } = sourceUnderTest();

describe('rows alone', () => {
  it('rows alone: all of them, then it ends; broken off, it goes on', async () => {
    const db = await fresh(LEDGER);
    const one = reading(db, { tables: ['public.ledger'], snapshot: 'only' });
    let left = 12;
    one.start({
      beforeEach: () => {
        if (--left < 0) throw new Error('killed');
      },
    });
    await one.outcome();
    const before = one.events.length;
    expect(before).toBeGreaterThan(1000);
    one.start();
    expect(await one.outcome()).toBeNull();
    expect(new Set(one.events.map((event) => event.partitionkey)).size).toBe(ROWS);
    expect(one.events.length).toBeLessThan(ROWS + 5000);
    expect(
      (await db.client.query('SELECT FROM pg_replication_slots WHERE database = current_database()')).rowCount,
    ).toBe(0);
    // Whoever brought them may have been killed before he said so (Invariant 7).
    one.start();
    expect([await one.outcome(), one.rowsOver]).toEqual([null, true]);
  });

  it('rows alone are of one moment, whatever is written meanwhile; a table that was rewritten since, or has another key, comes as it is then', async () => {
    const db =
      await fresh(`CREATE TABLE one (id int PRIMARY KEY, v text); INSERT INTO one SELECT i, 'before' FROM generate_series(1, ${ROWS}) i;
      CREATE TABLE rewritten (id int PRIMARY KEY, v int); INSERT INTO rewritten SELECT i, i FROM generate_series(1, 3000) i;
      CREATE TABLE rekeyed (id int NOT NULL UNIQUE, v int NOT NULL UNIQUE); INSERT INTO rekeyed SELECT i, i FROM generate_series(1, 3000) i;
      ALTER TABLE rekeyed REPLICA IDENTITY USING INDEX rekeyed_id_key`);
    const one = reading(db, { tables: ['public.*'], snapshot: 'only', snapshot_readers: 1 });
    let written = false;
    one.start({
      beforeEach: async () => {
        if (written || one.events.length === 0) return;
        written = true;
        await db.client.query("UPDATE one SET v = 'after'; DELETE FROM one WHERE id % 2 = 0");
        await db.client.query('ALTER TABLE rewritten ALTER v TYPE bigint');
        await db.client.query('ALTER TABLE rekeyed REPLICA IDENTITY USING INDEX rekeyed_v_key');
      },
    });
    expect(await one.outcome()).toBeNull();
    const rows = [...one.fold()];
    const of = (table: string) => rows.flatMap(([at, { v }]) => (at.startsWith(`public.${table} `) ? [v] : []));
    expect(of('one')).toHaveLength(ROWS);
    expect(new Set(of('one'))).toEqual(new Set(['before']));
    for (const table of ['rewritten', 'rekeyed']) expect(of(table)).toHaveLength(3000);
    expect(one.fold().has('public.rekeyed {"v":3000}')).toBe(true);
    expectUniqueIds(one);
  });

  it('where nobody pulls for minutes, the source need not keep the moment: what is left is of later', async () => {
    const db = await fresh(`CREATE TABLE t (id int PRIMARY KEY, v text);
      INSERT INTO t SELECT i, 'before' FROM generate_series(1, ${ROWS}) i`);
    const one = reading(db, { tables: ['public.*'], snapshot: 'only', snapshot_readers: 1 });
    let [skewMs, pull] = [0, () => undefined as void];
    one.clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skewMs };
    const pulled = new Promise<void>((resolve) => (pull = resolve));
    one.start({ beforeEach: () => (one.events.length > 0 ? pulled : undefined) });
    const open = async (): Promise<number> =>
      (
        await db.client.query(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
      ).rowCount ?? 0;
    try {
      await eventually('nobody pulls', async () => one.events.length > 0 && (await open()) > 0);
      const after = async (ms: number): Promise<number> => ((skewMs += ms), open());
      await eventually('its chunk is given back', async () => (await after(500)) === 1);
      await eventually('nothing is open', async () => (await after(20_000)) === 0);
      await db.client.query("UPDATE t SET v = 'after'");
    } finally {
      pull();
    }
    expect(await one.outcome()).toBeNull();
    const values = [...one.fold().values()].map(({ v }) => v);
    expect([values.length, new Set(values)]).toEqual([ROWS, new Set(['before', 'after'])]);
    expectUniqueIds(one);
  });

  it('rows alone, of a stream that followed changes before: slot and publication are given back; and made anew when it does again', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY);
      CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'a' FROM generate_series(1, 50) i`);
    const held = async () => [
      (await db.client.query('SELECT FROM pg_replication_slots WHERE database = current_database()')).rowCount,
      (await db.client.query('SELECT FROM pg_publication')).rowCount,
    ];
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await one.stop();
    expect(await held()).toEqual([1, 1]);
    one.configure({ tables: ['public.*'], snapshot: 'only' });
    one.start();
    expect(await one.outcome()).toBeNull();
    expect(await held()).toEqual([0, 0]);
    expect(one.owned).toEqual({});
    await db.client.query("UPDATE t SET v = 'b'");
    one.configure({ tables: ['public.*'], heartbeat_interval: '200ms' });
    one.start();
    await one.seen('"v":"b"');
    await one.rowsDone();
    await settle(one, db.client);
    expect(await held()).toEqual([1, 1]);
    await expectEqual(one, db.client, 'public.t', "'id', id");
  });
});
