import { StreamError } from '@planasonix/core';
import { hostWorld, ID } from './fakes/index.js';

/** A stream that is read; `asks` as the API does, and its worker hears of it. */
async function streamThatRuns() {
  const world = hostWorld();
  const row = world.ledger.add(ID);
  const host = world.worker();
  await world.clock.advance(1_000);
  expect(row.status).toBe('running');
  const asks = async (desired: 'running' | 'paused' | 'stopped', ms: number) => {
    world.ledger.command(ID, desired);
    void host.look(ID);
    await world.clock.advance(ms);
  };
  /** Something is on its way into a log that does not answer. */
  const holdUp = async () => {
    world.log.auto = false;
    world.server.commit(1);
    await world.clock.advance(5);
  };
  const goOn = async () => {
    world.log.auto = true;
    world.log.land();
    await world.clock.advance(10_000);
  };
  return { ...world, row, asks, holdUp, goOn };
}

describe('a wish that comes while one before it is being carried out (Invariant 7)', () => {
  it.each(['stopped', 'paused'] as const)('a start is not lost where one to be %s is on its way', async (before) => {
    const { server, log, row, asks, holdUp, goOn } = await streamThatRuns();
    await holdUp();
    await asks(before, 500);
    await asks('running', 500);
    await goOn();
    expect(row).toMatchObject({ status: 'running', desired: 'running', observed: row.generation });
    expect(row.history).not.toContain(`${before}@${row.generation}`);
    const had = log.ids.length;
    server.commit(1);
    await goOn();
    expect(log.ids.length).toBe(had + 1);
  });

  it('a stop is not taken for carried out where a pause is on its way', async () => {
    const { row, asks, holdUp, goOn, log, server } = await streamThatRuns();
    await holdUp();
    await asks('paused', 500);
    await asks('stopped', 500);
    await goOn();
    expect(row).toMatchObject({ status: 'stopped', desired: 'stopped', observed: row.generation, owner: null });
    const had = log.ids.length;
    server.commit(1);
    await goOn();
    expect(log.ids.length).toBe(had);
  });

  it('an error of before is not said of a start that came since', async () => {
    const { clock, ledger, server, log, row, asks } = await streamThatRuns();
    // The store is slow to take what has landed: the error waits for that.
    ledger.commitsHeld.push(() => clock.sleep(900));
    server.commit(1);
    await clock.advance(260);
    log.auto = false;
    server.commit(1);
    await clock.advance(5);
    log.auto = true;
    server.fail(new StreamError('slot_lost', 'gone'));
    log.land();
    await clock.advance(100);
    await asks('stopped', 50);
    await asks('running', 10_000);
    expect(row).toMatchObject({ status: 'running', desired: 'running', observed: row.generation });
  });

  it('what was decided about a lost position is carried out by whoever was about to say that the stream stopped (Invariant 2)', async () => {
    const { clock, server, log, made, row, asks } = await streamThatRuns();
    server.fail(new StreamError('slot_lost', 'gone'));
    await clock.advance(500);
    expect(row.status).toBe('error');
    log.frozen = true;
    await asks('stopped', 300);
    Object.assign(row, { onLost: 'resnapshot', givenUpAt: row.generation + 1, lastError: null });
    await asks('running', 300);
    log.thaw();
    await clock.advance(10_000);
    expect(row.status).toBe('running');
    expect(made.at(-1)!.spec.onLostPosition).toBe('resnapshot');
  });
});

describe('the end of a stream', () => {
  it('waits for nothing any more', async () => {
    const { clock, log, server, row, asks } = await streamThatRuns();
    log.full = true;
    server.commit(1);
    await clock.advance(3_000);
    expect(row.blocked).toEqual({ reason: 'log_full' });
    await asks('stopped', 10_000);
    expect([row.status, row.blocked]).toEqual(['stopped', null]);
  });

  it('is said once it is durable, also where the log syncs each second (Invariant 1, trap 26)', async () => {
    const { clock, ledger, log, server, worker } = hostWorld();
    const row = ledger.add(ID);
    log.settleDelayMs = 2_000;
    server.ends = true;
    server.commit(3);
    worker();
    await clock.advance(1_500);
    expect([row.status, row.positions.size]).toEqual(['running', 0]);
    await clock.advance(3_000);
    expect([row.status, row.positions.get(''), server.acked]).toEqual(['stopped', '3', 3]);
  });

  it('keeps the progress that is known, also where it can only be said by a later try', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const row = ledger.add(ID);
    const progress = { tables_total: 1, tables_done: 1, rows_done: 1, rows_estimated: 1, tables: [] };
    worker();
    await clock.advance(1_000);
    server.progress = { ...progress, state: 'done' } as never;
    const report = ledger.report.bind(ledger);
    let fails = 1;
    ledger.report = (...of) =>
      of[1].status === 'stopped' && fails-- > 0 ? Promise.reject(new Error('away')) : report(...of);
    server.commit(1);
    await clock.advance(1_500);
    server.ends = true;
    server.commit(1);
    await clock.advance(300);
    server.progress = null;
    await clock.advance(5_000);
    expect([row.status, row.snapshot]).toEqual(['stopped', { ...progress, state: 'done' }]);
  });

  it('shows rows that were all read as done, also where it came before anybody had shown that (Invariant 7)', async () => {
    const { clock, server, row, asks } = await streamThatRuns();
    const progress = { tables_total: 1, rows_done: 1, rows_estimated: 1, tables: [] };
    server.progress = { ...progress, state: 'running', tables_done: 0 } as never;
    await clock.advance(1_000);
    expect(row.snapshot).toMatchObject({ state: 'running' });
    server.progress = { ...progress, state: 'done', tables_done: 1 } as never;
    await asks('stopped', 500);
    expect([row.status, row.snapshot]).toMatchObject(['stopped', { state: 'done' }]);
  });

  it('gives the lease back where it was the log alone that barred us', async () => {
    const { clock, ledger, log, server, worker } = hostWorld();
    ledger.add(ID);
    worker();
    await clock.advance(1_000);
    log.auto = false;
    server.commit(1);
    await clock.advance(5);
    log.fail(new StreamError('fenced', 'somebody else for a moment'));
    log.auto = true;
    server.commit(1);
    await clock.advance(3_000);
    expect(log.ids).toEqual(['e-1', 'e-2']);
  });
});
