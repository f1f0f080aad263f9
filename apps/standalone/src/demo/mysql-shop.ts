import { startMariaDb } from '@planasonix/testing';
import { createConnection, type Connection } from 'mysql2/promise';
import { compareTexts, type TableComparison } from './compare.js';
import type { OpenSource } from './demo-source.js';
import { membersOf, objectOf } from './json-text.js';
import { bigMysqlText, jsonTextsOf, MYSQL_OPENING, MYSQL_TABLES, selectTexts } from './mysql-tables.js';
import { type Deal, openShop, type Trade } from './shop.js';

const someCustomer = 'FLOOR(1 + RAND() * 2000)';
const somePrice = 'ROUND(RAND() * 100, 2)';
// Chosen by themselves: a statement that changes rows would lock all that it goes through for its choice.
const chooseSku = 'SELECT sku INTO @sku FROM shop.products ORDER BY RAND() LIMIT 1';
const chooseOrder =
  'SELECT id INTO @order FROM shop.orders, (SELECT FLOOR(MAX(id) * RAND()) AS least FROM shop.orders) AS some WHERE id >= least ORDER BY id LIMIT 1';

const order = (lines: number): Deal => [
  chooseSku,
  `INSERT INTO shop.orders (customer_id, total, note, deliver, token)
     VALUES (${someCustomer}, ${somePrice}, IF(RAND() < 0.3, 'ring twice ☎', NULL), CURRENT_DATE, UNHEX(MD5(RAND())))`,
  `INSERT INTO shop.order_items
     SELECT LAST_INSERT_ID(), seq, @sku, FLOOR(1 + RAND() * 5), ${somePrice} FROM shop.seq_1_to_${lines}`,
  `UPDATE shop.products SET stock = stock - ${lines} WHERE sku = @sku`,
];

const DEALS: Trade['deals'] = [
  [40, () => order(1 + Math.floor(Math.random() * 4))],
  [
    25,
    () => [
      chooseOrder,
      `UPDATE shop.orders SET status = ELT(FLOOR(1 + RAND() * 5), 'placed', 'paid', 'packed', 'shipped', 'returned') WHERE id = @order`,
    ],
  ],
  [
    15,
    () => [
      `SET @customer = ${someCustomer}`,
      `UPDATE shop.customers SET points = points + ${somePrice}, profile = JSON_SET(profile, '$.seen', NOW(6)) WHERE id = @customer`,
    ],
  ],
  [
    10,
    () => [
      chooseSku,
      `INSERT INTO shop.carts (customer_id, items) VALUES (${someCustomer}, JSON_ARRAY(@sku))
         ON DUPLICATE KEY UPDATE items = JSON_MERGE_PRESERVE(items, VALUES(items))`,
    ],
  ],
  [6, () => [...order(2), 'ROLLBACK']],
  [4, () => [`INSERT INTO shop.customers (email, name) VALUES ('new@example.com', CONCAT('New ', RAND()))`]],
  // The key changes: for a consumer the old row goes and a new one comes.
  [
    4,
    () => [
      chooseSku,
      `UPDATE shop.products SET sku = CONCAT(SUBSTRING_INDEX(sku, '~', 1), '~', FLOOR(RAND() * 1e9)) WHERE sku = @sku`,
    ],
  ],
  [4, () => [chooseOrder, 'UPDATE shop.orders SET id = -id WHERE id = @order']],
  [
    5,
    () => [
      chooseOrder,
      'DELETE FROM shop.orders WHERE id = @order',
      'DELETE FROM shop.order_items WHERE order_id = @order',
    ],
  ],
  [
    2,
    () => [
      chooseSku,
      `UPDATE shop.products SET manual = ${bigMysqlText('FLOOR(1 + RAND() * 60)')}, changed = NOW(6) WHERE sku = @sku`,
    ],
  ],
  [1, () => ['SAVEPOINT s', ...order(1), 'ROLLBACK TO SAVEPOINT s', ...order(1)]],
  [0.1, () => ['TRUNCATE shop.carts']],
];

/** Deadlock, lock wait, key that is taken. */
const LOST_RACES = [1213, 1205, 1062];

export const MYSQL_TRADE: Trade = {
  opening: MYSQL_OPENING,
  deals: DEALS,
  isLostRace: (error) => LOST_RACES.includes((error as { errno?: number }).errno ?? 0),
};

export const openMysqlSource: OpenSource = async (sessions) => {
  const server = await startMariaDb({ config: { innodb_flush_log_at_trx_commit: 1, sync_binlog: 1 } });
  const { host, port, user, password } = server;
  const login = { host, port, user, password };
  const dial = () => createConnection({ ...login, charset: 'utf8mb4_general_ci', dateStrings: true });
  const writers = await Promise.all(Array.from({ length: sessions }, dial));
  return {
    async stop() {
      for (const writer of writers) writer.destroy();
      await server.stop();
    },
    openShop: () => openShop(writers, MYSQL_TRADE),
    tables: MYSQL_TABLES.map(({ name }) => name),
    connection: { type: 'mariadb', config: { ...login, sslMode: 'disable' } },
    sourceType: 'mysql_cdc',
    settings: {},
    aboutTimes: ' (MariaDB dates commits in whole seconds)',
    compare: async (rows) => compareWithMysql(await dial(), rows),
  };
};

/** The comparison of rows as texts, made here: the text of each column is what the server says of it. */
export async function compareWithMysql(
  db: Connection,
  rows: ReadonlyMap<string, readonly string[]>,
): Promise<TableComparison[]> {
  await db.query("SET time_zone = '+00:00'");
  const found: TableComparison[] = [];
  for (const table of MYSQL_TABLES) {
    const [answer] = await db.query(selectTexts(table));
    const inSource = (answer as Record<string, string | null>[]).map((row) => objectOf(jsonTextsOf(table, row)));
    const inLog = (rows.get(table.name) ?? []).map((text) => objectOf(membersOf(text)));
    found.push(compareTexts(table.name, inSource, inLog));
  }
  db.destroy();
  return found;
}
