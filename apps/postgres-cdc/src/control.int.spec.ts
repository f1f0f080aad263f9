import { eventually, startProxy, type Postgres, type PostgresVersion } from '@planasonix/testing';
import type { Client } from 'pg';
import { parseConfig } from './config.js';
import { testConnection } from './connection-test.js';
import { ControlUnderTest, outbound, startPooler } from './control-under-test.js';
import { preflight } from './preflight.js';
import { ensurePublication, publicationTables } from './publication.js';
import { releaseAtSource } from './release.js';
import { missingTables, resolveTables } from './tables.js';

describe.each([14, 15, 16, 17, 18] as const)('the control plane of Postgres %i', (version: PostgresVersion) => {
  let under: ControlUnderTest;
  let server: Postgres;
  let client: Client;
  const connection = (more?: object) => under.connection(more);
  const open = (...args: Parameters<ControlUnderTest['open']>) => under.open(...args);
  const config = (more: object) => parseConfig({ tables: ['shop.orders'], ...more });
  const input = (more: object, by: Partial<Parameters<typeof preflight>[0]> = {}) => ({
    client,
    config: config(more),
    slotName: 'planasonix_s',
    publicationName: 'planasonix_p',
    ownsSlot: false,
    ownsPublication: false,
    ...{ walBudget: null, givenUp: false, excluded: null },
    ...by,
  });
  /** What is more than a piece of news. Each says what mends it. */
  const findings = async (...args: Parameters<typeof input>) => {
    const found = (await preflight(input(...args))).filter((check) => check.severity !== 'info');
    expect(found.filter((check) => !check.fix)).toEqual([]);
    return found;
  };

  beforeAll(async () => {
    under = await ControlUnderTest.start(version);
    ({ server } = under);
    client = await open('planasonix_s control');
  });
  afterAll(() => under?.stop());

  describe('tables', () => {
    const names = async (more: object) =>
      (await resolveTables(client, config(more))).map(({ schema, table }) => `${schema}.${table}`);

    it('are found by exact name and by schema, partitions as their root (trap 17)', async () => {
      expect(await names({ tables: ['shop.*'], exclude_tables: ['shop.audit', 'shop.late'] })).toEqual([
        ...['shop.orders', 'shop.full', 'shop.indexed', 'shop.log', 'shop.loose'],
      ]);
      expect(await names({ tables: ['"Odd Name"."T""x"', 'SHOP.Orders'] })).toEqual(['shop.orders', 'Odd Name.T"x']);
      expect(await names({ tables: ['shop.log_1'] })).toEqual(['shop.log_1']);
      expect(await names({ tables: ['shop.*', 'shop.log_1'] })).not.toContain('shop.log_1');
      expect(await names({ tables: ['shop.*'], exclude_tables: ['shop.log'] })).not.toContain('shop.log_1');
      expect(await names({ tables: ['pg_catalog.*', 'information_schema.*', 'pg_catalog.pg_class'] })).toEqual([]);
    });

    it('have their key from the catalog, in its order, and no dropped or excluded column (trap 14)', async () => {
      const asked = config({ tables: ['shop.*', '"Odd Name".*'], exclude_columns: { 'shop.orders': ['secret'] } });
      const tables = new Map((await resolveTables(client, asked)).map((table) => [table.table, table]));
      const orders = tables.get('orders')!;
      expect(orders.columns.map((column) => column.name)).toEqual(['id', 'region', 'total']);
      expect(orders).toMatchObject({ key: ['region', 'id'], identity: 'd', hasPrimaryKey: true, estimatedRows: null });
      expect(tables.get('full')).toMatchObject({ key: [], identity: 'f', unidentified: [] });
      expect(tables.get('indexed')).toMatchObject({ key: ['code'], identity: 'i', unidentified: [] });
      expect(tables.get('T"x')!.columns[1]).toEqual({ attnum: 2, name: 'twice', typeOid: 23, generated: 'stored' });
      expect(tables.get('log')).toMatchObject({ partitioned: true, unidentified: [] });
      const without = [...tables.values()].flatMap((table) => table.unidentified.map((one) => one.table));
      expect(without).toEqual(['audit', 'late', 'loose_1']);
    });

    it('that are missing are named; a partition whose root comes is not missing', async () => {
      const asked = config({ tables: ['shop.*', 'shop.log_1', 'shop.nope', 'shop.unlogged', 'void.*'] });
      expect(missingTables(asked, await resolveTables(client, asked))).toEqual(['shop.nope', 'shop.unlogged']);
    });
  });

  describe('the publication', () => {
    const wish = async (tables: string[], more: object = {}) => ({
      ...{ name: 'planasonix_"p', tables: await resolveTables(client, config({ tables })), owned: false },
      ...{ remember: () => Promise.resolve(), ...more },
    });
    afterEach(() => client.query('DROP PUBLICATION IF EXISTS "planasonix_""p"'));

    it('is remembered before it is made, and grows only where it is ours', async () => {
      const seen: number[] = [];
      const remember = async () => {
        seen.push((await client.query(`SELECT FROM pg_publication`)).rowCount!);
      };
      expect(await ensurePublication(client, await wish(['shop.orders', 'shop.log'], { remember }))).toBe('made');
      expect(seen).toEqual([0]);
      expect(await publicationTables(client, 'planasonix_"p')).toEqual(
        expect.arrayContaining([
          { schema: 'shop', table: 'orders' },
          { schema: 'shop', table: 'log' },
        ]),
      );
      expect(await ensurePublication(client, await wish(['shop.orders']))).toBe('found');
      await expect(ensurePublication(client, await wish(['"Odd Name".*']))).rejects.toMatchObject({
        code: 'publication_incomplete',
        hint: 'ALTER PUBLICATION "planasonix_""p" ADD TABLE "Odd Name"."T""x";',
      });
      expect(await ensurePublication(client, await wish(['"Odd Name".*'], { owned: true }))).toBe('made');
      expect(await publicationTables(client, 'planasonix_"p')).toHaveLength(3);
    });

    it('refuses tables without replica identity before anything is published (trap 11)', async () => {
      await expect(ensurePublication(client, await wish(['shop.audit', 'shop.loose']))).rejects.toMatchObject({
        code: 'no_replica_identity',
        hint: expect.stringContaining('ALTER TABLE "shop"."loose_1" REPLICA IDENTITY FULL;'),
      });
      expect((await client.query('SELECT FROM pg_publication')).rowCount).toBe(0);
    });
  });

  describe('the preflight', () => {
    it('finds nothing but the version where all is well, and changes nothing', async () => {
      const checks = await preflight(input({ tables: ['shop.orders', 'shop.log'] }));
      expect(checks).toEqual([
        {
          code: 'server_version',
          severity: 'info',
          message: expect.stringContaining(`Postgres ${version}`),
          fix: null,
        },
      ]);
      expect((await client.query('SELECT FROM pg_publication')).rowCount).toBe(0);
    });

    it('names missing tables, excluded keys and tables without identity', async () => {
      const checks = await findings({
        tables: ['shop.orders', 'shop.nope', 'shop.audit'],
        exclude_columns: { 'shop.orders': ['region'], 'shop.typo': ['x'] },
      });
      expect(checks.map((check) => check.code)).toEqual([
        ...['tables_missing', 'no_replica_identity', 'config_invalid', 'exclude_columns_unused'],
      ]);
      expect(await findings({ tables: ['void.*'] })).toMatchObject([{ code: 'no_tables', severity: 'error' }]);
      expect(await findings({ tables: ['shop.nope'] })).toMatchObject([
        { code: 'tables_missing' },
        { code: 'no_tables' },
      ]);
      expect(checks[1]!.fix).toBe('ALTER TABLE "shop"."audit" REPLICA IDENTITY FULL;');
    });

    it('says which columns the changes will lack: before 18 what is generated, later what is virtual', async () => {
      await client.query(`CREATE SCHEMA made; CREATE TABLE made.sums
        (id int PRIMARY KEY, a int, b int, total int GENERATED ALWAYS AS (a + b) STORED
         ${version < 18 ? '' : ', twice int GENERATED ALWAYS AS (a * 2) VIRTUAL'})`);
      const lacked = version < 18 ? 'total' : 'twice';
      const warning = {
        ...{ code: 'generated_columns_unpublished', severity: 'warning' },
        message: expect.stringMatching(new RegExp(`without made.sums.${lacked}.$`)),
      };
      expect(await findings({ tables: ['made.sums'] })).toMatchObject([warning]);
      expect(await findings({ tables: ['made.sums'], exclude_columns: { 'made.sums': [lacked] } })).toEqual([]);
      await client.query('DROP SCHEMA made CASCADE');
    });

    it('gives SQL that mends every lack of rights', async () => {
      const plain = await open('planasonix_s control', { user: 'plain', password: 'plain' });
      const checks = await findings({}, { client: plain });
      expect(checks.map((check) => [check.code, check.severity])).toEqual([
        ...[1, 2, 3].map(() => ['permission_denied', 'error']),
      ]);
      const admin = await server.connect();
      for (const { fix } of checks) await admin.query(fix!);
      expect(await findings({}, { client: plain })).toEqual([]);
      await admin.query('DROP PUBLICATION planasonix_p; ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY');
      const named = await findings({ publication: 'planasonix_p' }, { client: plain });
      expect(named.map((check) => check.code).sort()).toEqual(['permission_denied', 'publication_missing']);
      await admin.query('ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY');
    });

    it('looks at a publication and a slot that were there before', async () => {
      await client.query("CREATE PUBLICATION planasonix_p FOR TABLE shop.full WITH (publish = 'insert')");
      await client.query("SELECT pg_create_logical_replication_slot('planasonix_s', 'test_decoding')");
      const checks = await findings({});
      expect(checks.map((check) => check.code)).toEqual(['config_invalid', 'publication_incomplete']);
      await client.query(checks[1]!.fix!);
      await client.query(`SELECT pg_drop_replication_slot('planasonix_s')`);
      const [withheld] = await findings({});
      expect(withheld).toMatchObject({ code: 'publication_filters', severity: 'warning' });
      await client.query(withheld!.fix!);
      expect(await findings({})).toEqual([]);
      if (version >= 15) {
        await client.query('ALTER PUBLICATION planasonix_p SET TABLE shop.orders (region, id) WHERE (id > 5)');
        const [filters] = await findings({});
        expect(filters).toMatchObject({
          code: 'publication_filters',
          message: expect.stringContaining('"shop"."orders"'),
        });
        await client.query(filters!.fix!);
        expect(await findings({})).toEqual([]);
      }
      await client.query('DROP PUBLICATION planasonix_p');
    });

    it('names the tables whose rows are read as a whole, and a budget that can not be kept to', async () => {
      await client.query('CREATE PUBLICATION planasonix_p FOR TABLE shop.full');
      const walBudget = { bytes: 2 ** 40, on_exceeded: 'release' } as const;
      const found = async (more: object, ownsSlot: boolean) =>
        (await preflight(input({ tables: ['shop.full'], ...more }, { walBudget, ownsSlot }))).filter(
          ({ code }) => code !== 'server_version',
        );
      const whole = {
        code: 'whole_table_snapshot',
        severity: 'info',
        message: expect.stringContaining('"shop"."full"'),
        fix: expect.stringContaining('primary key'),
      };
      const budget = {
        code: 'wal_budget_not_enforced',
        severity: 'info',
        message: expect.stringContaining('planasonix_s'),
        fix: expect.stringContaining('slot_name'),
      };
      expect(await found({ slot_name: 'planasonix_s' }, false)).toEqual([budget, whole]);
      expect(await found({ slot_name: 'planasonix_s', snapshot: 'never' }, true)).toEqual([]);
      await client.query('DROP PUBLICATION planasonix_p');
    });

    it('names a slot that was not made for failover, with what makes it one', async () => {
      await client.query("SELECT pg_create_logical_replication_slot('planasonix_s', 'pgoutput')");
      const found = await findings({ failover: true });
      if (version < 17)
        expect(found).toMatchObject([{ code: 'config_invalid', message: expect.stringContaining('17 or later') }]);
      else {
        expect(found).toMatchObject([{ code: 'failover_unguarded' }, { code: 'failover_slot', severity: 'warning' }]);
        const replication = await open('r', {}, true);
        await replication.query(found[1]!.fix!.split(' -- ')[0]!);
        expect(await findings({ failover: true })).toMatchObject([{ code: 'failover_unguarded' }]);
      }
      await client.query("SELECT pg_drop_replication_slot('planasonix_s')");
    });

    it('knows a connection pooler by the process that answers, and so does the test of a connection', async () => {
      const pooler = await startPooler(server.port);
      const through = await open('planasonix_s control', { port: pooler.port });
      const wanted = { code: 'pooler', severity: 'warning', fix: 'Give the host and port of the server itself.' };
      expect(await findings({}, { client: through })).toMatchObject([wanted]);
      const report = await testConnection(connection({ port: pooler.port }), outbound, AbortSignal.timeout(8000));
      expect(report.checks).toContainEqual(expect.objectContaining(wanted));
      expect(report.checks.filter(({ severity, fix }) => severity !== 'info' && !fix)).toEqual([]);
      await through.end();
      await pooler.stop();
    });

    it('asks for the slot of another database to be named otherwise', async () => {
      await client.query('CREATE DATABASE other');
      const other = await open('o', { database: 'other' });
      await other.query("SELECT pg_create_logical_replication_slot('planasonix_s', 'pgoutput')");
      expect(await findings({})).toMatchObject([{ code: 'config_invalid', fix: 'Name another slot in slot_name.' }]);
      await other.query("SELECT pg_drop_replication_slot('planasonix_s')");
    });

    it('knows a slot whose WAL is gone (trap 9)', async () => {
      const admin = await server.connect();
      await admin.query("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
      await admin.query('SELECT pg_reload_conf()');
      await admin.query("SELECT pg_create_logical_replication_slot('planasonix_s', 'pgoutput')");
      const checks = await eventually('lost', async () => {
        await admin.query("SELECT pg_logical_emit_message(false, 'x', 'x')");
        await admin.query('SELECT pg_switch_wal()');
        await admin.query('CHECKPOINT');
        const seen = await findings({}, { ownsSlot: true });
        return seen.some((check) => check.code === 'slot_lost') ? seen : null;
      });
      expect(checks[0]).toMatchObject({ severity: 'error', fix: expect.stringContaining('onLostPosition') });
      await admin.query("SELECT pg_drop_replication_slot('planasonix_s')");
      await admin.query('ALTER SYSTEM RESET max_slot_wal_keep_size');
      await admin.query('SELECT pg_reload_conf()');
    });

    it('names who reads the slot, unless it is ourselves; release ends ourselves alone (trap 33)', async () => {
      await client.query('CREATE PUBLICATION planasonix_p FOR TABLE shop.orders');
      await client.query("SELECT pg_create_logical_replication_slot('planasonix_s', 'pgoutput')");
      const reads = async (name: string) => {
        const reader = await open(name, {}, true);
        reader
          .query(
            "START_REPLICATION SLOT planasonix_s LOGICAL 0/0 (proto_version '1', publication_names 'planasonix_p')",
          )
          .catch(() => undefined);
        await eventually('active', async () => {
          const { rows } = await client.query('SELECT active FROM pg_replication_slots');
          return rows[0].active === 't';
        });
        return reader;
      };
      const release = () =>
        releaseAtSource(
          { client, slots: ['planasonix_s'], publications: ['planasonix_p'], applicationName: 'planasonix_s' },
          AbortSignal.timeout(10_000),
        );
      const theirs = await reads('their reader');
      expect(await findings({})).toMatchObject([
        { code: 'slot_active', severity: 'warning', message: expect.stringContaining('their reader') },
      ]);
      expect(await release()).toMatchObject({
        released: [],
        remaining: [
          { what: 'slot planasonix_s', code: 'active_consumers', why: expect.stringMatching(/^Pid \d+/) },
          { what: 'publication planasonix_p' },
        ],
      });
      await theirs.end();
      await eventually('quiet', async () => {
        const { rows } = await client.query('SELECT active FROM pg_replication_slots');
        return rows[0].active === 'f';
      });
      await reads('planasonix_s');
      expect(await findings({})).toEqual([]);
      const both = ['slot planasonix_s', 'publication planasonix_p'];
      expect(await release()).toEqual({ released: both, remaining: [] });
      expect((await client.query('SELECT FROM pg_replication_slots')).rowCount).toBe(0);
      expect((await client.query('SELECT FROM pg_publication')).rowCount).toBe(0);
      // What is gone is given back.
      expect(await release()).toEqual({ released: both, remaining: [] });
    });
  });

  it('release says so when the source went away', async () => {
    const proxy = await startProxy({ targetPort: server.port });
    const session = await open('x', { port: proxy.port });
    proxy.cut();
    const report = await releaseAtSource(
      { client: session, slots: ['s'], publications: ['p'], applicationName: 'x' },
      AbortSignal.timeout(5000),
    );
    expect(report.remaining.map((one) => one.code)).toEqual(['source_unreachable', 'source_unreachable']);
    await proxy.stop();
  });

  it('a server without logical WAL, and slots and senders that are all taken, are named with the setting', async () => {
    const few = { max_replication_slots: '1', max_wal_senders: '1' };
    await server.restart('fast', { wal_level: 'replica', ...few, max_slot_wal_keep_size: '64MB' });
    client = await open('planasonix_s control');
    await client.query("SELECT pg_create_physical_replication_slot('taken')");
    await open('their reader', {}, true);
    const checks = await findings({});
    expect(checks.map(({ code, severity, fix }) => [code, severity, /\w+ = [\w'-]+/.exec(fix!)?.[0]])).toEqual([
      ['wal_level', 'error', "wal_level = 'logical'"],
      ['too_many_connections', 'error', 'max_replication_slots = 11'],
      ['too_many_connections', 'error', 'max_wal_senders = 11'],
      ['slot_may_be_lost', 'warning', 'max_slot_wal_keep_size = -1'],
    ]);
    expect(await findings({ snapshot: 'only' })).toEqual([]);
  });
});
