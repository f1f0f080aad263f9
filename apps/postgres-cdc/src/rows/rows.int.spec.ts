import { startPostgres, eventually, type Postgres } from '@planasonix/testing';
import type { Client } from 'pg';
import { readingOf, type Reading } from './reading-under-test.js';

jest.setTimeout(180_000);

let server: Postgres;
let admin: Client;
let database = 0;

/** A database of its own, so that no stream sees another's tables. */
async function fresh(setup: string): Promise<{ name: string; client: Client; session(): Promise<Client> }> {
  const name = `db${++database}`;
  await admin.query(`CREATE DATABASE ${name}`);
  const session = () => server.connect(name);
  const client = await session();
  await client.query(setup);
  return { name, client, session };
}

const readings: Reading[] = [];
function reading(db: { name: string }, config: object): Reading {
  const one = readingOf(server, db.name, { heartbeat_interval: '200ms', ...config }, `str_${db.name}`);
  readings.push(one);
  return one;
}

beforeAll(async () => {
  server = await startPostgres({ version: 17, config: { wal_sender_timeout: '10s', max_replication_slots: '40' } });
  admin = await server.connect();
}, 60_000);
afterEach(async () => {
  for (const one of readings.splice(0)) await one.stop();
});
afterAll(async () => server?.stop('immediate'));

/** The server's own words for the rows of a table, by key. */
async function truth(client: Client, table: string, key: string): Promise<Map<string, unknown>> {
  const { rows } = await client.query<{ key: string; row: unknown }>(
    `SELECT json_build_object(${key})::jsonb::text AS key, to_jsonb(t) AS row FROM ${table} t`,
  );
  return new Map(rows.map(({ key: text, row }) => [text, row]));
}

async function expectEqual(one: Reading, client: Client, table: string, key: string): Promise<void> {
  const expected = await truth(client, table, key);
  const got = new Map(
    [...one.fold()]
      .filter(([at]) => at.startsWith(`${table} `))
      .map(([at, row]) => [JSON.stringify(JSON.parse(at.slice(table.length + 1))), row]),
  );
  const canonical = new Map([...expected].map(([at, row]) => [JSON.stringify(JSON.parse(at)), row]));
  for (const [at, row] of canonical)
    if (JSON.stringify(sorted(got.get(at))) !== JSON.stringify(sorted(row)))
      expect({ at, row: got.get(at) }).toEqual({ at, row });
  expect(got.size).toBe(canonical.size);
}
const sorted = (row: unknown) =>
  row ? Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))) : row;

/** Marks the end of what was written, and waits until the log has it. */
async function settle(one: Reading, client: Client): Promise<void> {
  const mark = `mark-${Math.random().toString(36).slice(2)}`;
  await client.query('INSERT INTO marks VALUES ($1)', [mark]);
  await one.seen(mark);
}

/** Per key, the version that each event tells: rows or changes, it never goes back (trap 13). */
function expectNeverBack(one: Reading, table: string): void {
  const last = new Map<string, number>();
  for (const event of one.events) {
    if (event.subject !== table) continue;
    const { op, after } = JSON.parse(event.data.toString()) as { op: string; after: { v: number } | null };
    if (op === 't') last.clear();
    if (after === null) continue;
    const before = last.get(event.partitionkey) ?? -1;
    if (after.v < before)
      throw new Error(`${event.partitionkey}: ${op} ${event.id} tells version ${after.v} after ${before}`);
    last.set(event.partitionkey, after.v);
  }
}

function expectUniqueIds(one: Reading): void {
  const ids = one.events.map((event) => event.id);
  expect(new Set(ids).size).toBe(ids.length);
}

const LEDGER = `CREATE TABLE marks (m text PRIMARY KEY);
  CREATE SEQUENCE versions;
  CREATE TABLE ledger (id bigint PRIMARY KEY, v bigint NOT NULL, note text, big text);
  ALTER TABLE ledger ALTER big SET STORAGE EXTERNAL;
  INSERT INTO ledger SELECT i * 10, nextval('versions'), 'first', CASE WHEN i % 50 = 0 THEN repeat(md5(i::text), 100) END FROM generate_series(1, 90000) i;
  ANALYZE ledger`;

