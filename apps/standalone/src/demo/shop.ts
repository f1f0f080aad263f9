import type { Client } from 'pg';
import { bigText, SHOP_ROWS, SHOP_SCHEMA } from './shop-tables.js';

/** Customers come and go: live writes of every kind, from several sessions at once. */
export interface Shop {
  /** Writes until `signal` is aborted; resolves when the last transaction has ended. */
  trade(signal: AbortSignal): Promise<void>;
  /** Commits a row that is the last thing so far, and gives its number. */
  mark(): Promise<number>;
  readonly committed: number;
  readonly rolledBack: number;
}

/** Statements of one transaction. `ROLLBACK` at the end undoes them. */
type Deal = readonly string[];

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

/** Weight and what is done. */
const DEALS: readonly (readonly [number, () => Deal])[] = [
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
const WEIGHT = DEALS.reduce((sum, [weight]) => sum + weight, 0);

function nextDeal(): Deal {
  let left = Math.random() * WEIGHT;
  for (const [weight, make] of DEALS) if ((left -= weight) <= 0) return make();
  return DEALS[0]![1]();
}

/** Two sessions that wanted the same rows: one of them is undone by the server, as in any shop. */
const LOST_RACES = ['40P01', '40001', '23505'];

export async function openShop(sessions: readonly Client[]): Promise<Shop> {
  const [first] = sessions;
  await first!.query(SHOP_SCHEMA);
  await first!.query(SHOP_ROWS);
  let committed = 0;
  let rolledBack = 0;
  let marks = 0;

  async function make(session: Client, deal: Deal): Promise<void> {
    try {
      for (const statement of ['BEGIN', ...deal]) await session.query(statement);
      if (deal.at(-1) === 'ROLLBACK') rolledBack++;
      else {
        await session.query('COMMIT');
        committed++;
      }
    } catch (error) {
      await session.query('ROLLBACK');
      if (!LOST_RACES.includes((error as { code?: string }).code ?? '')) throw error;
      rolledBack++;
    }
  }

  return {
    async trade(signal) {
      await Promise.all(
        sessions.map(async (session) => {
          while (!signal.aborted) {
            await make(session, nextDeal());
            // Business comes in waves.
            const wave = 1 + 0.8 * Math.sin(Date.now() / 6000);
            await new Promise((resolve) => setTimeout(resolve, (8 + Math.random() * 24) / wave));
          }
        }),
      );
    },
    async mark() {
      await first!.query('INSERT INTO shop.marks (id) VALUES ($1)', [++marks]);
      return marks;
    },
    get committed() {
      return committed;
    },
    get rolledBack() {
      return rolledBack;
    },
  };
}
