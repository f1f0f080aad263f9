import { hostWorld, ID, ids } from './fakes/index.js';
import { LEASE } from './lease.js';
import { PUMP_LIMITS } from './pump-limits.js';

describe('a source whose read never returns (trap 8)', () => {
  async function hanging() {
    const world = hostWorld();
    const row = world.ledger.add(ID);
    world.server.readHangs = true;
    const host = world.worker();
    await world.clock.advance(3 * LEASE.durationMs);
    expect([row.status, row.owner, world.server.closes]).toEqual(['running', 'w1', 0]);
    return { ...world, row, host };
  }

  it('is closed and its lease given back at a stop', async () => {
    const { clock, ledger, server, row, host } = await hanging();
    ledger.command(ID, 'stopped');
    await host.look(ID);
    await clock.advance(5_000);
    expect([row.status, row.owner, server.closes, host.health().held]).toEqual(['stopped', null, 1, 0]);
  });

  it('is closed and its lease given back when the worker leaves', async () => {
    const { clock, server, row, host } = await hanging();
    void host.stop(8_000);
    await clock.advance(8_000);
    expect([row.desired, row.owner, server.closes, host.health().held]).toEqual(['running', null, 1, 0]);
  });

  it('is closed before its lease runs out, where the store does not renew it', async () => {
    const { clock, ledger, server, row } = await hanging();
    ledger.down = true;
    const until = row.leaseUntil;
    while (server.closes === 0 && clock.monotonic() < until) await clock.advance(100);
    expect([server.closes, clock.monotonic() < until]).toEqual([1, true]);
  });
});

describe('a log that never answers (trap 8)', () => {
  it('is given up in time, and the source with it; then both are opened anew and nothing is missing', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    log.auto = false;
    worker();
    await clock.advance(100);
    server.commit(3);
    await clock.advance(PUMP_LIMITS.answerWithinMs - 1_000);
    expect([server.closes, log.opens, row.lastError]).toEqual([0, 1, null]);
    await clock.advance(2_000);
    expect([server.closes, row.status, row.lastError?.code]).toEqual([1, 'running', 'log_unavailable']);
    await clock.advance(10_000);
    expect(log.opens).toBe(2);
    log.auto = true;
    log.land();
    await clock.advance(1_000);
    expect([log.ids, server.acked]).toEqual([ids(3), 3]);
  });

  it('one that says it is full is waited for, and one that gets on slowly', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    ledger.add(ID);
    log.full = true;
    worker();
    await clock.advance(100);
    for (let n = 0; n < 3; n++) {
      server.commit(1);
      await clock.advance(10);
    }
    expect(log.waiting).toBe(2);
    await clock.advance(10 * PUMP_LIMITS.answerWithinMs);
    log.full = log.auto = false;
    for (let n = 0; n < 3; n++) {
      await clock.advance(PUMP_LIMITS.answerWithinMs - 1_000);
      log.land(1);
    }
    await clock.advance(1_000);
    expect([log.ids, server.reads.length, log.opens]).toEqual([ids(3), 1, 1]);
  });
});
