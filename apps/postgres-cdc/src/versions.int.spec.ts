import { eventually, startPostgres, type Postgres } from '@planasonix/testing';
import type { Client } from 'pg';
import { publicationTables } from './publication.js';
import { expectEqual, expectUniqueIds, settle } from './rows/source-under-test.js';
import { TrialStream } from './trial/trial-stream.js';

const ROUNDS = 6;
const SETUP = `
  CREATE SCHEMA "Odd Name";
  CREATE TABLE marks (m text PRIMARY KEY);
  CREATE TABLE "Odd Name"."T.x" ("Id" int PRIMARY KEY, "Big ""Text""" text, n int);
  ALTER TABLE "Odd Name"."T.x" ALTER "Big ""Text""" SET STORAGE EXTERNAL;
  CREATE TABLE root (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
  CREATE TABLE root_low PARTITION OF root FOR VALUES FROM (0) TO (100);
  CREATE TABLE root_high PARTITION OF root FOR VALUES FROM (100) TO (200);
  CREATE TABLE emptied (id int PRIMARY KEY);
  CREATE TABLE pair (id int PRIMARY KEY);
  INSERT INTO "Odd Name"."T.x" SELECT i, repeat(md5(i::text), 200), i FROM generate_series(1, 20) i;
  INSERT INTO root SELECT i * 9, 'first' FROM generate_series(1, 20) i;
  INSERT INTO emptied SELECT generate_series(1, 5)`;

/** Tables of every kind that a publication can name. */
const KINDS_SETUP = `
  CREATE SCHEMA other; CREATE SCHEMA empty;
  CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE other.plain (id int PRIMARY KEY); CREATE UNLOGGED TABLE fleeting (id int);
  CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
  CREATE TABLE root (id int, at int) PARTITION BY RANGE (id);
  CREATE TABLE root_low PARTITION OF root FOR VALUES FROM (0) TO (10);
  CREATE TABLE other.root_high PARTITION OF root FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (at);
  CREATE TABLE root_high_a PARTITION OF other.root_high FOR VALUES FROM (0) TO (5)`;
const KINDS = [
  'FOR ALL TABLES',
  '',
  'FOR TABLE plain, parent',
  'FOR TABLE root',
  'FOR TABLE root, other.root_high, root_low',
];
const SCHEMAS = ['FOR TABLES IN SCHEMA other', 'FOR TABLE root, TABLES IN SCHEMA other, empty'];

/** Every kind of change, in one transaction each: among them a new key beside a value out of line, and a row that moves. */
const CHANGES = [
  `INSERT INTO "Odd Name"."T.x" VALUES (21, repeat('y', 9000), 1)`,
  `UPDATE "Odd Name"."T.x" SET n = -n WHERE "Id" < 10`,
  `UPDATE "Odd Name"."T.x" SET "Id" = "Id" + 100 WHERE "Id" IN (3, 4)`,
  `DELETE FROM "Odd Name"."T.x" WHERE "Id" = 5`,
  `INSERT INTO root VALUES (1, 'new')`,
  'UPDATE root SET id = 150 WHERE id = 9',
  'DELETE FROM root WHERE id = 180',
  'TRUNCATE emptied',
  'INSERT INTO emptied VALUES (7)',
];

