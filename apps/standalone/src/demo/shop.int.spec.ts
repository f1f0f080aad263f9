import { startPostgres, type Postgres } from '@planasonix/testing';
import type { Client } from 'pg';
import { compareWithSource, isEqual } from './compare.js';
import { POSTGRES_TRADE } from './postgres-shop.js';
import { openShop } from './shop.js';
import { SHOP_TABLES } from './shop-tables.js';

describe('the shop of the demo', () => {
  let server: Postgres;
  let client: Client;
  beforeAll(async () => {
    server = await startPostgres();
    client = await server.connect();
  });
  afterAll(() => server.stop('immediate'));

  it('trades without a failure, and the comparison finds every difference', async () => {
    const shop = await openShop(await Promise.all([1, 2, 3, 4].map(() => server.connect())), POSTGRES_TRADE);
    const closing = new AbortController();
    setTimeout(() => closing.abort(), 3000);
    await shop.trade(closing.signal);
    expect(shop.committed).toBeGreaterThan(50);
    expect(await shop.mark()).toBe(1);

    const rows = new Map<string, string[]>();
    for (const table of SHOP_TABLES) {
      const { rows: found } = await client.query<{ row: string }>(`SELECT to_jsonb(t)::text AS row FROM ${table} t`);
      rows.set(
        table,
        found.map(({ row }) => row),
      );
    }
    const equal = await compareWithSource(client, SHOP_TABLES, rows);
    expect(equal.filter(isEqual)).toHaveLength(SHOP_TABLES.length);
    await client.query('DROP TABLE folded');

    // One digit more, one row less.
    const orders = rows.get('shop.orders')!;
    orders[0] = orders[0]!.replace(/"total": ([\d.]+)/, '"total": $10');
    rows.get('shop.customers')!.pop();
    const found = await compareWithSource(client, SHOP_TABLES, rows);
    const of = (table: string) => found.find((each) => each.table === table)!;
    expect(of('shop.orders')).toMatchObject({ missing: 1, extra: 1 });
    expect(of('shop.customers')).toMatchObject({ missing: 1, extra: 0 });
    expect(found.filter(isEqual)).toHaveLength(SHOP_TABLES.length - 2);
  });
});