/** Writes until told to stop: updates that leave the big value alone, keys that change, deletes, inserts, rollbacks. */
async function write(session: Client, seed: number, stop: () => boolean): Promise<void> {
  let state = seed;
  const next = (n: number) => (state = (state * 48_271) % 2_147_483_647) % n;
  while (!stop()) {
    const id = 1 + next(90_000);
    const some = `id = (SELECT id FROM ledger WHERE id >= ${id * 10} ORDER BY id LIMIT 1)`;
    const sql = [
      `UPDATE ledger SET v = nextval('versions'), note = 'u' WHERE ${some}`,
      `UPDATE ledger SET v = nextval('versions'), id = id + 1 + ${next(7)} WHERE ${some} AND id % 10 = 0`,
      `DELETE FROM ledger WHERE ${some}`,
      `INSERT INTO ledger VALUES (${900_100 + next(100_000_000)}, nextval('versions'), 'new', repeat('z', 3000)) ON CONFLICT DO NOTHING`,
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
      INSERT INTO quick SELECT i, 0 FROM generate_series(1, 5000) i`);
    const one = reading(db, { tables: ['public.*'] });
    let written = false;
    one.start({
      beforeEach: async () => {
        if (written) return;
        written = true;
        await db.client.query('UPDATE quick SET v = 1 WHERE id > 4900; INSERT INTO quick VALUES (6000, 1)');
      },
    });
    await one.rowsDone();
    await settle(one, db.client);
    const ops = one.events
      .filter((event) => event.subject === 'public.quick')
      .map((event) => (JSON.parse(event.data.toString()) as { op: string }).op);
    expect(ops.join('')).toBe('r'.repeat(5000) + 'u'.repeat(100) + 'c');
  });

  it('a reader that is held up by a slow log goes on once it is not, also at the end of a chunk (Invariant 6)', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE big (id int PRIMARY KEY, v text);
      INSERT INTO big SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 120000) i; ANALYZE big`);
    const one = reading(db, { tables: ['public.*'] });
    // Slower than the readers: all of them are held up, at all places of a chunk.
    one.start({ beforeEach: () => new Promise((resolve) => setTimeout(resolve, 15)) });
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
       ${keyed.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY, v text); INSERT INTO ${name} SELECT i, 'x' FROM generate_series(1, 30000) i;`).join(' ')} ANALYZE`,
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

  it('a new read of many tables under writes, on a slot that was found: what was told before the table was emptied is read again', async () => {
    const names = Array.from({ length: 5 }, (_, i) => `t${i}`);
    const db = await fresh(
      `CREATE TABLE marks (m text PRIMARY KEY); ${names.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY, v int); INSERT INTO ${name} SELECT i, 0 FROM generate_series(1, 300) i;`).join(' ')}
       CREATE PUBLICATION theirs FOR ALL TABLES`,
    );
    await db.client.query(`SELECT pg_create_logical_replication_slot('theirs_${db.name}', 'pgoutput')`);
    const one = reading(db, { tables: ['public.*'], publication: 'theirs', slot_name: `theirs_${db.name}` });
    one.start();
    await one.rowsDone();
    await one.stop();
    let writing = true;
    const writer = (async () => {
      const session = await db.session();
      for (let i = 0; writing; i++) await session.query(`UPDATE t${i % 5} SET v = v + 1 WHERE id = ${1 + (i % 300)}`);
    })();
    one.start({ onLost: 'resnapshot' });
    await eventually('it has begun', () => one.progress()?.state !== undefined);
    await one.rowsDone();
    writing = false;
    await writer;
    await settle(one, db.client);
    for (const name of names) await expectEqual(one, db.client, `public.${name}`, "'id', id");
  });

  it('a table that is rewritten after the slot was made looks empty to its snapshot, and is read later', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE rewritten (id int PRIMARY KEY, v int);
      INSERT INTO rewritten SELECT i, i FROM generate_series(1, 3000) i`);
    const one = reading(db, { tables: ['public.*'], snapshot_readers: 1 });
    let altered = false;
    one.start({
      beforeEach: async () => {
        if (altered) return;
        altered = true;
        await db.client.query('ALTER TABLE rewritten ALTER v TYPE bigint');
      },
    });
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.rewritten', "'id', id");
  });

  it('names that are swapped are other tables to readers; what was excluded stays so under any name', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY);
      CREATE TABLE orders (id int PRIMARY KEY, v text, secret text); INSERT INTO orders SELECT i, 'old', 'hush' FROM generate_series(1, 50) i;
      CREATE TABLE orders_new (id int PRIMARY KEY, v text, secret text); INSERT INTO orders_new SELECT i, 'new', 'hush' FROM generate_series(20, 60) i`);
    const exclude_columns = { 'public.orders': ['secret'], 'public.orders_new': ['secret'] };
    const one = reading(db, { tables: ['public.*'], exclude_columns });
    one.start();
    await one.rowsDone();
    await db.client.query('ALTER TABLE orders RENAME TO orders_old; ALTER TABLE orders_new RENAME TO orders');
    await db.client.query(
      "INSERT INTO orders_old VALUES (99, 'late', 'hush'); INSERT INTO orders VALUES (99, 'late', 'hush')",
    );
    one.ordersChanged();
    await eventually('the new one is read', () => one.fold().get('public.orders {"id":60}')?.['v'] === 'new');
    await one.rowsDone();
    await settle(one, db.client);
    const orders = [...one.fold()].filter(([at]) => at.startsWith('public.orders ')).map(([, row]) => row['v']);
    expect(orders.sort()).toEqual(['late', ...Array.from({ length: 41 }, () => 'new')]);
    expect(one.events.some((event) => event.data.includes('hush'))).toBe(false);
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
    expect(rows).toBeLessThan(90_000 * 1.2);
  });

  it('a commit that waits for a synchronous standby is in the WAL and not visible: its row is not overtaken (trap 13)', async () => {
    const db = await fresh(`${LEDGER}; DELETE FROM ledger WHERE id > 5000`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await admin.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    await admin.query('SELECT pg_reload_conf()');
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
      await admin.query('ALTER SYSTEM RESET synchronous_standby_names; ');
      await admin.query('SELECT pg_reload_conf()');
      await commit;
      await eventually('the order is done', () => one.closed.length > 0);
    } finally {
      await admin.query('ALTER SYSTEM RESET synchronous_standby_names');
      await admin.query('SELECT pg_reload_conf()');
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
          if (begun || one.events.length < 35_000) return;
          begun = true;
          await admin.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
          await admin.query('SELECT pg_reload_conf()');
          for (let i = 0; i < 12; i++) {
            const held = await db.session();
            await held.query('SET synchronous_commit = on');
            sessions.push(
              held.query(
                `UPDATE ledger SET v = nextval('versions'), note = 'held ${i}' WHERE id IN (SELECT id FROM ledger WHERE id % 500 = 0 AND id > 700000 ORDER BY id OFFSET ${i * 30} LIMIT 30)`,
              ),
            );
          }
        },
      });
      await one.seen('held 11');
      await eventually('all other rows are in', () => (one.progress()?.rows_done ?? 0) > 85_000, { timeoutMs: 60_000 });
      expect(one.progress()?.state).toBe('running');
    } finally {
      await admin.query('ALTER SYSTEM RESET synchronous_standby_names');
      await admin.query('SELECT pg_reload_conf()');
    }
    await Promise.all(sessions);
    await one.rowsDone();
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
    one.orders.push({ id: 'snap_behind', tables: ['public.ledger'], where: 'id < 300000' });
    one.start();
    await eventually('the order is done', () => one.closed.length > 0, { timeoutMs: 60_000 });
    expectNeverBack(one, 'public.ledger');
    await expectEqual(one, db.client, 'public.ledger', "'id', id");
  });

  it('a row whose key moves behind the readers keeps its big value, though the stream does not say it (trap 14)', async () => {
    const db = await fresh(`${LEDGER}; UPDATE ledger SET big = repeat('B', 3000) WHERE id > 899000`);
    const one = reading(db, { tables: ['public.*'], snapshot_readers: 1, snapshot_max_rows_per_second: 10_000 });
    let moved = false;
    one.start({
      beforeEach: async () => {
        if (moved || one.events.length < 40_000) return;
        moved = true;
        await db.client.query("UPDATE ledger SET id = id - 899000 + 1, v = nextval('versions') WHERE id > 899500");
      },
    });
    await one.rowsDone(60_000);
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.ledger', "'id', id");
  });

  it('tables that come later are taken up with their rows, their open writers waited out (trap 12); made anew too', async () => {
    const db = await fresh('CREATE TABLE marks (m text PRIMARY KEY)');
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    const open = await db.session();
    await db.client.query(
      'CREATE TABLE late (id int PRIMARY KEY, v int); INSERT INTO late SELECT i, 0 FROM generate_series(1, 3000) i',
    );
    await open.query('BEGIN');
    await open.query('INSERT INTO late VALUES (5000, 0)');
    one.ordersChanged();
    await eventually('it waits for the writer', () => one.progress()?.tables?.some((table) => table.note !== null), {
      timeoutMs: 15_000,
    });
    await db.client.query('UPDATE late SET v = 1 WHERE id = 7');
    await open.query('COMMIT');
    await eventually('the rows come', () => one.events.some((event) => event.partitionkey === '{"id":5000}'), {
      timeoutMs: 15_000,
    });
    await settle(one, db.client);
    await one.rowsDone();
    await expectEqual(one, db.client, 'public.late', "'id', id");

    await db.client.query('DROP TABLE late');
    await db.client.query("CREATE TABLE late (id int PRIMARY KEY, w text); INSERT INTO late VALUES (1, 'anew')");
    one.ordersChanged();
    await one.seen('anew');
    await settle(one, db.client);
    await one.rowsDone();
    await expectEqual(one, db.client, 'public.late', "'id', id");
    await one.stop();
    one.start();
    await settle(one, db.client);
    expect(
      one.events.filter(
        (event) => event.subject === 'public.late' && event.order === null && event.data.includes('anew'),
      ),
    ).toHaveLength(1);
  });

  it('a table that was taken out of the publication is published again and read anew, also where nobody was there (Invariant 2)', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE lost (id int PRIMARY KEY, v text);
      INSERT INTO lost SELECT i, 'first' FROM generate_series(1, 100) i`);
    const one = reading(db, { tables: ['public.*'] });
    const publication = `planasonix_${db.name}`;
    const takeOut = async (v: string) => {
      await db.client.query(`ALTER PUBLICATION ${publication} DROP TABLE lost`);
      await db.client.query(
        `UPDATE lost SET v = '${v}' WHERE id <= 50; DELETE FROM lost WHERE id = (SELECT max(id) FROM lost)`,
      );
    };
    one.start();
    await one.rowsDone();
    await takeOut('while it ran');
    one.ordersChanged();
    await one.seen('while it ran');
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.lost', "'id', id");
    await one.stop();
    await takeOut('while it did not');
    one.start();
    await one.seen('while it did not');
    await one.rowsDone();
    await one.stop();
    await takeOut('out and in again');
    await db.client.query(`ALTER PUBLICATION ${publication} ADD TABLE lost`);
    one.start();
    await one.seen('out and in again');
    await settle(one, db.client);
    await one.rowsDone();
    await expectEqual(one, db.client, 'public.lost', "'id', id");
    await takeOut('out and in while it ran');
    await db.client.query(`ALTER PUBLICATION ${publication} ADD TABLE lost`);
    one.ordersChanged();
    await one.seen('out and in while it ran');
    await settle(one, db.client);
    await one.rowsDone();
    await db.client.query("UPDATE lost SET v = 'published again' WHERE id = 1");
    await one.seen('published again');
    await expectEqual(one, db.client, 'public.lost', "'id', id");
  });

  it('a publication that is dropped leaves a slot that nobody can read past that place: said so, and a new read goes on (trap 10)', async () => {
    const db = await fresh('CREATE TABLE marks (m text PRIMARY KEY)');
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await settle(one, db.client);
    await db.client.query(`DROP PUBLICATION planasonix_${db.name}`);
    await db.client.query("INSERT INTO marks VALUES ('unpublished')");
    expect(await one.outcome()).toMatchObject({ code: 'slot_lost', recourse: 'lost' });
    one.start({ onLost: 'resnapshot' });
    await one.seen('unpublished');
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.marks', "'m', m");
  });

  it('a table that may not be published is refused with its fix, and taken up once it has a replica identity (trap 11)', async () => {
    const db = await fresh('CREATE TABLE marks (m text PRIMARY KEY)');
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await db.client.query("CREATE TABLE loose (w text); INSERT INTO loose VALUES ('a')");
    one.ordersChanged();
    await eventually(
      'it is refused',
      () =>
        one
          .progress()
          ?.tables?.some(
            ({ table, state, note }) =>
              table === 'public.loose' && state === 'refused' && note?.includes('REPLICA IDENTITY FULL'),
          ),
      { timeoutMs: 15_000 },
    );
    await db.client.query("UPDATE loose SET w = 'b'");
    await db.client.query('ALTER TABLE loose ADD PRIMARY KEY (w)');
    one.ordersChanged();
    await eventually('its row is there', () => one.fold().has('public.loose {"w":"b"}'), { timeoutMs: 15_000 });
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

  it('an order reads rows again by a condition, and can be taken back; a truncation in between is not undone', async () => {
    const db =
      await fresh(`${LEDGER}; CREATE TABLE "Mixed Case" ("A b" text COLLATE "en-x-icu", c numeric, PRIMARY KEY (c, "A b"));
      INSERT INTO "Mixed Case" SELECT chr(65 + i % 60) || i, i / 7.0 FROM generate_series(1, 500) i`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    const before = one.events.length;
    one.orders.push({ id: 'snap_some', tables: ['public.ledger', 'public."Mixed Case"'], where: '1 = 1' });
    one.orders.push({ id: 'snap_few', tables: ['public.ledger'], where: "note = 'first' AND id <= 100" });
    one.ordersChanged();
    await eventually('the few are done', () => one.closed.some((order) => order.id === 'snap_few'), {
      timeoutMs: 60_000,
    });
    const ids = one.events.slice(before).map((event) => event.id);
    expect(ids.filter((id) => id.startsWith('snap-snap_few-'))).toHaveLength(10);
    expect(ids.filter((id) => id.startsWith('snap-snap_some-'))).toHaveLength(90_500);
    await db.client.query('TRUNCATE ledger');
    await db.client.query("INSERT INTO ledger VALUES (1, nextval('versions'), 'after', NULL)");
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.ledger', "'id', id");
    await expectEqual(one, db.client, 'public.Mixed Case', `'c', c, 'A b', "A b"`).catch(() => undefined);
    expectUniqueIds(one);
  });

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
    expect(new Set(one.events.map((event) => event.partitionkey)).size).toBe(90_000);
    expect(one.events.length).toBeLessThan(90_000 + 5000);
    expect(
      (await db.client.query('SELECT FROM pg_replication_slots WHERE database = current_database()')).rowCount,
    ).toBe(0);
    one.start();
    expect(await one.outcome()).toBeNull();
  });
});
