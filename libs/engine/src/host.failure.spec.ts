import { StreamError } from '@planasonix/core';
import { hostWorld, ID, ids, ManualClock } from './fakes/index.js';

describe('a worker, when things fail', () => {
  it('retries with back-off what a retry may mend, stays running, counts and says why', async () => {
    const { clock, ledger, server, log, reports, worker } = hostWorld();
    const row = ledger.add(ID);
    server.commit(1);
    worker();
    await clock.advance(100);
    for (let n = 0; n < 5; n++) {
      server.fail(new StreamError('source_unreachable', 'cut'));
      await clock.advance(40);
      expect(row.lastError).toMatchObject({ code: 'source_unreachable', message: 'cut' });
      expect(row.status).toBe('running');
      await clock.advance(31_000);
    }
    server.commit(1);
    await clock.advance(1_100);
    expect(log.ids).toEqual(ids(2));
    expect(server.mostReaders).toBe(1);
    expect(reports.at(-1)!.errors).toBe(5);
    expect(row.history.every((status) => status === 'running')).toBe(true);
  });

  it('says so no longer once that is over: something became durable, or it has been read from for a while (Invariant 7)', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const row = ledger.add(ID);
    worker();
    await clock.advance(100);
    for (const [events, withinMs] of [
      [1, 2_500],
      [0, 7_500],
    ] as const) {
      server.fail(new StreamError('log_unavailable', 'cut'));
      await clock.advance(40);
      expect(row.lastError).toMatchObject({ code: 'log_unavailable' });
      if (events > 0) server.commit(events);
      await clock.advance(withinMs);
      expect(row).toMatchObject({ status: 'running', lastError: null });
    }
    // One that fails again and again before anything comes of it goes on being told.
    for (let n = 0; n < 3; n++) {
      server.fail(new StreamError('log_unavailable', 'again'));
      await clock.advance(3_000);
      expect(row.lastError).toMatchObject({ code: 'log_unavailable' });
    }
    // Nor is one over while the source does not answer.
    server.answers = false;
    server.fail(new StreamError('source_unreachable', 'cut'));
    await clock.advance(20_000);
    expect(row.lastError).toMatchObject({ code: 'source_unreachable' });
  });

  it('tells what the store refuses a source as the failure of the store', async () => {
    const { clock, ledger, made, worker } = hostWorld();
    ledger.add(ID);
    worker();
    await clock.advance(100);
    const down = (): Promise<never> => Promise.reject(new Error('Query read timeout'));
    Object.assign(ledger, {
      ...{ openOrders: down, doneOrders: down, closeOrder: down },
      ...{ remember: down, setAside: down, positions: down },
    });
    const { extras } = made[0]!;
    for (const asked of [
      () => extras.orders.open(),
      () => extras.orders.done(),
      () => extras.orders.close('snap_1', { failed: null }),
      () => extras.remember({ slot: 's' }),
      () => extras.setAside([]),
      () => extras.abandoned(),
    ])
      await expect(asked()).rejects.toMatchObject({ code: 'store_unavailable', recourse: 'retry' });
  });

  it('retries also where timers come a little early: a wake-up that comes too soon is not the only one', async () => {
    class Hasty extends ManualClock {
      override sleep(ms: number, signal?: AbortSignal): Promise<boolean> {
        return super.sleep(ms > 1 ? ms - 0.5 : ms, signal);
      }
    }
    const { clock, ledger, server, log, worker } = hostWorld(new Hasty());
    ledger.add(ID);
    server.commit(1);
    worker();
    await clock.advance(100);
    server.fail(new StreamError('log_unavailable', 'cut'));
    server.commit(1);
    await clock.advance(1_000);
    expect(log.ids).toEqual(ids(2));
  });

  it('tells in error where it goes on: what was in the log already, unless the log may lose it yet (Invariants 1, 7)', async () => {
    for (const [settleDelayMs, told] of [
      [0, '2'],
      [2_000, undefined],
    ] as const) {
      const { clock, ledger, server, log, worker } = hostWorld();
      log.settleDelayMs = settleDelayMs;
      const row = ledger.add(ID);
      worker();
      await clock.advance(100);
      server.commit(2);
      await clock.advance(10);
      server.fail(new StreamError('slot_lost', 'gone'));
      await clock.advance(100);
      expect([row.status, row.owner, log.positions.get('')]).toEqual(['error', null, '2']);
      expect(row.positions.get('')).toBe(told);
      expect(server.acks).toEqual([]);
    }
  });

  it.each(['running', 'paused'] as const)(
    'a look at the lag that finds the position lost ends a %s stream in error, also one that was taken over (trap 9)',
    async (desired) => {
      for (const takenOver of [false, true]) {
        const { clock, ledger, server, worker } = hostWorld();
        const row = ledger.add(ID, takenOver ? { desired, status: desired } : {});
        server.commit(1);
        const host = worker();
        await clock.advance(100);
        if (!takenOver && desired === 'paused') {
          ledger.command(ID, 'paused');
          await host.look(ID);
          await clock.advance(3_000);
        }
        expect(row.status).toBe(desired);
        for (const failure of [new Error('odd'), new StreamError('source_unreachable', 'cut')]) {
          server.lagFailure = failure;
          await clock.advance(11_000);
          expect(row.status).toBe(desired);
        }
        server.lagFailure = new StreamError('wal_budget_exceeded', 'too much is held back');
        await clock.advance(11_000);
        expect(row).toMatchObject({ status: 'error', owner: null, lastError: { code: 'wal_budget_exceeded' } });
        expect(server.closes).toBe(1);
      }
    },
  );

  it('never says running while the source can not be reached', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const row = ledger.add(ID);
    server.checks = [{ code: 'source_unreachable', severity: 'error', message: 'no answer', fix: null }];
    worker();
    await clock.advance(1_000);
    expect(row).toMatchObject({ status: 'starting', lastError: { code: 'source_unreachable' } });
    server.checks = [];
    await clock.advance(31_000);
    expect(row.status).toBe('running');
  });

  it('ends a start whose source can not be reached in error, after its retries; one that ran is waited for (Invariant 7)', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const started = ledger.add(ID);
    const ran = ledger.add('str_ran', { status: 'running' });
    server.checks = [{ code: 'source_unreachable', severity: 'error', message: 'no answer', fix: null }];
    worker();
    await clock.advance(120_000);
    expect(started).toMatchObject({ status: 'error', owner: null, lastError: { code: 'source_unreachable' } });
    expect(ran).toMatchObject({ status: 'running', lastError: { code: 'source_unreachable' } });
  });

  it('goes to error with the first finding of the preflight and its fix, and gives the lease back', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const row = ledger.add(ID);
    server.checks = [
      { code: 'note', severity: 'warning', message: 'fine', fix: null },
      { code: 'wal_level', severity: 'error', message: 'wal_level is replica', fix: 'ALTER SYSTEM …' },
      { code: 'auth_failed', severity: 'error', message: 'no', fix: null },
    ];
    worker();
    await clock.advance(5_000);
    expect(row).toMatchObject({
      status: 'error',
      owner: null,
      observed: 1,
      lastError: { code: 'wal_level', message: 'wal_level is replica', hint: 'ALTER SYSTEM …' },
    });
    expect(server.reads).toEqual([]);
    server.checks = [];
    ledger.command(ID, 'running');
    await clock.advance(3_000);
    expect(row).toMatchObject({ status: 'running', lastError: null });
  });

  it('goes to error with what a check finds wrong with its log, after the source; one that ran is not asked again', async () => {
    const { clock, ledger, logChecks, server, worker } = hostWorld();
    const row = ledger.add(ID);
    logChecks.push(
      { code: 'log_not_durable', severity: 'warning', message: 'on one broker alone', fix: null },
      { code: 'topic_missing', severity: 'error', message: 'There is no topic copies.', fix: 'kafka-topics.sh …' },
    );
    const host = worker();
    await clock.advance(5_000);
    const lastError = { code: 'topic_missing', message: 'There is no topic copies.', hint: 'kafka-topics.sh …' };
    expect(row).toMatchObject({ status: 'error', owner: null, lastError });
    expect(server.reads).toEqual([]);
    server.checks = [{ code: 'wal_level', severity: 'error', message: 'wal_level is replica', fix: null }];
    ledger.command(ID, 'running');
    await clock.advance(3_000);
    expect(row).toMatchObject({ status: 'error', lastError: { code: 'wal_level' } });
    server.checks = [];
    const wrong = logChecks.splice(1);
    ledger.command(ID, 'running');
    await clock.advance(3_000);
    expect(row).toMatchObject({ status: 'running', lastError: null });
    logChecks.push(...wrong);
    const stopped = host.stop(8_000);
    await clock.advance(100);
    await stopped;
    worker('w2');
    await clock.advance(500);
    expect(row).toMatchObject({ owner: 'w2', status: 'running', lastError: null });
  });

  it('goes on at another worker though a table can not be taken up, and not with what ails all of them', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const row = ledger.add(ID);
    const first = worker('w1');
    await clock.advance(500);
    server.checks = [{ code: 'no_replica_identity', severity: 'error', message: 'of a new table', fix: null }];
    const stopped = first.stop(8_000);
    await clock.advance(100);
    await stopped;
    const next = worker('w2');
    await clock.advance(500);
    expect(row).toMatchObject({ owner: 'w2', status: 'running', lastError: null });
    expect(server.readers).toBe(1);
    const second = next.stop(8_000);
    await clock.advance(100);
    await second;
    server.checks = [{ code: 'wal_level', severity: 'error', message: 'wal_level is replica', fix: null }];
    worker('w3');
    await clock.advance(500);
    expect(row).toMatchObject({ status: 'error', lastError: { code: 'wal_level' } });
    server.checks = [{ code: 'no_replica_identity', severity: 'error', message: 'of a new table', fix: null }];
    // Whoever starts it hears of them.
    ledger.command(ID, 'running');
    await clock.advance(3_000);
    expect(row).toMatchObject({ status: 'error', lastError: { code: 'no_replica_identity' } });
  });

  it('takes a finding that the position is lost for known where the user has given that position up (trap 9)', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const lost = { code: 'slot_lost', severity: 'error', message: 'invalidated', fix: null } as const;
    const row = ledger.add(ID);
    server.checks = [lost];
    worker();
    await clock.advance(1_000);
    expect(row).toMatchObject({ status: 'error', lastError: { code: 'slot_lost' } });
    row.onLost = 'resnapshot';
    ledger.command(ID, 'running');
    await clock.advance(3_000);
    expect(row).toMatchObject({ status: 'running', lastError: null });
    server.checks = [lost, { code: 'wal_level', severity: 'error', message: 'wal_level is replica', fix: null }];
    row.onLost = 'resnapshot';
    ledger.command(ID, 'stopped');
    await clock.advance(3_000);
    ledger.command(ID, 'running');
    await clock.advance(3_000);
    expect(row).toMatchObject({ status: 'error', lastError: { code: 'wal_level' } });
  });

  it('goes to error at once on what a retry can not mend, and after 20 retries of a fault of ours; no text of it is shown', async () => {
    const { clock, ledger, server, lines, worker } = hostWorld();
    const row = ledger.add(ID);
    worker();
    await clock.advance(100);
    server.fail(new StreamError('slot_lost', 'the slot is gone'));
    await clock.advance(100);
    expect(row).toMatchObject({ status: 'error', lastError: { code: 'slot_lost' } });
    ledger.command(ID, 'running');
    await clock.advance(3_000);
    for (let n = 0; n < 21; n++) {
      server.fail(new TypeError('row value 4711'));
      await clock.advance(31_000);
    }
    expect(row).toMatchObject({ status: 'error', lastError: { code: 'internal' } });
    expect(JSON.stringify(row.lastError)).not.toContain('4711');
    expect(lines.lines.some(({ level }) => level === 'error')).toBe(true);
  });

  it('refuses to go on when the log was wiped under it (Invariant 2)', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    server.commit(3);
    worker();
    await clock.advance(1_000);
    log.wipe();
    server.fail(new StreamError('log_unavailable', 'gone'));
    await clock.advance(1_000);
    expect(row).toMatchObject({ status: 'error', lastError: { code: 'offset_gap' } });
    expect(server.reads.length).toBe(1);
  });

  it('goes by the log when the store is behind it', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    server.commit(3);
    server.commit(2);
    log.positions.set('', '3');
    log.orders.set('', '00000003');
    log.ids = ids(3);
    row.positions.set('', '1');
    worker();
    await clock.advance(1_000);
    expect(server.reads[0]!.get('')).toBe('3');
    expect(log.ids).toEqual(ids(5));
    expect(row.positions.get('')).toBe('5');
  });

  it('begins anew when the user gave up the position, and forgets the decision once something is durable', async () => {
    const { clock, ledger, server, log, made, worker } = hostWorld();
    const row = ledger.add(ID, { onLost: 'resnapshot' });
    log.positions.set('', '40');
    log.orders.set('', '00000040');
    row.positions.set('', '40');
    worker();
    await clock.advance(1_000);
    expect(made[0]!.spec.onLostPosition).toBe('resnapshot');
    expect([...server.reads[0]!]).toEqual([]);
    expect(row.onLost).toBe('resnapshot');
    server.fail(new StreamError('source_unreachable', 'cut'));
    await clock.advance(1_000);
    expect(made[1]!.spec.onLostPosition).toBe('resnapshot');
    server.commit(2);
    await clock.advance(1_000);
    expect(log.ids).toEqual(ids(2));
    expect(row.onLost).toBeNull();
    server.fail(new StreamError('source_unreachable', 'cut'));
    await clock.advance(1_000);
    expect(made.at(-1)!.spec.onLostPosition).toBeNull();
    expect(server.reads.at(-1)!.get('')).toBe('2');
  });
});
