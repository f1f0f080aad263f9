import { eventually } from '@planasonix/testing';
import { expectEqual, settle, sourceUnderTest } from './rows/source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();

describe('what changes its form while a stream runs (trap 17)', () => {
  it('composite types: rows and changes have the fields that the server has, before and after', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TYPE spot AS (x int, y int);
      CREATE TABLE map (id int PRIMARY KEY, at spot, path spot[]);
      INSERT INTO map SELECT i, ROW(i, i)::spot, ARRAY[ROW(i, -i)::spot] FROM generate_series(1, 500) i`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await db.client.query('UPDATE map SET at.x = 0 WHERE id < 10');
    await settle(one, db.client);
    await db.client.query('ALTER TYPE spot ADD ATTRIBUTE z text');
    await db.client.query('BEGIN');
    await db.client.query(`UPDATE map SET at.z = 'a,b', path = NULL WHERE id < 20`);
    await db.client.query(`UPDATE map SET id = -id, at.z = ')' WHERE id < 5`);
    await db.client.query('COMMIT');
    await settle(one, db.client);
    // Rows that nobody touched were told with the fields of then.
    await db.client.query('UPDATE map SET path = path');
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.map', "'id', id");
    const ids = one.events.map((event) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('a table, or a partition, that somebody keeps locked holds up nobody else when the stream begins again', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE locked (id int PRIMARY KEY);
      CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE root_low PARTITION OF root FOR VALUES FROM (0) TO (10)`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await one.stop();
    const other = await db.session();
    await other.query('BEGIN; LOCK TABLE locked, root_low IN ACCESS EXCLUSIVE MODE');
    one.start();
    await settle(one, db.client);
    await other.query('COMMIT');
    await other.end();
  });

  it('a table that somebody locks while its rows are read says so, and is read when it is free', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY);
      INSERT INTO t SELECT generate_series(1, 90000)`);
    const one = reading(db, { tables: ['public.*'], snapshot: 'only', snapshot_readers: 1 });
    const other = await db.session();
    let locking: Promise<unknown> | undefined;
    one.start({
      beforeEach: () => {
        if (one.events.length > 0) locking ??= other.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
      },
    });
    const note = () => one.progress()?.tables?.find(({ table }) => table === 'public.t')?.note;
    await eventually('it is said what the rows wait for', () => note()?.includes('locked'));
    await locking;
    await other.query('COMMIT');
    await other.end();
    expect(await one.outcome()).toBeNull();
    expect(note()).toBeNull();
    expect(new Set(one.events.map((event) => event.partitionkey)).size).toBe(90_000);
  });

  it.each([
    ['is about to be read', false],
    ['waits for its turn', true],
  ])(
    'a table without a key that gets one while it %s: readers forget its rows, and the stream goes on',
    async (_when, waits) => {
      const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE before (id int PRIMARY KEY);
      CREATE TABLE heap (v int); ALTER TABLE heap REPLICA IDENTITY FULL; INSERT INTO heap SELECT generate_series(1, 500)`);
      const config = { tables: ['public.*'], snapshot_readers: 1 };
      const one = reading(db, config);
      one.start();
      await one.rowsDone();
      await one.stop();
      await db.client.query('INSERT INTO before SELECT generate_series(1, 30000)');
      one.configure({ ...config, snapshot_max_rows_per_second: 200 });
      one.start();
      await eventually('it runs', () => one.connected);
      const other = await db.session();
      await other.query(`BEGIN; ${waits ? '' : 'LOCK TABLE heap IN ACCESS EXCLUSIVE MODE'}`);
      if (waits) one.orders.push({ id: 'snap_before', tables: ['public.before'], where: null });
      one.orders.push({ id: 'snap_heap', tables: ['public.heap'], where: null });
      one.ordersChanged();
      const heap = () => one.progress()?.tables?.find(({ order }) => order === 'snap_heap');
      const said = () => (waits ? heap()?.state === 'waiting' : (heap()?.note ?? null) !== null);
      await eventually('it waits', said);
      await other.query('ALTER TABLE heap ADD COLUMN id bigserial PRIMARY KEY, REPLICA IDENTITY DEFAULT; COMMIT');
      await other.end();
      expect(waits ? heap()?.state : 'waiting').toBe('waiting');
      if (waits) one.orders.shift();
      one.ordersChanged();
      await eventually('the order is done', () => one.closed.some(({ id }) => id === 'snap_heap'));
      await db.client.query('UPDATE heap SET v = -v WHERE id <= 10');
      await settle(one, db.client);
      // The order may be done by its former form: the table is read anew by itself.
      await one.rowsDone();
      await expectEqual(one, db.client, 'public.heap', "'id', id");
      expect([...one.fold().keys()].filter((at) => at.startsWith('public.heap '))).toHaveLength(500);
    },
  );

  it('a publication that sends partitions under their own names: what is excluded of the root is excluded of them', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY);
      CREATE TABLE users (id int PRIMARY KEY, secret text) PARTITION BY RANGE (id);
      CREATE TABLE users_low PARTITION OF users FOR VALUES FROM (0) TO (100)`);
    const one = reading(db, { tables: ['public.*'], exclude_columns: { 'public.users': ['secret'] } });
    one.start();
    await one.rowsDone();
    await db.client.query("INSERT INTO users VALUES (1, 'canary')");
    const { rows } = await db.client.query<{ name: string }>('SELECT quote_ident(pubname) AS name FROM pg_publication');
    await db.client.query(`ALTER PUBLICATION ${rows[0]!.name} SET (publish_via_partition_root = false)`);
    await db.client.query("INSERT INTO users VALUES (2, 'canary')");
    await db.client.query("UPDATE users SET secret = 'canary2'");
    await settle(one, db.client);
    expect(one.events.some((event) => event.subject === 'public.users_low')).toBe(true);
    expect(one.events.map((event) => event.data.toString()).join('')).not.toContain('canary');
  });
});