describe.each([14, 15, 16, 17, 18] as const)('Postgres %i', (version) => {
  let server: Postgres;
  /** Of a database with publications alone. */
  let admin: Client;
  /** Of the one that streams read. */
  let client: Client;
  const streams: TrialStream[] = [];
  const stream = (id: string, config: object): TrialStream => {
    const at = { port: server.port, password: server.password };
    const one = new TrialStream(id, { heartbeat_interval: '200ms', ...config }, { ...at, database: 'read' });
    streams.push(one);
    return one;
  };

  beforeAll(async () => {
    server = await startPostgres({ version, config: { autovacuum: 'off' } });
    admin = await server.connect();
    await admin.query('CREATE DATABASE read');
    await admin.query(KINDS_SETUP);
    client = await server.connect('read');
    await client.query(SETUP);
  });
  afterEach(async () => {
    for (const one of streams.splice(0)) await one.stop();
  });
  afterAll(() => server?.stop('immediate'));

  it.each(version >= 15 ? [...KINDS, ...SCHEMAS] : KINDS)(
    'a publication "%s": what the server says, without waiting for a lock',
    async (kind) => {
      for (const viaRoot of [true, false]) {
        await admin.query(`CREATE PUBLICATION pub ${kind} WITH (publish_via_partition_root = ${viaRoot})`);
        const { rows } = await admin.query(
          "SELECT DISTINCT schemaname AS schema, tablename AS table FROM pg_publication_tables WHERE pubname = 'pub' ORDER BY 1, 2",
        );
        const holder = await server.connect();
        await holder.query('BEGIN; LOCK TABLE plain, root, root_low IN ACCESS EXCLUSIVE MODE');
        const found = [...(await publicationTables(admin, 'pub'))];
        await holder.end();
        found.sort((a, b) => (`${a.schema}.${a.table}` < `${b.schema}.${b.table}` ? -1 : 1));
        expect({ viaRoot, found }).toEqual({ viaRoot, found: rows });
        await admin.query('DROP PUBLICATION pub');
      }
      expect(await publicationTables(admin, 'nowhere')).toEqual([]);
    },
  );

  it('a stream: rows, then every kind of change, over a restart: folded they are the tables, whatever these are called (traps 14, 16, 17)', async () => {
    const tables = ['"Odd Name"."T.x"', 'public.*'];
    const one = stream('str_all', { tables, exclude_tables: ['public.pair'], publication: 'Mixed$Case' });
    const expectTables = async (): Promise<void> => {
      await settle(one, client);
      await expectEqual(one, client, '"Odd Name"."T.x"', `'Id', "Id"`, 'Odd Name.T.x');
      for (const table of ['public.root', 'public.emptied']) await expectEqual(one, client, table, "'id', id");
    };
    one.start();
    await one.rowsDone();
    for (const sql of CHANGES) await client.query(sql);
    await expectTables();
    expect([...new Set(one.events.map(({ subject }) => subject))].sort()).toEqual([
      ...['Odd Name.T.x', 'public.emptied', 'public.marks', 'public.root'],
    ]);
    const ops = one.events.map(({ data }) => (JSON.parse(data.toString()) as { op: string }).op);
    expect([...new Set(ops)].sort()).toEqual(['c', 'd', 'r', 't', 'u']);
    await one.stop();
    await client.query(`UPDATE "Odd Name"."T.x" SET "Id" = -"Id"; UPDATE root SET v = 'second', id = 199 - id`);
    await client.query('DELETE FROM emptied');
    one.start();
    await expectTables();
    expectUniqueIds(one);
    expect(one.failure).toBeNull();
  });

  it('of two commits that touch each other the second comes once, where the connection is lost after the first (trap 1)', async () => {
    const one = stream('str_pair', { tables: ['public.pair'], snapshot: 'never', logical_messages: false });
    const ids = () => one.events.map(({ partitionkey }) => partitionkey);
    const end = async (): Promise<string> =>
      (await client.query<{ at: string }>('SELECT pg_current_wal_insert_lsn()::text AS at')).rows[0]!.at;
    const second = await server.connect('read');
    let touching = 0;
    for (let round = 0; round < ROUNDS; round++) {
      let lost = false;
      one.start({
        beforeEach: () => {
          if (lost) throw new Error('the connection is lost');
        },
      });
      await eventually('it reads', () => one.connected && one.failure === null);
      await second.query('BEGIN');
      await second.query('INSERT INTO pair VALUES ($1)', [2 * round + 1]);
      await client.query('INSERT INTO pair VALUES ($1)', [2 * round]);
      await eventually('the first is settled', () => ids().at(-1) === `{"id":${2 * round}}`);
      // In every other round the second commit is received and not taken, else it comes when nobody is there.
      if (round % 2 === 0) await one.stop();
      lost = true;
      if (one.lsn === (await end())) touching++;
      await second.query('COMMIT');
      if (round % 2 === 1) await one.outcome();
      await one.stop();
      one.start();
      await eventually('the second has come', () => ids().length >= 2 * round + 2 || one.failure !== null);
      expect(one.failure).toBeNull();
      await one.stop();
    }
    expect(ids()).toEqual(Array.from({ length: 2 * ROUNDS }, (_, id) => `{"id":${id}}`));
    // What the server writes of its own may come between, now and then.
    expect(touching).toBeGreaterThan(ROUNDS / 2);
  });
});
