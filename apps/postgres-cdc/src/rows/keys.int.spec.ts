import { ROW_EVENT_TYPES, type SnapshotOrder } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { resolveTables } from '../tables.js';
import { keysSql, rangeSql } from './chunk-sql.js';
import { cutLanes } from './lanes.js';
import { expectEqual, expectUniqueIds, settle, sourceUnderTest } from './source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();
const WANTED = { tables: ['public.*'], exclude_tables: [], exclude_columns: {} };

describe('keys of every kind', () => {
  it('of an extension, or by an index of another order: rows behind each chunk are those behind it in that order', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE EXTENSION citext;
      CREATE DOMAIN loose AS citext;
      CREATE TABLE names (k citext COLLATE "C" PRIMARY KEY);
      CREATE TABLE pairs (n int, k loose COLLATE "C", PRIMARY KEY (k, n));
      CREATE TABLE patterns (k text COLLATE "C" NOT NULL, v int);
      CREATE UNIQUE INDEX by_pattern ON patterns (k text_pattern_ops);
      ALTER TABLE patterns REPLICA IDENTITY USING INDEX by_pattern;
      INSERT INTO names SELECT CASE WHEN i % 2 = 0 THEN upper(md5(i::text)) ELSE md5(i::text) END FROM generate_series(1, 22000) i;
      INSERT INTO pairs SELECT i % 3, CASE WHEN i % 2 = 0 THEN upper(md5((i / 3)::text)) ELSE md5((i / 3)::text) END FROM generate_series(1, 22000) i;
      INSERT INTO patterns SELECT md5(i::text), i FROM generate_series(1, 22000) i`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await expectEqual(one, db.client, 'public.names', "'k', k");
    await expectEqual(one, db.client, 'public.pairs', "'k', k, 'n', n");
    await expectEqual(one, db.client, 'public.patterns', "'k', k");
    expectUniqueIds(one);
    expect(one.events.filter(({ type }) => type === ROW_EVENT_TYPES.r)).toHaveLength(66_000);
  });

  it('are asked for by their index, from its beginning or from a key on', async () => {
    const db = await fresh(`CREATE EXTENSION citext; CREATE TABLE pairs (n int, k citext, PRIMARY KEY (k, n));
      INSERT INTO pairs SELECT i % 3, md5((i / 3)::text) FROM generate_series(1, 9000) i; ANALYZE pairs`);
    const ours = await db.ours();
    const [table] = await resolveTables(ours, WANTED);
    expect(table!.keySorts).toEqual(['2:pg_catalog."default":public.citext_ops', '1::pg_catalog.int4_ops']);
    const plan = async (copy: string): Promise<string> => {
      const query = copy.slice('COPY ('.length, -') TO STDOUT'.length);
      const { rows } = await ours.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${query}`);
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    };
    const key = ['C4CA4238A0B923820DCC509A6F75849B', '1'];
    const ranged = await plan(rangeSql(table!, { after: ['8', '1'], upto: ['9', '1'] }, null, 10));
    expect(ranged).toMatch(
      /Index Cond: \(\(k OPERATOR\(public.>=\) '8'::\S+\) AND \(k OPERATOR\(public.<=\) '9'::\S+\)\)/,
    );
    expect(ranged).not.toMatch(/Sort/);
    const byKeys = keysSql(table!, [key], null);
    expect(await plan(byKeys)).toMatch(/Index Cond/);
    const { rows } = await ours.query<{ n: string }>(byKeys.slice('COPY ('.length, -') TO STDOUT'.length));
    expect(rows).toEqual([{ n: '1', k: key[0]!.toLowerCase() }]);
  });

  it('lanes are cut in the order of the key, whatever its column is called', async () => {
    const db = await fresh(`CREATE TABLE t (key int PRIMARY KEY, "?column?" text, pad text);
      INSERT INTO t SELECT i, '', repeat('x', 400) FROM generate_series(1, 70000) i; ANALYZE t`);
    const ours = await db.ours();
    const [table] = await resolveTables(ours, WANTED);
    const lanes = await cutLanes(ours, table!, 4);
    const bounds = (lanes === 'locked' ? [] : lanes).flatMap(({ upto }) => upto ?? []).map(Number);
    expect(bounds.length).toBe(3);
    expect([...bounds].sort((a, b) => a - b)).toEqual(bounds);
  });

  it('names of tables and types in values are the same in rows and in changes', async () => {
    const db =
      await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE SCHEMA shop; CREATE TYPE shop.mood AS ENUM ('a');
      CREATE TABLE names (id int PRIMARY KEY, c regclass, t regtype);
      INSERT INTO names VALUES (1, 'marks', 'shop.mood'); ALTER ROLE postgres SET search_path = shop, public`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await db.client.query("INSERT INTO public.names VALUES (2, 'public.marks', 'shop.mood')");
    await db.client.query("INSERT INTO public.marks VALUES ('seen')");
    await one.seen('seen');
    const names = [...one.fold()].filter(([at]) => at.startsWith('public.names ')).map(([, row]) => row);
    expect(names).toEqual([1, 2].map((id) => ({ id, c: 'public.marks', t: 'shop.mood' })));
  });

  it.each([
    ['has more columns now', 'DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, code)', 'ORDER BY "id", "code"'],
    [
      'is another column of the same name now',
      'DROP COLUMN id; ALTER TABLE t RENAME code TO id; ALTER TABLE t ADD PRIMARY KEY (id)',
      '(SELECT "id", "doc"',
    ],
  ])(
    'one that %s: what the stream tells late by the old one is not asked for by it (traps 5, 14)',
    async (_, change, asked) => {
      const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY);
      CREATE TABLE t (id int PRIMARY KEY, code uuid NOT NULL, doc text); ALTER TABLE t ALTER doc SET STORAGE EXTERNAL;
      INSERT INTO t SELECT i, md5(i::text)::uuid, CASE WHEN i = 5 THEN repeat('d', 5000) END FROM generate_series(1, 25000) i; ANALYZE t`);
      const one = reading(db, { tables: ['public.*'], snapshot_readers: 1 });
      let stopAt = Infinity;
      let goOn: () => void = () => undefined;
      const goesOn = new Promise<void>((resolve) => (goOn = resolve));
      one.start({ beforeEach: () => (one.events.length < stopAt ? undefined : goesOn) });
      await one.rowsDone();
      stopAt = one.events.length + 5_000;
      one.orders.push({ id: 'snap_1', tables: ['public.t'], where: null });
      one.ordersChanged();
      await eventually('half of a chunk is in the log', () => one.events.length >= stopAt);
      const found = await db.client.query<{ pid: number; key: string }>(
        "SELECT active_pid AS pid, md5('5')::uuid::text AS key FROM pg_replication_slots WHERE active AND database = current_database()",
      );
      const { pid, key } = found.rows[0]!;
      // The server's own sender of the stream: what is written from here on comes late.
      process.kill(pid, 'SIGSTOP');
      try {
        await db.client.query('UPDATE t SET id = -5 WHERE id = 5');
        let isAltered = false;
        const altered = db.client.query(`ALTER TABLE t ${change}`).then(() => (isAltered = true));
        const other = await db.session();
        // Before the next chunk, whose lock has to wait behind it where this chunk is still being sent.
        await eventually('it is altered, or is the next to be', async () => {
          const { rows } = await other.query<{ n: number }>(
            "SELECT count(*)::int AS n FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted",
          );
          return isAltered || rows[0]!.n === 1;
        });
        goOn();
        await altered;
        const read = (): Promise<{ rowCount: number | null }> =>
          other.query('SELECT FROM pg_stat_activity WHERE strpos(query, $1) > 0 AND query LIKE $2', [asked, 'COPY%']);
        await eventually('it is read by its new key', async () => (await read()).rowCount === 1);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      await eventually('the order is over', () => one.closed.length > 0 || one.failure !== null, { timeoutMs: 60_000 });
      expect([one.failure, one.closed]).toEqual([null, [{ id: 'snap_1', failed: null }]]);
      await settle(one, db.client);
      const last = one.events.filter(({ partitionkey }) => partitionkey.includes(key)).at(-1);
      expect(JSON.parse(last!.data.toString())).toMatchObject({ op: 'r', after: { doc: 'd'.repeat(5000) } });
      expectUniqueIds(one);
    },
  );

  describe('sorted otherwise from the second chunk on: no row is passed over', () => {
    // The last ones are behind the first chunk, and before it by their bytes.
    const TEXTS = `CREATE TABLE t (k text COLLATE "und-x-icu" NOT NULL, v int);
      INSERT INTO t SELECT CASE WHEN i <= 21000 THEN 'a' ELSE 'B' END || to_char(i, 'FM00000'), i FROM generate_series(1, 22000) i;`;
    const COLLATION = {
      table: `${TEXTS} ALTER TABLE t ADD PRIMARY KEY (k)`,
      change: 'ALTER TABLE t ALTER k TYPE text COLLATE "C"',
      key: "'k', k",
    };
    const CASES = {
      'another collation': COLLATION,
      'another index': {
        table: `${TEXTS} CREATE UNIQUE INDEX by_nature ON t (k); CREATE UNIQUE INDEX by_bytes ON t (k text_pattern_ops);
          ALTER TABLE t REPLICA IDENTITY USING INDEX by_nature`,
        change: 'ALTER TABLE t REPLICA IDENTITY USING INDEX by_bytes',
        key: "'k', k",
      },
      'another column of that name': {
        table: `CREATE TABLE t (id int PRIMARY KEY, code int NOT NULL);
          INSERT INTO t SELECT i, 22001 - i FROM generate_series(1, 22000) i`,
        change: 'ALTER TABLE t DROP COLUMN id; ALTER TABLE t RENAME code TO id; ALTER TABLE t ADD PRIMARY KEY (id)',
        key: "'id', id",
      },
    };

    /** Once rows have come, the change stands in line for the table, before its second chunk. */
    async function whileRead({ table, change }: typeof COLLATION, config: object, orders: readonly SnapshotOrder[]) {
      const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); ${table}; ANALYZE t`);
      const one = reading(db, { tables: ['public.*'], snapshot_readers: 1, ...config });
      one.orders.push(...orders);
      const other = await db.session();
      const standing = "SELECT FROM pg_locks WHERE relation = 't'::regclass AND NOT granted";
      let changed: Promise<unknown> | null = null;
      one.start({
        beforeEach: async () => {
          if (changed !== null || one.events.length === 0) return;
          let over = false;
          changed = other.query(change).finally(() => (over = true));
          await eventually('it stands in line', async () => over || (await db.client.query(standing)).rowCount === 1);
        },
      });
      await eventually('the table was changed', () => changed);
      return { db, one };
    }

    it.each(Object.entries(CASES))('in an order, by %s', async (_, how) => {
      const order = { id: 'snap_1', tables: ['public.t'], where: null };
      const { db, one } = await whileRead(how, { snapshot: 'never' }, [order]);
      await eventually('the order is over', () => one.closed.length > 0 || one.failure !== null);
      expect([one.failure, one.closed]).toEqual([null, [{ id: 'snap_1', failed: null }]]);
      await settle(one, db.client);
      await expectEqual(one, db.client, 'public.t', how.key);
      expectUniqueIds(one);
    });

    it('under the slot’s own snapshot, whose catalog knows nothing of that', async () => {
      const { db, one } = await whileRead(COLLATION, {}, []);
      await one.rowsDone();
      await settle(one, db.client);
      await expectEqual(one, db.client, 'public.t', COLLATION.key);
      expectUniqueIds(one);
    });
  });

  it('one that is checked at the end of the transaction is none: changes of one row overtake those of another by it', async () => {
    const db =
      await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE moving (id int PRIMARY KEY DEFERRABLE, v text);
      ALTER TABLE moving REPLICA IDENTITY FULL; INSERT INTO moving SELECT i, 'v' || i FROM generate_series(1, 3) i`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await db.client.query('UPDATE moving SET id = id + 1');
    await settle(one, db.client);
    const of = one.events.filter((event) => event.subject === 'public.moving');
    expect(of.map((event) => event.partitionkey)).toEqual(['', '', '', '', '', '']);
    const changes = of
      .slice(3)
      .map((event) => JSON.parse(event.data.toString()) as Record<'op' | 'before' | 'after', unknown>);
    expect(changes).toMatchObject(
      [1, 2, 3].map((id) => ({ op: 'u', before: { id, v: `v${id}` }, after: { id: id + 1, v: `v${id}` } })),
    );
  });
});
