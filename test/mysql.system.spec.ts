import { eventually, startMariaDb, type Mysqld } from '@planasonix/testing';
import type { Redis } from 'ioredis';
import { createConnection, type Connection } from 'mysql2/promise';
import type { Client as StoreClient } from 'pg';
import { fold, readLog, repeatedIds } from './log.js';
import { startProduct, type Product } from './product.js';
import { makePipeline, start, until } from './shop.js';
import type { Stack } from './stack.js';

jest.setTimeout(300_000);

describe('MariaDB into the log, from outside', () => {
  let source: Mysqld;
  let db: Connection;
  let stack: Stack;
  let redis: Redis;
  let store: StoreClient;
  let connectionId: string;
  let pipelineId: string;
  let product: Product;

  const dial = () => {
    const { host, port, user, password } = source;
    return createConnection({ host, port, user, password, multipleStatements: true, charset: 'utf8mb4_general_ci' });
  };

  beforeAll(async () => {
    product = await startProduct('mysql-cdc');
    ({ stack, redis, store } = product);
    source = await startMariaDb();
    product.endAfter(() => source.stop());
    db = await dial();
    await db.query(`CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop;
      CREATE TABLE orders (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, customer VARCHAR(40), total DECIMAL(12,2), state ENUM('new','paid','sent') DEFAULT 'new', placed DATETIME(6) DEFAULT NOW(6));
      CREATE TABLE items (order_id BIGINT UNSIGNED, line INT, sku CHAR(8), n INT, PRIMARY KEY (order_id, line))`);
    for (let i = 0; i < 200; i++) await order();
    product.endBefore(() => db.end());
    pipelineId = await makePipeline(stack);
    const { host, port, user, password } = source;
    const config = { host, port, user, password, sslMode: 'prefer' };
    const made = await stack.api('POST', '/api/connections', { name: 'shop', type: 'mariadb', config });
    connectionId = made.id;
  });
  afterAll(() => product?.end());

  const redial = async (): Promise<boolean> => {
    db.destroy();
    db = await dial();
    return true;
  };

  let orders = 0;
  async function order(): Promise<void> {
    orders += 1;
    await db.query(`START TRANSACTION; INSERT INTO shop.orders (customer, total) VALUES ('c${orders % 7} é😀', ${orders}.25); SET @id = CAST(LAST_INSERT_ID() AS SIGNED);
      INSERT INTO shop.items VALUES (@id, 1, 'sku-1', ${orders}), (@id, 2, 'sku-2', 1); UPDATE shop.orders SET state = 'paid' WHERE id = @id - 5;
      DELETE FROM shop.items WHERE order_id = @id - 20; COMMIT`);
  }

  async function stream(name: string, config: object): Promise<string> {
    const body = { name, sourceType: 'mysql_cdc', connectionId, pipelineId, config };
    const made = await stack.api('POST', '/api/streams', body);
    expect({ status: made.status, text: made.text }).toMatchObject({ status: 201 });
    return made.id;
  }

  /** Pid of the worker that holds the lease. */
  async function owner(id: string): Promise<number> {
    const { rows } = await store.query<{ owner: string | null }>(
      'SELECT lease_owner AS owner FROM streams WHERE id = $1',
      [id],
    );
    return Number(/-(\d+)-\w+$/.exec(rows[0]?.owner ?? '')?.[1]);
  }

  /** Rows as the tables hold them: subject and key → the values that tell a wrong row. */
  async function tables(): Promise<Map<string, object>> {
    const [found] = await db.query('SELECT id, customer, CAST(total AS CHAR) AS total, state FROM shop.orders');
    const [lines] = await db.query('SELECT order_id, line, sku, n FROM shop.items');
    return new Map<string, object>([
      ...(found as { id: number; customer: string; total: string; state: string }[]).map(
        ({ id, customer, total, state }) =>
          [`shop.orders {"id":${id}}`, { customer, total: Number(total), state }] as const,
      ),
      ...(lines as { order_id: number; line: number; sku: string; n: number }[]).map(
        ({ order_id: id, line, sku, n }) => [`shop.items {"order_id":${id},"line":${line}}`, { sku, n }] as const,
      ),
    ]);
  }

  async function expectEqual(id: string): Promise<void> {
    await db.query("INSERT INTO shop.orders (customer, total) VALUES ('last of all', 1)");
    await eventually(
      'the last order is there',
      async () => (await readLog(redis, id)).some(({ text }) => text.includes('last of all')),
      {
        timeoutMs: 60_000,
      },
    );
    const events = await readLog(redis, id);
    expect(repeatedIds(events)).toBe(0);
    const folded = new Map(
      [...fold(events)].map(([key, row]) => [
        key,
        key.startsWith('shop.orders')
          ? { customer: row['customer'], total: row['total'], state: row['state'] }
          : { sku: row['sku'], n: row['n'] },
      ]),
    );
    expect(new Map([...folded].sort())).toEqual(new Map([...(await tables())].sort()));
    await db.query("DELETE FROM shop.orders WHERE customer = 'last of all'");
  }

  it('knows the type, tests the connection, and says before the start what is missing', async () => {
    const types = await stack.api('GET', '/api/source-types');
    expect(JSON.stringify(types.json)).toContain('"mysql_cdc"');
    const test = await stack.api('POST', `/api/connections/${connectionId}/test`);
    expect(test.json).toMatchObject({ ok: true });
    const nothing = await stack.api('POST', '/api/streams', {
      ...{ name: 'nothing', sourceType: 'mysql_cdc', connectionId, pipelineId, config: { tables: ['shop.nowhere'] } },
    });
    expect([nothing.status, nothing.json.error.code]).toEqual([400, 'no_tables']);
    const id = await stream('missing', { tables: ['shop.orders', 'shop.nowhere'] });
    const { a } = await stack.api('POST', `/api/streams/${id}/check`);
    expect(a.ok).toBe(false);
    expect(a.checks).toContainEqual(expect.objectContaining({ code: 'tables_missing', severity: 'error' }));
    const wrong = await stack.api('POST', '/api/streams', {
      ...{ name: 'wrong', sourceType: 'mysql_cdc', connectionId, pipelineId, config: { table: ['shop.orders'] } },
    });
    expect(wrong.status).toBe(400);
    expect(wrong.text).toContain('tables');
  });

  it('has what the tables have, each event once, over kills of its worker and of the server', async () => {
    const id = await stream('orders', { tables: ['shop.orders', 'shop.items'] });
    let writing = true;
    const writer = (async () => {
      // One that fails may have been committed; what the tables hold in the end is what counts.
      while (writing) await order().catch(() => eventually('the server is back', redial, { timeoutMs: 60_000 }));
    })();
    await start(stack, id);
    const more = async (what: string) => {
      const before = await redis.xlen(`plnx:events:{${id}}`);
      await eventually(what, async () => (await redis.xlen(`plnx:events:{${id}}`)) > before + 100, {
        timeoutMs: 60_000,
      });
    };
    await more('events come');
    for (let kill = 0; kill < 2; kill++) {
      const killed = await owner(id);
      process.kill(killed, 'SIGKILL');
      await eventually('another process has it', async () => ![killed, NaN].includes(await owner(id)), {
        timeoutMs: 60_000,
      });
      await more(`events come after kill ${kill}`);
    }
    await source.kill();
    await source.start();
    await more('events come after the server is back');
    writing = false;
    await writer;
    await expectEqual(id);
    await eventually('the lag is 0', async () => {
      const { a } = await stack.api('GET', `/api/streams/${id}/metrics?window=1m`);
      return a.lag_seconds === 0 && a.lag_certain;
    });
    expect((await stack.api('GET', `/api/streams/${id}`)).a.status).toBe('running');
  });

  it('reads rows again on order, and refuses what would see more than the stream reads', async () => {
    const id = await stream('ordered', {
      ...{ tables: ['shop.orders'], snapshot: 'never' },
      exclude_columns: { 'shop.orders': ['customer'] },
    });
    await start(stack, id);
    const place = (where: string) =>
      stack.api('POST', `/api/streams/${id}/snapshot`, { tables: ['shop.orders'], where });
    for (const [where, said] of [
      ["customer LIKE 'c%'", 'customer'],
      ['SLEEP(5) = 0', 'sleep'],
      ['id IN (SELECT 1)', 'select'],
    ] as const) {
      const refused = await place(where);
      expect([refused.status, refused.json.error.message]).toEqual([400, expect.stringContaining(said)]);
    }
    const made = await place('id <= 3');
    expect([made.status, made.a.state]).toEqual([201, 'waiting']);
    await eventually('the order is done', async () => {
      const { json } = await stack.api('GET', `/api/streams/${id}/snapshots`);
      return json.data.some((one: { id: string; attributes: { state: string } }) => one.id === made.id && one.attributes.state === 'done'); // prettier-ignore
    });
    const rows = (await readLog(redis, id)).filter((event) => event.id.includes(made.id));
    expect(rows.map((event) => event.partitionkey).sort()).toEqual([1, 2, 3].map((n) => `{"id":${n}}`));
    expect((await stack.api('DELETE', `/api/streams/${id}`)).status).toBe(200);
  });

  it('pauses, resumes, stops, and says that its log is gone', async () => {
    const id = await stream('stops', { tables: ['shop.orders'], snapshot: 'never' });
    await start(stack, id);
    const count = async () => (await readLog(redis, id)).length;
    await order();
    await eventually('two events are there', async () => (await count()) === 2);
    expect((await stack.api('POST', `/api/streams/${id}/pause`)).a.status).toBe('paused');
    await order();
    await eventually('the lag grows', async () => {
      const { a } = await stack.api('GET', `/api/streams/${id}/metrics?window=1m`);
      return a.lag_seconds > 0;
    });
    expect(await count()).toBe(2);
    const place = async () => (await stack.api('GET', `/api/streams/${id}/position`)).a.position as { file: string; pos: number }; // prettier-ignore
    const { file, pos } = await place();
    expect((await stack.api('POST', `/api/streams/${id}/resume`)).a.status).toBe('running');
    await eventually('four are there', async () => (await count()) === 4);
    expect((await stack.api('POST', `/api/streams/${id}/stop`)).a.status).toBe('stopped');
    // Set back, changes come again, with their ids.
    const set = (to: object) => stack.api('PUT', `/api/streams/${id}/position`, { position: to });
    expect((await set({ file, pos: pos + 1 })).json.error.code).toBe('position_refused');
    expect((await set({ file, pos })).a.position).toMatchObject({ file, pos });
    await start(stack, id);
    await eventually('two of them are there again', async () => (await count()) === 6);
    const ids = (await readLog(redis, id)).map((event) => event.id);
    expect(ids.slice(4)).toEqual(ids.slice(2, 4));
    expect((await stack.api('POST', `/api/streams/${id}/stop`)).a.status).toBe('stopped');
    await order();
    await db.query('FLUSH BINARY LOGS; FLUSH BINARY LOGS');
    const [logs] = await db.query('SHOW BINARY LOGS');
    const { Log_name: last } = (logs as { Log_name: string }[]).at(-1)!;
    await eventually('the other stream is past it', async () => {
      await db.query(`PURGE BINARY LOGS TO '${last}'`);
      const [left] = await db.query('SHOW BINARY LOGS');
      return (left as unknown[]).length === 1;
    });
    await until(stack, id, 'error');
    const { a } = await stack.api('GET', `/api/streams/${id}`);
    expect(a.last_error).toMatchObject({ code: 'log_purged' });
    expect((await stack.api('POST', `/api/streams/${id}/start`)).json.error.code).toBe('position_lost');
    expect((await stack.api('POST', `/api/streams/${id}/start`, { onLostPosition: 'skip' })).status).toBe(200);
    await until(stack, id, 'running');
    await order();
    await eventually('it goes on', async () => (await count()) === 8);
    expect((await stack.api('DELETE', `/api/streams/${id}`)).status).toBe(200);
  });
});
