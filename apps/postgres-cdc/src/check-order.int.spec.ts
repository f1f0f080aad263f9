import type { Outbound } from '@planasonix/core';
import { startPostgres, type Postgres } from '@planasonix/testing';
import type { Client } from 'pg';
import { checkOrder } from './check-order.js';
import { parseConfig } from './config.js';
import { openSession } from './session.js';

const outbound: Outbound = { resolve: (host) => Promise.resolve(host) };

describe('an order, held against the source', () => {
  let server: Postgres;
  let control: Client;
  const config = parseConfig({ tables: ['shop.*'], exclude_tables: ['shop.audit'] });
  const check = (tables: string[], where: string | null = null) => checkOrder(control, config, { tables, where });
  const codes = async (...of: Parameters<typeof check>) => (await check(...of)).map(({ code }) => code);

  beforeAll(async () => {
    server = await startPostgres({ version: 14 });
    const admin = await server.connect();
    await admin.query(`CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, v text);
      CREATE TABLE shop.audit (id int PRIMARY KEY); CREATE TABLE shop.items (id int PRIMARY KEY, big bool);
      CREATE TABLE shop.days (day date PRIMARY KEY) PARTITION BY RANGE (day);
      CREATE FUNCTION shop.mine(int) RETURNS bool LANGUAGE sql AS 'SELECT $1 > 1'`);
    const config = { host: server.host, port: server.port, database: 'postgres', user: 'postgres', password: 'postgres' }; // prettier-ignore
    control = await openSession({ id: 'c', type: 'postgres', config }, outbound, { name: 'planasonix_x control' });
  }, 60_000);
  afterAll(() => server?.stop('immediate'));

  it('is fine for tables of the stream, and a condition that fits each of them', async () => {
    expect(await check(['shop.orders'])).toEqual([]);
    expect(await check(['shop.*'], '1 = 1')).toEqual([]);
    expect(await check(['SHOP.Orders', 'shop.items'], 'id > 5 -1')).toEqual([]);
    expect(await check(['shop.orders'], "shop.mine(id) AND v LIKE 'a;b)%'")).toEqual([]);
    expect(await check(['shop.days'], "day >= DATE '2025-01-01'")).toEqual([]);
  });

  it('names tables that the stream does not read, and those that it does', async () => {
    for (const tables of [['shop.nothing'], ['shop.audit'], ['other.*'], ['shop.orders', 'shop.nothing']])
      expect(await check(tables)).toMatchObject([{ code: 'no_tables', fix: expect.stringContaining('shop.orders') }]);
    expect(await codes(['shop.orders; DROP'])).toEqual(['config_invalid']);
  });

  it('is refused for a condition that the server does not take, for any of the tables', async () => {
    for (const where of ['id <', 'nope = 1', 'id', 'count(*) > 1', 'mine(id)', "id = 'x'", 'true LIMIT 1'])
      expect([where, await codes(['shop.orders'], where)]).toEqual([where, ['where_invalid']]);
    expect(await check(['shop.orders', 'shop.items'], 'big')).toMatchObject([
      { code: 'where_invalid', message: expect.stringContaining('shop.orders') },
    ]);
    expect(await codes(['shop.orders'], 'true) OR (true')).toEqual(['where_invalid']);
  });

  it('says that the source could not be asked, and not that the order is wrong', async () => {
    await server.stop('immediate');
    expect(await codes(['shop.orders'], 'id > 1')).toEqual(['source_unreachable']);
  });
});
