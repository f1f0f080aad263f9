import { eventually } from '@planasonix/testing';
import { DataSource } from 'typeorm';
import {
  MOST_OPEN_ORDERS,
  openStore,
  PgStreamLedger,
  PositionStore,
  SnapshotOrderStore,
  visiblePosition,
  type Actor,
} from './index.js';
import { Initial1763900000000 } from './migrations/1763900000000-initial.js';
import { quiet, StoreUnderTest } from './store-under-test.js';

describe('orders and positions in the store', () => {
  let under: StoreUnderTest;
  let { store, streams, commands, ledger } = {} as StoreUnderTest;
  let actor: Actor;
  let stranger: Actor;
  let orders: SnapshotOrderStore;
  let positions: PositionStore;
  const wish = { tables: ['public.t'], where: 'id > 7' };

  /** A database of the version before, with a stream that runs. */
  async function versionBefore(url: string): Promise<void> {
    const before = await new DataSource({
      type: 'postgres',
      url,
      migrations: [Initial1763900000000],
    }).initialize();
    await before.runMigrations();
    await before.query(`INSERT INTO workspaces VALUES ('ws_old', 'old')`);
    await before.query(`INSERT INTO pipelines VALUES ('pl_old', 'ws_old', 'p', '{"type":"redis_stream"}')`);
    await before.query(
      `INSERT INTO streams (id, workspace_id, name, source_type, pipeline_id, config, status, desired_status, epoch)
       VALUES ('str_old', 'ws_old', 's', 'postgres_cdc', 'pl_old', '{}', 'running', 'running', 3)`,
    );
    await before.destroy();
  }

  beforeAll(async () => {
    under = await StoreUnderTest.start(versionBefore);
    ({ store, streams, commands, ledger } = under);
    orders = new SnapshotOrderStore(store);
    positions = new PositionStore(store);
    [actor, stranger] = [await under.actor('w'), await under.actor('x')];
  });
  afterAll(() => under?.stop());

  async function makeStream(started = true) {
    const { id } = await under.makeStream(actor);
    if (started) await commands.accept(actor, id, 'start');
    return id;
  }
  async function makeOrder(id: string): Promise<string> {
    const placed = await orders.place(actor, id, wish);
    if (placed.kind !== 'placed') throw new Error(placed.kind);
    return placed.order.id;
  }
  /** Took a lease once, committed a position, and is at rest. */
  async function makeRested(status: 'stopped' | 'error' = 'stopped', code = 'slot_lost') {
    const id = await makeStream();
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    await ledger.commitPositions(held, new Map([['', '{"at":9}'], ['#notes', '"n"'], ['gone', '"g"']])); // prettier-ignore
    if (status === 'stopped') await commands.accept(actor, id, 'stop');
    const { generation } = (await commands.view(id))!;
    const lastError = status === 'error' ? { code, message: 'm', hint: null, occurred_at: 'now' } : null;
    await ledger.report(held, { status, lastError, releaseLease: true }, generation);
    const seen = (await streams.get(actor.workspaceId, id))!;
    return { id, held, seen };
  }
  const to = new Map([['', '{"at":4}'], ['#notes', '1']]); // prettier-ignore
  const row = async (id: string) => (await store.query('SELECT * FROM streams WHERE id = $1', [id]))[0];
  const audited = (id: string): Promise<{ action: string }[]> =>
    store.query('SELECT action, before, after FROM audit_log WHERE resource_id = $1 ORDER BY id', [id]);

  it('a database of the version before is upgraded, and its streams go on', async () => {
    expect(await row('str_old')).toMatchObject({ epoch: 3, orders_revision: 0, position_pending: false });
    expect(await ledger.claim('w', 'str_old')).toMatchObject({ epoch: 4 });
    expect(await ledger.renew('w', [{ streamId: 'str_old', epoch: 4 }])).toEqual(
      new Map([['str_old', { generation: 0, desired: 'running', ordersRevision: 0, configRevision: 0 }]]),
    );
  });

  it('an order is placed once it could be carried out, raises the revision, and is audited', async () => {
    expect(await orders.place(actor, await makeStream(false), wish)).toEqual({ kind: 'invalid', from: 'created' });
    const id = await makeStream();
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    const order = await makeOrder(id);
    expect(order).toMatch(/^snap_/);
    expect((await ledger.renew('w', [held])).get(id)).toMatchObject({ ordersRevision: 1 });
    expect(await ledger.openOrders(id)).toEqual([{ id: order, ...wish }]);
    expect(await audited(order)).toEqual([
      { action: 'stream_snapshot.order', before: null, after: { stream_id: id, ...wish } },
    ]);
  });

  it('an order of another workspace is as good as none (trap 36)', async () => {
    const id = await makeStream();
    const order = await makeOrder(id);
    expect(await orders.place(stranger, id, wish)).toEqual({ kind: 'missing' });
    expect(await orders.list(stranger.workspaceId, id, 10, null)).toEqual([]);
    expect(await orders.cancel(stranger, id, order)).toEqual({ kind: 'missing' });
    expect(await orders.cancel(actor, await makeStream(), order)).toEqual({ kind: 'missing' });
    expect(await ledger.openOrders(id)).toHaveLength(1);
  });

  it('only the owner closes an order, once, and one that is over is not cancelled (trap 32, Invariant 3)', async () => {
    const id = await makeStream();
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    const [first, second, third] = [await makeOrder(id), await makeOrder(id), await makeOrder(id)];
    expect(await ledger.closeOrder({ ...held, epoch: held.epoch - 1 }, first, { failed: null })).toBe(false);
    expect(await ledger.openOrders(id)).toHaveLength(3);
    expect(await ledger.closeOrder(held, first, { failed: null })).toBe(true);
    expect(await ledger.closeOrder(held, first, { failed: 'later' })).toBe(true);
    expect(await orders.cancel(actor, id, second)).toMatchObject({ kind: 'cancelled' });
    expect(await ledger.closeOrder(held, second, { failed: null })).toBe(true);
    expect(await ledger.closeOrder(held, third, { failed: 'no such table' })).toBe(true);
    expect(await ledger.doneOrders(id)).toEqual([{ id: first, ...wish }]);
    expect(await orders.cancel(actor, id, first)).toMatchObject({ kind: 'over', order: { failed: null } });
    expect(await orders.cancel(actor, id, second)).toMatchObject({ kind: 'cancelled', order: { done_at: null } });
    expect(await orders.cancel(actor, id, third)).toMatchObject({ kind: 'over', order: { failed: 'no such table' } });
    expect((await row(id)).orders_revision).toBe(4);
    expect((await audited(second)).map(({ action }) => action)).toEqual([
      ...['stream_snapshot.order', 'stream_snapshot.cancel'],
    ]);
  });

  it('takes no more open orders than it says, whoever comes at once (Invariant 6)', async () => {
    const id = await makeStream();
    for (let n = 5; n < MOST_OPEN_ORDERS; n++) await makeOrder(id);
    const last = await Promise.all(Array.from({ length: 10 }, () => orders.place(actor, id, wish)));
    expect(last.filter(({ kind }) => kind === 'full')).toHaveLength(5);
    expect(await ledger.openOrders(id)).toHaveLength(MOST_OPEN_ORDERS);
    const page = await orders.list(actor.workspaceId, id, 3, null);
    expect(page.map((one) => one.id)).toEqual([...page.map((one) => one.id)].sort().reverse());
    await store.query('DELETE FROM streams WHERE id = $1', [id]);
    expect(await orders.list(actor.workspaceId, id, 3, null)).toEqual([]);
  });

  it('a position is replaced as a whole under an epoch of its own, audited with before and after (Invariant 3)', async () => {
    const { id, held, seen } = await makeRested();
    const begun = await positions.begin(actor, id, seen, to);
    if (begun.kind !== 'begun') throw new Error(begun.kind);
    expect(begun.epoch).toBe(held.epoch + 1);
    expect(await ledger.commitPositions(held, new Map([['', '"zombie"']]))).toBe(false);
    const known = await positions.finish(actor, id, begun, new Map([['', '{"at":4}']]));
    expect(known).toEqual({ positions: new Map([['', '{"at":4}']]), committedAt: expect.any(Date), pending: null });
    expect(await positions.read(id)).toEqual(known);
    expect((await audited(id)).at(-1)).toEqual({
      action: 'stream.set_position',
      before: { position: { '': { at: 9 }, gone: 'g' }, status: 'stopped' },
      after: { position: { at: 4 }, status: 'stopped' },
    });
    expect(await commands.accept(actor, id, 'start')).toMatchObject({ kind: 'accepted' });
  });

  it('nothing starts while it is not known how far the setting of a position got', async () => {
    const { id, seen } = await makeRested();
    const begun = await positions.begin(actor, id, seen, to);
    if (begun.kind !== 'begun') throw new Error(begun.kind);
    expect(await commands.accept(actor, id, 'start')).toEqual({ kind: 'position_pending' });
    expect(await ledger.claim('w', id)).toBeNull();
    expect((await positions.read(id)).pending).toEqual({ positions: to, since: expect.any(Date) });
    // Another attempt, whose log is down, leaves the mark of the first.
    const again = await positions.begin(actor, id, await row(id), new Map([['', '7']]));
    expect((await positions.read(id)).pending!.positions.get('')).toBe('7');
    if (again.kind !== 'begun') throw new Error(again.kind);
    expect(await positions.finish(actor, id, begun, new Map())).toBeNull();
    await positions.abandon(id, again.epoch, again.marked);
    expect(await commands.accept(actor, id, 'start')).toEqual({ kind: 'position_pending' });
    expect((await positions.read(id)).positions.get('')).toBe('{"at":9}');
    expect((await positions.read(id)).pending!.positions).toEqual(to);
    const last = await positions.begin(actor, id, await row(id), to);
    if (last.kind !== 'begun') throw new Error(last.kind);
    expect(await positions.finish(actor, id, last, new Map([['', '1']]))).not.toBeNull();
    expect(await commands.accept(actor, id, 'start')).toMatchObject({ kind: 'accepted' });
  });

  it('a stream whose lost position was set is stopped and asks nothing; another error stays', async () => {
    for (const [code, expected] of [
      ['slot_lost', { status: 'stopped', desired_status: 'stopped', last_error: null }],
      ['auth_failed', { status: 'error', desired_status: 'running', last_error: { code: 'auth_failed' } }],
    ] as const) {
      const { id, seen } = await makeRested('error', code);
      await store.query(`UPDATE streams SET on_lost_position = 'resnapshot' WHERE id = $1`, [id]);
      const begun = await positions.begin(actor, id, seen, to);
      if (begun.kind !== 'begun') throw new Error(begun.kind);
      await positions.finish(actor, id, begun, new Map([['', '1']]));
      // A decision to read all rows again would forget the position that was set.
      expect(await row(id)).toMatchObject({ ...expected, on_lost_position: null, position_pending: false });
      expect(await commands.accept(actor, id, 'start')).toMatchObject({ kind: 'accepted' });
    }
  });

  it('is refused while somebody reads, and when the stream has moved on since it was looked at', async () => {
    const running = await makeStream();
    const seen = (await streams.get(actor.workspaceId, running))!;
    expect(await positions.begin(actor, running, seen, to)).toEqual({ kind: 'active' });
    const rested = await makeRested();
    expect(await positions.begin(stranger, rested.id, rested.seen, to)).toEqual({ kind: 'missing' });
    await commands.accept(actor, rested.id, 'start');
    expect(await positions.begin(actor, rested.id, rested.seen, to)).toEqual({ kind: 'active' });
    await commands.accept(actor, rested.id, 'stop');
    const { generation, epoch } = (await commands.view(rested.id))!;
    await commands.fence(rested.id, { generation, epoch, status: 'stopped' });
    expect(await positions.begin(actor, rested.id, rested.seen, to)).toEqual({ kind: 'superseded' });
    expect((await row(rested.id)).position_pending).toBe(false);
  });

  it('is refused while a keeper has the lease, and not for ever after one who died with it', async () => {
    const { id } = await makeRested();
    const why = { code: 'wal_budget_exceeded', message: 'm', hint: null, occurred_at: 'now' };
    const keeper = await ledger.condemn('k', (await ledger.spec(id))!, why);
    expect(await positions.begin(actor, id, await row(id), to)).toEqual({ kind: 'active' });
    await store.query(`UPDATE streams SET lease_expires_at = clock_timestamp() - interval '1 ms' WHERE id = $1`, [id]);
    expect(await positions.begin(actor, id, await row(id), to)).toMatchObject({ kind: 'begun' });
    expect(await ledger.report(keeper!, { releaseLease: true })).toBe('fenced');
  });

  it("shows places, and neither a source's own notebooks nor the keys of rows that are being read", () => {
    expect(visiblePosition(new Map([['', '{"lsn":"0/1","rows":{"tables":[{"after":["k"]}]}}']]))).toEqual({ lsn: '0/1' }); // prettier-ignore
    expect(visiblePosition(new Map())).toBeNull();
    expect(visiblePosition(new Map([['#tables', '{}']]))).toBeNull();
    expect(visiblePosition(new Map([['', '{"lsn":"0/1"}'], ['#tables', '{}']]))).toEqual({ lsn: '0/1' }); // prettier-ignore
    expect(visiblePosition(new Map([['t/0', '4'], ['t/1', 'x']]))).toEqual({ 't/0': 4, 't/1': 'x' }); // prettier-ignore
  });

  it('a commit that was given up and is carried out late sets no position back (Invariant 2)', async () => {
    const id = await makeStream();
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    const pool = await openStore(under.server.url(), { log: quiet, poolSize: 3 });
    const stalled = new PgStreamLedger(pool, under.box);
    const commits = (text: string) => stalled.commitPositions(held, new Map([['', text]]));
    const [{ pid }] = await pool.query<[{ pid: number }]>('SELECT pg_backend_pid() AS pid');
    process.kill(pid, 'SIGSTOP');
    try {
      await expect(commits('before')).rejects.toThrow();
      await eventually('a later one', () => commits('after').catch(() => false));
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    const at = () => store.query<{ state: string }[]>(`SELECT state FROM pg_stat_activity WHERE pid = ${pid}`);
    await eventually('the late one is over', async () => (await at())[0]?.state !== 'active');
    expect((await ledger.positions(id)).get('')).toBe('after');
    // Another process goes on with numbers of its own.
    expect(await ledger.commitPositions(held, new Map([['', 'its successor']]))).toBe(true);
    expect((await ledger.positions(id)).get('')).toBe('its successor');
    await pool.destroy();
  });
});
