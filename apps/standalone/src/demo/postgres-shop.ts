import { startPostgres } from '@planasonix/testing';
import { compareWithSource } from './compare.js';
import type { OpenSource } from './demo-source.js';
import { type Deal, openShop, type Trade } from './shop.js';
import { bigText, SHOP_ROWS, SHOP_SCHEMA, SHOP_TABLES } from './shop-tables.js';

const someCustomer = '(1 + (random() * 1999)::bigint)';
const someSku = '(SELECT sku FROM shop.products ORDER BY random() LIMIT 1)';
const someOrder =
  '(SELECT id FROM shop.orders WHERE id >= (SELECT max(id) * random() FROM shop.orders) ORDER BY id LIMIT 1)';
const somePrice = '(random() * 100)::numeric(12, 2)';

const order = (lines: number): Deal => [
  `WITH made AS (INSERT INTO shop.orders (customer_id, total, note, deliver)
     VALUES (${someCustomer}, ${somePrice}, CASE WHEN random() < 0.3 THEN 'ring twice ☎' END, daterange(current_date, NULL)) RETURNING id)
   INSERT INTO shop.order_items SELECT id, line, ${someSku}, 1 + (random() * 4)::int, ${somePrice}
   FROM made, generate_series(1, ${lines}) line`,
  `UPDATE shop.products SET stock = stock - ${lines} WHERE sku = ${someSku}`,
];

const DEALS: Trade['deals'] = [
  [40, () => order(1 + Math.floor(Math.random() * 4))],
  [
    25,
    () => [
      `UPDATE shop.orders SET status = (enum_range(NULL::shop.order_status))[1 + (random() * 4)::int] WHERE id = ${someOrder}`,
    ],
  ],
  [
    15,
    () => [
      `UPDATE shop.customers SET points = points + ${somePrice}, profile = profile || jsonb_build_object('seen', now()) WHERE id = ${someCustomer}`,
    ],
  ],
  [
    10,
    () => [
      `INSERT INTO shop.carts VALUES (${someCustomer}, jsonb_build_array(${someSku})) ON CONFLICT (customer_id) DO UPDATE SET items = shop.carts.items || EXCLUDED.items`,
    ],
  ],
  [6, () => [...order(2), 'ROLLBACK']],
  [4, () => [`INSERT INTO shop.customers (email, name) VALUES ('new@example.com', 'New ' || random())`]],
  // The key changes: for a consumer the old row goes and a new one comes.
  [
    4,
    () => [
      `UPDATE shop.products SET sku = split_part(sku, '~', 1) || '~' || (random() * 1e9)::int WHERE sku = ${someSku}`,
    ],
  ],
  [
    4,
    () => [`UPDATE shop.orders SET id = nextval(pg_get_serial_sequence('shop.orders', 'id')) WHERE id = ${someOrder}`],
  ],
  [
    5,
    () => [
      `WITH gone AS (DELETE FROM shop.orders WHERE id = ${someOrder} RETURNING id) DELETE FROM shop.order_items USING gone WHERE order_id = gone.id`,
    ],
  ],
  [
    2,
    () => [
      `UPDATE shop.products SET manual = ${bigText('(1 + (random() * 60)::int)')}, changed = now() WHERE sku = ${someSku}`,
    ],
  ],
  [1, () => ['SAVEPOINT s', ...order(1), 'ROLLBACK TO SAVEPOINT s', ...order(1)]],
  [0.1, () => ['TRUNCATE shop.carts']],
];

const LOST_RACES = ['40P01', '40001', '23505'];

export const POSTGRES_TRADE: Trade = {
  opening: [SHOP_SCHEMA, SHOP_ROWS],
  deals: DEALS,
  isLostRace: (error) => LOST_RACES.includes((error as { code?: string }).code ?? ''),
};

export const openPostgresSource: OpenSource = async (sessions) => {
  // With a limit, the screen can say when the slot would be lost.
  const server = await startPostgres({ config: { fsync: 'on', max_slot_wal_keep_size: '4GB' } });
  const writers = await Promise.all(Array.from({ length: sessions }, () => server.connect()));
  const { port, password } = server;
  const login = { host: '127.0.0.1', port, database: 'postgres', user: 'postgres', password };
  return {
    stop: () => server.stop('immediate'),
    openShop: () => openShop(writers, POSTGRES_TRADE),
    tables: SHOP_TABLES,
    connection: { type: 'postgres', config: { ...login, sslMode: 'disable' } },
    sourceType: 'postgres_cdc',
    settings: { wal_budget: { bytes: '1GB' } },
    aboutTimes: '',
    compare: async (rows) => compareWithSource(await server.connect(), SHOP_TABLES, rows),
  };
};
