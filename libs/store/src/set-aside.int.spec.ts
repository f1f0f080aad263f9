import { startPostgres, type Postgres } from '@planasonix/testing';
import type { DataSource } from 'typeorm';
import { openStore, PgStreamLedger, SecretBox, SetAsideStore } from './index.js';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

describe('records that are set aside', () => {
  let server: Postgres;
  let store: DataSource;
  let ledger: PgStreamLedger;
  const held = { streamId: 'str_1', epoch: 3 };
  const record = (n: number) => ({ id: `r${n}`, place: `orders/0 at ${n}`, reason: 'No.', timeMs: n === 0 ? -1 : n });

  beforeAll(async () => {
    server = await startPostgres();
    store = await openStore(server.adminUrl, { log: quiet });
    ledger = new PgStreamLedger(store, new SecretBox(Buffer.alloc(32, 1).toString('base64')));
    await store.query("INSERT INTO workspaces (id, name) VALUES ('ws_1', 'one'), ('ws_2', 'two')");
    await store.query("INSERT INTO pipelines (id, workspace_id, name, output) VALUES ('pl_1', 'ws_1', 'p', '{}')");
    await store.query(
      "INSERT INTO streams (id, workspace_id, name, source_type, pipeline_id, config, epoch) VALUES ('str_1', 'ws_1', 's', 'kafka', 'pl_1', '{}', 3)",
    );
  });
  afterAll(async () => {
    await store.destroy();
    await server.stop('immediate');
  });

  it('are kept once, by the owner alone (Invariant 3), the newest of many (Invariant 6)', async () => {
    expect(await ledger.setAside(held, [record(0), record(1)])).toBe(2);
    expect(await ledger.setAside(held, [record(1), record(2)])).toBe(1);
    expect(await ledger.setAside({ ...held, epoch: 2 }, [record(9)])).toBeNull();
    const many = Array.from({ length: 10_000 }, (_, i) => record(i + 3));
    expect(await ledger.setAside(held, many)).toBe(10_000);
    const list = new SetAsideStore(store);
    const page = await list.list('ws_1', 'str_1', 2, null);
    expect(page.map(({ place }) => place)).toEqual(['orders/0 at 10002', 'orders/0 at 10001']);
    const [next] = await list.list('ws_1', 'str_1', 1, page[1]!.id);
    expect(next!.place).toBe('orders/0 at 10000');
    expect(await list.list('ws_2', 'str_1', 10, null)).toEqual([]);
    const [{ n }] = await store.query("SELECT count(*)::int AS n FROM set_aside WHERE stream_id = 'str_1'");
    expect(n).toBe(10_000);
  });

  it('are kept whatever their time is: none where there is none, the last that can be told where it is beyond', async () => {
    await store.query(
      "INSERT INTO streams (id, workspace_id, name, source_type, pipeline_id, config, epoch) VALUES ('str_2', 'ws_1', 't', 'kafka', 'pl_1', '{}', 1)",
    );
    // Nanoseconds, as some producers write them.
    const times = [-1, 0, 1_700_000_000_123, 1.7e18, Number.MAX_SAFE_INTEGER];
    const records = times.map((timeMs, n) => ({ ...record(n), timeMs }));
    expect(await ledger.setAside({ streamId: 'str_2', epoch: 1 }, records)).toBe(times.length);
    const page = await new SetAsideStore(store).list('ws_1', 'str_2', 10, null);
    const last = '9999-12-31T23:59:59.999Z';
    expect(page.map(({ record_at: at }) => at?.toISOString() ?? null).reverse()).toEqual([
      ...[null, '1970-01-01T00:00:00.000Z', '2023-11-14T22:13:20.123Z'],
      ...[last, last],
    ]);
  });
});
