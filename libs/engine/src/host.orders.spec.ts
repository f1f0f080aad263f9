import { hostWorld, ID } from './fakes/index.js';

describe('snapshot orders at a worker', () => {
  it('reach the source at once when somebody rings, and at the next renewal when nobody does', async () => {
    const { clock, ledger, server, made, worker } = hostWorld();
    ledger.add(ID);
    const host = worker();
    await clock.advance(4_000);
    expect(server.ordersTold).toBe(0);
    ledger.order(ID, 'snap_1');
    await host.look(ID);
    expect(server.ordersTold).toBe(1);
    expect(await made[0]!.extras.orders.open()).toMatchObject([{ id: 'snap_1' }]);
    ledger.order(ID, 'snap_2');
    await clock.advance(3_100);
    expect(server.ordersTold).toBe(2);
    await clock.advance(30_000);
    expect(server.ordersTold).toBe(2);
  });

  it('reach a source that is made after them: after a failure, and after a takeover', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const row = ledger.add(ID);
    ledger.order(ID, 'snap_1');
    worker('w1');
    await clock.advance(3_100);
    expect(server.ordersTold).toBe(1);
    server.fail(new Error('broken'));
    await clock.advance(2_000);
    expect(row.status).toBe('running');
    expect(server.ordersTold).toBe(2);
    row.owner = null;
    row.leaseUntil = 0;
    worker('w2');
    await clock.advance(12_000);
    expect(row.owner).toBe('w2');
    expect(server.ordersTold).toBe(3);
  });

  it('are closed by their owner, and by nobody whose epoch has passed (trap 32, Invariant 3)', async () => {
    const { clock, ledger, made, worker } = hostWorld();
    const row = ledger.add(ID);
    worker();
    await clock.advance(100);
    for (const id of ['snap_1', 'snap_2', 'snap_3']) ledger.order(ID, id);
    const { orders } = made[0]!.extras;
    await orders.close('snap_1', { failed: null });
    expect(row.closed).toEqual([{ id: 'snap_1', failed: null }]);
    row.epoch++;
    await expect(orders.close('snap_2', { failed: null })).rejects.toMatchObject({ code: 'fenced' });
    row.epoch--;
    // The lease has run out by its holder's clock, though nobody has taken over yet.
    ledger.down = true;
    await clock.advance(9_000);
    ledger.down = false;
    await expect(orders.close('snap_3', { failed: null })).rejects.toMatchObject({ code: 'fenced' });
    expect(row.closed).toHaveLength(1);
  });

  it('fail, and wait for ever for nobody, where the source takes none (Invariant 7)', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    server.ordersTold = null;
    const row = ledger.add(ID);
    ledger.order(ID, 'snap_1');
    worker();
    await clock.advance(3_100);
    expect(row).toMatchObject({ status: 'running', orders: [] });
    expect(row.closed).toEqual([{ id: 'snap_1', failed: expect.stringContaining('can not') }]);
  });
});
