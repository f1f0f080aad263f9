import { StreamError } from '@planasonix/core';
import { hostWorld, ID } from './fakes/index.js';

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
