import { StreamError } from '@planasonix/core';
import { hostWorld, ID } from './fakes/index.js';

describe('a config that is changed', () => {
  const configs = (made: ReturnType<typeof hostWorld>['made']) => made.map(({ spec }) => spec.config);

  it('while the stream is paused is what it goes on with: the kept source is made anew (Invariant 7)', async () => {
    const { clock, ledger, server, made, worker } = hostWorld();
    const row = ledger.add(ID);
    const host = worker();
    server.commit(3);
    await clock.advance(100);
    ledger.command(ID, 'paused');
    await host.look(ID);
    await clock.advance(10);
    ledger.configure(ID, { exclude_columns: ['t.secret'] });
    ledger.command(ID, 'running');
    await host.look(ID);
    await clock.advance(50);
    expect(configs(made)).toEqual([{}, { exclude_columns: ['t.secret'] }]);
    expect(server.mostReaders).toBe(1);
    expect(row).toMatchObject({ status: 'running', observed: 3 });
  });

  it('while it is paused is known before it goes on, for what it may hold at its source is watched meanwhile', async () => {
    const { clock, ledger, server, made, worker } = hostWorld();
    const row = ledger.add(ID);
    const host = worker();
    await clock.advance(100);
    ledger.command(ID, 'paused');
    await host.look(ID);
    await clock.advance(10);
    ledger.configure(ID, { wal_budget: '1GB' });
    await clock.advance(3_100);
    expect(configs(made)).toEqual([{}, { wal_budget: '1GB' }]);
    expect([row.status, server.readers]).toEqual(['paused', 0]);
    await clock.advance(30_000);
    expect(made).toHaveLength(2);
  });

  it('while the source can not be reached is what the next attempt is made with', async () => {
    const { clock, ledger, server, made, worker } = hostWorld();
    const row = ledger.add(ID);
    worker();
    await clock.advance(100);
    server.fail(new StreamError('source_unreachable', 'moved'));
    await clock.advance(1);
    ledger.configure(ID, { host: 'new' });
    await clock.advance(6_000);
    expect(made.at(-1)!.spec.config).toEqual({ host: 'new' });
    expect(row.status).toBe('running');
  });

  it('leaves a stream that runs alone', async () => {
    const { clock, ledger, made, worker } = hostWorld();
    ledger.add(ID);
    worker();
    await clock.advance(100);
    ledger.configure(ID, { host: 'new' });
    await clock.advance(10_000);
    expect(made).toHaveLength(1);
  });
});
