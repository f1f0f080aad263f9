import type { Outbound } from '@planasonix/core';
import { startPostgres, type Postgres } from '@planasonix/testing';
import type { Client } from 'pg';
import { checkOrder, wrongOrder } from './check-order.js';
import { FUNCTIONS, OPERATORS } from './condition-words.js';
import { parseConfig } from './config.js';
import { openSession } from './session.js';
import { resolveTables } from './tables.js';

const outbound: Outbound = { resolve: (host) => Promise.resolve(host) };

describe('an order, held against the source', () => {
  let server: Postgres;
  let control: Client;
  const config = parseConfig({
    tables: ['shop.*', 'bare.heap'],
    exclude_tables: ['shop.audit'],
    exclude_columns: { 'shop.users': ['password_hash', 'ÉTAT'] },
  });
  const check = (tables: string[], where: string | null = null) => checkOrder(control, config, { tables, where });
  const codes = async (...of: Parameters<typeof check>) => (await check(...of)).map(({ code }) => code);

  beforeAll(async () => {
    server = await startPostgres({ version: 14 });
    const admin = await server.connect();
    await admin.query(`CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, v text);
      CREATE TABLE shop.audit (id int PRIMARY KEY); CREATE TABLE shop.items (id int PRIMARY KEY, big bool);
      CREATE TABLE shop.users (id int PRIMARY KEY, password_hash text, "ÉTAT" text, note text, at timestamptz, tags text[], doc jsonb);
      CREATE TABLE shop.days (day date PRIMARY KEY) PARTITION BY RANGE (day);
      CREATE SCHEMA bare; CREATE TABLE bare.heap (v int); ALTER TABLE bare.heap REPLICA IDENTITY FULL;
      CREATE FUNCTION shop.mine(int) RETURNS bool LANGUAGE sql AS 'SELECT $1 > 1'`);
    const config = { host: server.host, port: server.port, database: 'postgres', user: 'postgres', password: 'postgres' }; // prettier-ignore
    control = await openSession({ id: 'c', type: 'postgres', config }, outbound, { name: 'planasonix_x control' });
  });
  afterAll(() => server?.stop('immediate'));

  it('is fine for tables of the stream, and a condition that fits each of them', async () => {
    expect(await check(['shop.orders'])).toEqual([]);
    expect(await check(['shop.*'], '1 = 1')).toEqual([]);
    expect(await check(['SHOP.Orders', 'shop.items'], 'id > 5 -1')).toEqual([]);
    expect(await check(['shop.orders'], "lower(v) LIKE 'a;b)%' AND orders.id & 3 = 1")).toEqual([]);
    expect(await check(['shop.days'], "day >= DATE '2025-01-01'")).toEqual([]);
  });

  it('names tables that the stream does not read, and those that it does', async () => {
    for (const tables of [['shop.nothing'], ['shop.audit'], ['other.*'], ['shop.orders', 'shop.nothing']])
      expect(await check(tables)).toMatchObject([{ code: 'no_tables', fix: expect.stringContaining('shop.orders') }]);
    expect(await codes(['shop.orders; DROP'])).toEqual(['config_invalid']);
  });

  it('blames no condition for a table that is gone a moment later', async () => {
    const [table] = await resolveTables(control, parseConfig({ tables: ['shop.orders'] }), null);
    const dropped = { ...table!, table: 'orders_of_yesterday' };
    expect(await wrongOrder(control, [dropped], 'id = 1')).toMatchObject([
      { code: 'no_tables', message: expect.stringContaining('shop.orders_of_yesterday is gone') },
    ]);
  });

  it('is refused with a condition for a table without a key, of which all rows are read or none (Invariant 2)', async () => {
    expect(await check(['bare.heap'])).toEqual([]);
    expect(await check(['shop.orders', 'bare.heap'], '1 = 1')).toMatchObject([
      { code: 'where_invalid', message: expect.stringContaining('bare.heap, which has no key') },
    ]);
  });

  it('is refused for a condition that the server does not take, for any of the tables', async () => {
    for (const where of ['id <', 'nope = 1', 'id', 'count(*) > 1', 'mine(id)', "id = 'x'", 'true LIMIT 1'])
      expect([where, await codes(['shop.orders'], where)]).toEqual([where, ['where_invalid']]);
    for (const where of ['id <', "v = 'é' AND", 'id IN (1) OR\n'])
      expect(await check(['shop.orders'], where)).toMatchObject([
        { message: 'The condition ends amid an expression.' },
      ]);
    expect(await check(['shop.orders', 'shop.items'], 'big')).toMatchObject([
      { code: 'where_invalid', message: expect.stringContaining('shop.orders') },
    ]);
    expect(await codes(['shop.orders'], 'true) OR (true')).toEqual(['where_invalid']);
  });

  it.each([
    String.raw`U&"pass\0077ord_hash" LIKE 'a%'`,
    `U&"pass!0077ord_hash" UESCAPE '!' LIKE 'a%'`,
    `"password_hash" LIKE 'a%'`,
    `"ÉTAT" = 'x'`,
    `users::text LIKE '%x%'`,
    `(users).note = 'x' AND users.row_to_json IS NULL`,
    `query_to_xml('select password_hash from shop.users', true, true, '')::text LIKE '%x%'`,
    `pg_read_file('/etc/passwd') LIKE '%root%'`,
    `pg_terminate_backend(id)`,
    `pg_drop_replication_slot(note) IS NULL`,
    `'shop.users'::regclass IS NOT NULL`,
    `shop.mine(id)`,
    `id OPERATOR(pg_catalog.=) 5`,
  ])('is refused for a condition that reaches beyond what the stream reads: %s', async (where) => {
    expect(await check(['shop.users'], where)).toMatchObject([
      { code: 'where_invalid', message: expect.stringMatching(/^The condition /), fix: expect.any(String) },
    ]);
    const [found] = await check(['shop.users'], where);
    expect(found!.message).not.toContain('does not fit');
  });

  it.each([
    `users.id > 5 OR shop.users.id=-1 OR (id, note) > (5, E'O\\'Brien')`,
    `at < TIMESTAMP WITH TIME ZONE '2025-01-01 00:00+00' AND at > now() - interval '1 day'`,
    `at::timestamp with time zone AT TIME ZONE 'UTC' < current_date AND extract(year FROM at) = 2025`,
    `lower(trim(both ' ' from note)) = pg_catalog.upper(left(note, 3)) AND substring(note from 1 for 2) <> ''`,
    `doc->'a'->>'b' = 'x' AND doc @> '{"k":1}' AND doc ? 'k' AND jsonb_typeof(doc #> '{a}') = 'object'`,
    `tags[1] = 'x' OR tags[1:2] && ARRAY['y']::text[] OR 'z' = ANY (tags) OR cardinality(tags) > 0`,
    `CASE WHEN id % 2 = 0 THEN true ELSE coalesce(note, '') ~* '^[a-z]+$' END`,
    `CAST(note AS numeric(10,2)) * 1.5e3 >= .5 AND note::double precision < 2`,
  ])('is fine for a condition of what it reads: %s', async (where) => {
    expect(await check(['shop.users'], where)).toEqual([]);
  });

  it('may call and use nothing that could do more than work out a value', async () => {
    const admin = await server.connect();
    const listed = { functions: [...FUNCTIONS], operators: [...OPERATORS] };
    const { rows } = await admin.query(
      `SELECT proname AS name FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile = 'v' AND proname = ANY ($1)
       UNION ALL SELECT oprname FROM pg_operator o JOIN pg_proc p ON p.oid = oprcode WHERE provolatile = 'v' AND oprname = ANY ($2)`,
      [listed.functions, listed.operators],
    );
    expect(rows).toEqual([]);
    const known = await admin.query<{ names: string[] }>(
      `SELECT array_agg(DISTINCT proname::text) AS names FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace`,
    );
    const grammar = ['coalesce', 'greatest', 'least', 'nullif', 'trim'];
    expect(listed.functions.filter((one) => !known.rows[0]!.names.includes(one) && !grammar.includes(one))).toEqual([]);
    await admin.end();
  });

  it('says that the source could not be asked, and not that the order is wrong', async () => {
    await server.stop('immediate');
    expect(await codes(['shop.orders'], 'id > 1')).toEqual(['source_unreachable']);
  });
});
