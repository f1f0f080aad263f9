import { StreamError } from '@planasonix/core';
import { hostWorld, ID } from './fakes/index.js';

/** A stream that is read. `stop`: it is ordered to, and its worker hears of it. */
async function streamThatRuns() {
  const world = hostWorld();
  const row = world.ledger.add(ID);
  const host = world.worker();
  await world.clock.advance(1_000);
  const stop = async () => {
    world.ledger.command(ID, 'stopped');
    void host.look(ID);
    await world.clock.advance(10_000);
    expect(row.status).toBe('stopped');
  };
  return { ...world, row, stop };
}

const refuse = () => Promise.reject(new StreamError('store_unavailable', 'down'));

describe('a stop that was accepted and that nobody has carried out', () => {
  const left = { desired: 'stopped', generation: 3, observed: 2, epoch: 4 } as const;

  it.each(['starting', 'running', 'paused', 'error', 'stopped'] as const)(
    'is carried out by whoever finds it, of a stream that says %s, and nothing is read (Invariant 7)',
    async (status) => {
      const { clock, ledger, server, log, made, worker } = hostWorld();
      const row = ledger.add(ID, { ...left, status });
      server.commit(3);
      const host = worker();
      await clock.advance(3_000);
      expect(row).toMatchObject({ status: 'stopped', desired: 'stopped', observed: 3, owner: null });
      expect([server.reads.length, made.length, log.ids.length]).toEqual([0, 0, 0]);
      expect(host.health().held).toBe(0);
    },
  );

  it('is said of a stream whose log was never opened here once whoever held it before is barred (Invariants 3, 7)', async () => {
    const { clock, ledger, log, worker } = hostWorld();
    const row = ledger.add(ID, { desired: 'running', status: 'running', generation: 3, observed: 3, epoch: 4 });
    log.epoch = 4;
    log.failure = new StreamError('log_unavailable', 'down');
    worker();
    await clock.advance(3_000);
    ledger.command(ID, 'stopped');
    await clock.advance(10_000);
    expect(row.status).toBe('running');
    log.failure = null;
    await clock.advance(3_000);
    expect([row.status, log.epoch]).toEqual(['stopped', 5]);
  });

  it('tells the position that the log holds, also where an older one is still on its way to the store (Invariant 7)', async () => {
    const { clock, ledger, server, log, row, stop } = await streamThatRuns();
    // Its connection stalls for longer than what was read has to land.
    ledger.commitsHeld.push(() => clock.sleep(2_400));
    server.commit(1);
    await clock.advance(260);
    expect(ledger.commitsHeld).toEqual([]);
    server.commit(1);
    await clock.advance(5);
    await stop();
    expect(log.ids).toHaveLength(2);
    expect(row.positions).toEqual(log.positions);
  });

  it('tells it also where the older one is that of a reader before the last', async () => {
    const { clock, ledger, server, log, row, stop } = await streamThatRuns();
    ledger.commitsHeld.push(() => clock.sleep(6_000));
    server.commit(1);
    await clock.advance(260);
    log.auto = false;
    server.commit(1);
    await clock.advance(5);
    log.fail(new StreamError('log_unavailable', 'gone'));
    log.auto = true;
    await clock.advance(5_000);
    expect([log.ids.length, row.positions]).toEqual([2, log.positions]);
    ledger.commitsHeld.push(refuse);
    server.commit(1);
    await clock.advance(5);
    await stop();
    expect(log.ids).toHaveLength(3);
    expect(row.positions).toEqual(log.positions);
  });

  it('bars the log that was written to, not the one that the pipeline names meanwhile (Invariant 3)', async () => {
    const { clock, ledger, server, log, otherLog, row, stop } = await streamThatRuns();
    const opened = log.opens;
    ledger.commitsHeld.push(refuse, refuse);
    server.commit(1);
    await clock.advance(260);
    expect(ledger.commitsHeld).toHaveLength(1);
    row.output = { type: 'kafka', connectionId: 'con_1', topic: 't' };
    await stop();
    expect([log.opens, otherLog.opens]).toEqual([opened + 1, 0]);
    expect(row.positions).toEqual(log.positions);
  });

  it('is said once the log bars whoever held the stream before, and not while the log is down (Invariant 3)', async () => {
    const { clock, ledger, log, worker } = hostWorld();
    const row = ledger.add(ID, { ...left, status: 'running' });
    log.epoch = 4;
    log.failure = new StreamError('log_unavailable', 'down');
    worker();
    await clock.advance(20_000);
    expect(row).toMatchObject({ status: 'running', owner: 'w1' });
    log.failure = null;
    await clock.advance(1_000);
    expect([row.status, log.epoch]).toEqual(['stopped', 5]);
  });
});
