import { eventually } from '@planasonix/testing';
import type { Client } from 'pg';
import type { TrialStream } from '../trial/trial-stream.js';
import { settle, sourceUnderTest, type Database } from './source-under-test.js';

jest.setTimeout(180_000);

/** From 15 on a publication filters rows and lists columns; from 18 on generated columns may be published. */
describe.each([15, 18] as const)('rows that a publication filters, of Postgres %i', (version) => {
  const { fresh, reading } = sourceUnderTest(version);
  const HUSH = 'never to be seen';
  const MARKS = 'CREATE TABLE marks (m text PRIMARY KEY);';
  const ROWS = 30_000;
  /** `open` decides whether a row is published: it is part of what tells rows apart, as the server asks. */
  const T = `CREATE TABLE t (id int NOT NULL, open bool NOT NULL, v int, secret text DEFAULT '${HUSH}', other text, PRIMARY KEY (id));
    INSERT INTO t SELECT i, i % 3 > 0, 0, '${HUSH}', 'x' FROM generate_series(1, ${ROWS}) i;
    CREATE UNIQUE INDEX t_open ON t (id, open); ALTER TABLE t REPLICA IDENTITY USING INDEX t_open;`;
  /** The same, told apart by `id`: changes carry all of the row before. */
  const F = `CREATE TABLE f (id int PRIMARY KEY, open bool, v int, big text DEFAULT repeat('new', 4000)); ALTER TABLE f ALTER big SET STORAGE EXTERNAL;
    INSERT INTO f SELECT i, i % 3 > 0, 0, CASE WHEN i % 50 = 0 THEN repeat(md5(i::text), 100) END FROM generate_series(1, ${ROWS}) i;
    ALTER TABLE f REPLICA IDENTITY FULL;`;

  /** The log, folded, is what the publication lets out, row for row and column for column. */
  const expectOnly = async (one: TrialStream, client: Client, table: string, select: string, where: string) => {
    const { rows } = await client.query<{ row: Record<string, unknown> }>(
      `SELECT to_jsonb(l) AS row FROM (SELECT ${select} FROM ${table} WHERE ${where}) l`,
    );
    const text = (row: Record<string, unknown>) => JSON.stringify(Object.entries(row).sort());
    const got = [...one.fold()].filter(([at]) => at.startsWith(`public.${table} `)).map(([, row]) => text(row));
    const expected = rows.map(({ row }) => text(row));
    const without = (some: readonly string[], others: readonly string[]) => {
      const known = new Set(others);
      return some.filter((row) => !known.has(row)).slice(0, 5);
    };
    expect({ lost: without(expected, got), phantom: without(got, expected) }).toEqual({ lost: [], phantom: [] });
    expect(got.length).toBe(expected.length);
    expect(one.events.filter(({ data }) => data.includes(HUSH)).length).toBe(0);
  };

  /** Moves rows into what is published and out of it, changes their keys, and makes and deletes some, until it is told to end. */
  const writing = async (db: Database, table: string) => {
    const client = await db.session();
    let over = false;
    let seed = 1;
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
    const written = (async () => {
      for (let i = 0; !over; i++) {
        const id = 1 + random(ROWS);
        await client.query(`UPDATE ${table} SET open = NOT open, v = v + 1 WHERE id BETWEEN ${id} AND ${id + 20}`);
        await client.query(`UPDATE ${table} SET v = v + 1 WHERE id = ${1 + random(ROWS)}`);
        await client.query(
          `UPDATE ${table} SET id = ${ROWS + 1000 + i}, open = NOT open WHERE id = ${1 + random(ROWS)}`,
        );
        await client.query(`DELETE FROM ${table} WHERE id = ${1 + random(ROWS)}`);
        await client.query(`INSERT INTO ${table} (id, open, v) VALUES (-${i + 1}, ${i % 2 === 0}, 1)`);
      }
    })();
    return async () => {
      over = true;
      await written;
    };
  };

  const inRows = (one: TrialStream, table: string) =>
    one.events.filter(({ subject, data }) => subject === `public.${table}` && data.includes('"op":"r"')).length;

  it('in chunks, beside writers that move rows into the filter and out of it', async () => {
    const db = await fresh(
      `${MARKS} ${T} ${F} CREATE PUBLICATION theirs FOR TABLE marks, t (id, open, v) WHERE (open), f WHERE (open)`,
    );
    // A slot that is found brings no snapshot: all rows are read beside the stream.
    const slot = `theirs_${db.name}`;
    await db.client.query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
    const one = reading(db, {
      ...{ tables: ['public.*'], publication: 'theirs', slot_name: slot, snapshot_max_rows_per_second: 20_000 },
    });
    expect((await one.check()).filter(({ code }) => code === 'publication_filters')).toMatchObject([
      { severity: 'warning', message: expect.stringMatching(/"public"."t".*rows that are read and changes/) },
    ]);
    const ends = [await writing(db, 't'), await writing(db, 'f')];
    one.start();
    await one.rowsDone(60_000);
    for (const end of ends) await end();
    await settle(one, db.client);
    await expectOnly(one, db.client, 't', 'id, open, v', 'open');
    await expectOnly(one, db.client, 'f', 'id, open, v, big', 'open');
  });

  it('a table without a key, read as a whole; what is excluded beside what is not listed', async () => {
    const db = await fresh(`${MARKS} CREATE TABLE heap (a int, b text, c text, secret text);
      INSERT INTO heap SELECT i, 'b', 'left out', '${HUSH}' FROM generate_series(1, 5000) i; ALTER TABLE heap REPLICA IDENTITY FULL;
      CREATE PUBLICATION theirs FOR TABLE marks, heap (a, b, c) WHERE (a % 2 = 0 AND b <> 'it''s; --') WITH (publish = 'insert')`);
    const one = reading(db, {
      ...{ tables: ['public.*'], publication: 'theirs', exclude_columns: { 'public.heap': ['c'] } },
      snapshot_max_rows_per_second: 1500,
    });
    one.start();
    await eventually('it has begun', () => inRows(one, 'heap') > 0);
    await db.client.query(`INSERT INTO heap SELECT i, 'b', 'left out', '${HUSH}' FROM generate_series(5001, 5100) i`);
    await one.rowsDone();
    await settle(one, db.client);
    await expectOnly(one, db.client, 'heap', 'a, b', 'a % 2 = 0');
    expect(one.events.some(({ data }) => data.includes('left out'))).toBe(false);
  });

  it('names what an update left alone of a row that it brings into the filter, and what FULL tells of it (trap 14)', async () => {
    const table = (name: string) => `CREATE TABLE ${name} (id int PRIMARY KEY, big text);
      ALTER TABLE ${name} ALTER big SET STORAGE EXTERNAL; INSERT INTO ${name} VALUES (1, repeat('x', 4000));`;
    const db = await fresh(`${MARKS} ${table('keyed')} ${table('whole')} ALTER TABLE whole REPLICA IDENTITY FULL;
      CREATE PUBLICATION theirs FOR TABLE marks, keyed WHERE (id > 100), whole WHERE (id > 100)`);
    const one = reading(db, { tables: ['public.*'], publication: 'theirs' });
    one.start();
    await one.rowsDone();
    await db.client.query('UPDATE keyed SET id = 101; UPDATE whole SET id = 101');
    await settle(one, db.client);
    const told = (of: string) =>
      one.events
        .filter(({ subject }) => subject === `public.${of}`)
        .map(({ data }) => JSON.parse(String(data)) as object);
    expect(told('keyed')).toMatchObject([{ op: 'c', after: { id: 101 }, unchanged: ['big'] }]);
    expect(told('whole')).toMatchObject([{ op: 'c', after: { id: 101, big: 'x'.repeat(4000) }, unchanged: [] }]);
  });

  it('an order with a condition, which sees nothing of what is held back', async () => {
    // Dear enough for the server to ask anything else first.
    const dear = "lower(upper(lower(upper(open::text)))) = 'true'";
    const db = await fresh(`${MARKS} ${T} CREATE PUBLICATION theirs FOR TABLE marks, t (id, open, v) WHERE (${dear})`);
    const one = reading(db, { tables: ['public.*'], publication: 'theirs', snapshot: 'never' });
    const place = (id: string, where: string) => {
      one.orders.push({ id, tables: ['public.t'], where });
      one.ordersChanged();
    };
    const judged = (where: string) => one.look((source) => source.checkOrder!({ tables: ['public.t'], where }, AbortSignal.timeout(8000))); // prettier-ignore
    expect(await judged("secret LIKE 'n%'")).toMatchObject([{ code: 'where_invalid' }]);
    expect(await judged('id <= 30')).toEqual([]);
    one.start();
    await eventually('it reads', () => one.connected);
    await settle(one, db.client);
    // It fails on rows that the filter holds back, and on no other.
    place('snap_1', 'id <= 30 AND 1 / (id % 3) < 2');
    await eventually('it is over', () => one.closed.some(({ id }) => id === 'snap_1'));
    expect(one.closed).toEqual([{ id: 'snap_1', failed: null }]);
    await expectOnly(one, db.client, 't', 'id, open, v', 'open AND id <= 30');
    place('snap_2', "secret = 'x'");
    await eventually('it is refused', () => one.closed.some(({ id, failed }) => id === 'snap_2' && failed !== null)); // prettier-ignore
  });

  it('an order whose condition speaks of a column that is listed no more ends there', async () => {
    const db = await fresh(`${MARKS} ${T} CREATE PUBLICATION theirs FOR TABLE marks, t`);
    const one = reading(db, {
      ...{ tables: ['public.*'], publication: 'theirs' },
      ...{ exclude_columns: { 'public.t': ['secret'] }, snapshot_readers: 1, snapshot_max_rows_per_second: 20_000 },
    });
    one.start();
    await one.rowsDone();
    const rows = inRows(one, 't');
    one.orders.push({ id: 'snap_1', tables: ['public.t'], where: "other = 'x'" });
    one.ordersChanged();
    await eventually('its rows come', () => inRows(one, 't') > rows);
    await db.client.query('ALTER PUBLICATION theirs SET TABLE marks, t (id, open, v)');
    await eventually('it is over', () => one.closed.length > 0);
    expect(one.closed).toMatchObject([{ id: 'snap_1', failed: expect.stringContaining('does not list any more') }]);
    await one.seen('"op":"t"');
    await one.rowsDone();
    await settle(one, db.client);
    await expectOnly(one, db.client, 't', 'id, open, v', 'true');
  });

  it('of partitions that come as their root, those of the root; of ones that come by themselves, their own', async () => {
    const db = await fresh(`${MARKS}
      CREATE TABLE p (id int PRIMARY KEY, v int, secret text) PARTITION BY RANGE (id);
      CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (0) TO (100);
      CREATE TABLE p_high (secret text, v int, id int NOT NULL);
      ALTER TABLE p ATTACH PARTITION p_high FOR VALUES FROM (100) TO (300);
      INSERT INTO p SELECT i, i, '${HUSH}' FROM generate_series(1, 200) i;
      CREATE PUBLICATION by_root FOR TABLE marks, p (id, v) WHERE (id % 2 = 0), p_low WHERE (id < 5) WITH (publish_via_partition_root = true);
      CREATE PUBLICATION by_leaf FOR TABLE marks, p_low (id, v) WHERE (id < 5)`);
    const root = reading(db, { tables: ['public.marks', 'public.p'], publication: 'by_root' });
    root.start();
    await root.rowsDone();
    await db.client.query(`INSERT INTO p VALUES (201, 0, '${HUSH}'), (202, 0, '${HUSH}');
      DELETE FROM p WHERE id IN (7, 8, 111); UPDATE p SET id = id + 1 WHERE id IN (6, 110)`);
    await settle(root, db.client);
    await expectOnly(root, db.client, 'p', 'id, v', 'id % 2 = 0');
    await root.stop();
    const leaf = reading({ name: db.name }, { tables: ['public.marks', 'public.p_low'], publication: 'by_leaf', slot_name: `leaf_${db.name}` }); // prettier-ignore
    leaf.start();
    await leaf.rowsDone();
    await settle(leaf, db.client);
    await expectOnly(leaf, db.client, 'p_low', 'id, v', 'id < 5');
  });

  it('a filter and a list that are changed amid the reading: the table is read anew by the new ones', async () => {
    const db = await fresh(
      `${MARKS} ${T} CREATE PUBLICATION theirs FOR TABLE marks, t (id, open, v, other) WHERE (open)`,
    );
    const one = reading(db, { tables: ['public.*'], publication: 'theirs', snapshot_max_rows_per_second: 15_000 });
    const end = await writing(db, 't');
    one.start();
    await eventually('rows come', () => inRows(one, 't') > 0);
    await db.client.query('ALTER PUBLICATION theirs SET TABLE marks, t (id, open, v) WHERE (NOT open)');
    await one.seen('"op":"t"');
    await end();
    await one.rowsDone(60_000);
    await settle(one, db.client);
    await expectOnly(one, db.client, 't', 'id, open, v', 'NOT open');
  });

  it('while the publication does not publish it no row leaves; a schema lifts the filters of its tables', async () => {
    const db = await fresh(`${MARKS} CREATE SCHEMA shop; CREATE TABLE shop.t (id int PRIMARY KEY, v text);
      INSERT INTO shop.t SELECT i, 'first' FROM generate_series(1, 100) i;
      CREATE PUBLICATION theirs FOR TABLE marks, shop.t WHERE (id <= 10)`);
    const one = reading(db, { tables: ['public.*', 'shop.*'], publication: 'theirs' });
    const ids = () => [...one.fold().keys()].filter((at) => at.startsWith('shop.t ')).length;
    one.start();
    await one.rowsDone();
    expect(ids()).toBe(10);
    await db.client.query('ALTER PUBLICATION theirs DROP TABLE shop.t');
    one.orders.push({ id: 'snap_1', tables: ['shop.t'], where: null });
    one.ordersChanged();
    const note = () => one.progress()?.tables?.find(({ order }) => order === 'snap_1')?.note;
    await eventually('it waits', () => note()?.includes('does not publish it'));
    expect(ids()).toBe(10);
    await db.client.query('ALTER PUBLICATION theirs ADD TABLE shop.t WHERE (id > 90)');
    await eventually('it goes on', () => one.closed.some(({ id, failed }) => id === 'snap_1' && failed === null)); // prettier-ignore
    // The order goes on by itself; that the table itself was left out for a while the next look finds.
    const isAnew = () => ids() === 10 && one.fold().has('shop.t {"id":91}');
    await eventually('it is read anew by the other filter', isAnew);
    await db.client.query('ALTER PUBLICATION theirs ADD TABLES IN SCHEMA shop');
    one.ordersChanged();
    await eventually('all come', () => ids() === 100);
  });

  it('a list without a part of the key is refused', async () => {
    const db =
      await fresh(`${MARKS} CREATE TABLE k (a int, b int, v int, PRIMARY KEY (a, b)); INSERT INTO k VALUES (1, 1, 1), (1, 2, 2);
      CREATE PUBLICATION theirs FOR TABLE marks, k (a, v) WITH (publish = 'insert')`);
    for (const snapshot of ['initial', 'only']) {
      const one = reading(db, { tables: ['public.k'], publication: 'theirs', snapshot });
      const refusal = { code: 'no_replica_identity', message: expect.stringContaining('leaves out b') };
      expect((await one.check())[0]).toMatchObject(refusal);
      one.start();
      expect(await one.outcome()).toMatchObject(refusal);
      expect(one.events).toEqual([]);
    }
  });

  it('a key that is listed no more amid the stream: that table waits, and the others do not', async () => {
    const db =
      await fresh(`${MARKS} CREATE TABLE k (a int, b int, v int, PRIMARY KEY (a, b)); INSERT INTO k VALUES (1, 1, 1), (1, 2, 2);
      CREATE PUBLICATION theirs FOR TABLE marks, k (a, b, v) WITH (publish = 'insert')`);
    const one = reading(db, { tables: ['public.*'], publication: 'theirs' });
    const list = async (columns: string) => {
      await db.client.query(`ALTER PUBLICATION theirs SET TABLE marks, k (${columns})`);
      one.ordersChanged();
    };
    one.start();
    await one.rowsDone();
    await list('a, v');
    const refused = () => one.progress()?.tables?.some(({ table, note }) => table === 'public.k' && note?.includes('leaves out b')); // prettier-ignore
    await eventually('it is refused', refused);
    await settle(one, db.client);
    const rows = inRows(one, 'k');
    await list('a, b, v');
    await eventually('its rows come anew', () => inRows(one, 'k') > rows);
    await one.rowsDone();
    await settle(one, db.client);
    await expectOnly(one, db.client, 'k', 'a, b, v', 'true');
  });

  it('rows alone obey a publication that is named', async () => {
    const db = await fresh(`${MARKS} ${T} CREATE PUBLICATION theirs FOR TABLE t (id, open, v) WHERE (open)`);
    const one = reading(db, { tables: ['public.*'], publication: 'theirs', snapshot: 'only' });
    one.start();
    expect(await one.outcome()).toBeNull();
    await expectOnly(one, db.client, 't', 'id, open, v', 'open');
  });

  if (version === 18)
    it('generated columns that are listed are read, whatever the publication does with others', async () => {
      const db =
        await fresh(`${MARKS} CREATE TABLE g (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED, secret text);
        INSERT INTO g (id, secret) SELECT i, '${HUSH}' FROM generate_series(1, 20) i;
        CREATE PUBLICATION theirs FOR TABLE marks, g (id, twice) WHERE (id > 5) WITH (publish_generated_columns = none)`);
      const one = reading(db, { tables: ['public.*'], publication: 'theirs' });
      one.start();
      await one.rowsDone();
      await db.client.query(`INSERT INTO g VALUES (21, DEFAULT, '${HUSH}')`);
      await settle(one, db.client);
      await expectOnly(one, db.client, 'g', 'id, twice', 'id > 5');
    });
});
