import { StreamError } from '@planasonix/core';
import { hostWorld, ID, ids } from './fakes/index.js';

describe('a worker', () => {
  it('takes up a stream that should run, and says running only when the source has answered (Invariant 7)', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    server.answers = false;
    server.commit(2);
    worker();
    await clock.advance(5_000);
    expect(server.readers).toBe(1);
    expect(row.status).toBe('starting');
    server.answers = true;
    server.changed.ring();
    await clock.advance(10);
    expect(row).toMatchObject({ status: 'running', observed: 1 });
    expect(log.ids).toEqual(ids(2));
  });

  it('stops on command: lands, acknowledges, gives lease and connection back', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const row = ledger.add(ID);
    const host = worker();
    server.commit(3);
    await clock.advance(100);
    ledger.command(ID, 'stopped');
    await host.look(ID);
    await clock.advance(50);
    expect(row).toMatchObject({ status: 'stopped', observed: 2, owner: null });
    expect(server).toMatchObject({ readers: 0, acked: 3, closes: 1 });
    expect(host.health()).toMatchObject({ held: 0, ok: true });
    server.commit(3);
    await clock.advance(10_000);
    expect(server.acked).toBe(3);
  });

  it('sees a command at the next renewal when nobody rang', async () => {
    const { clock, ledger, worker } = hostWorld();
    const row = ledger.add(ID);
    worker();
    await clock.advance(100);
    ledger.command(ID, 'stopped');
    await clock.advance(3_100);
    expect(row.status).toBe('stopped');
  });

  it('pauses and resumes on one connection', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    const host = worker();
    server.commit(3);
    await clock.advance(100);
    ledger.command(ID, 'paused');
    await host.look(ID);
    await clock.advance(10);
    expect(row).toMatchObject({ status: 'paused', observed: 2, owner: 'w1' });
    server.commit(3);
    await clock.advance(30_000);
    expect(log.ids).toEqual(ids(3));
    expect(server.readers).toBe(1);
    ledger.command(ID, 'running');
    await host.look(ID);
    await clock.advance(10);
    expect(row).toMatchObject({ status: 'running', observed: 3 });
    expect(log.ids).toEqual(ids(6));
    expect(server.reads.length).toBe(1);
  });

  it('pauses within the 5 s of a command also when the log takes nothing, and resumes from the log', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    const host = worker();
    await clock.advance(100);
    log.full = true;
    server.commit(3);
    await clock.advance(1_500);
    expect(row.blocked).toEqual({ reason: 'log_full' });
    ledger.command(ID, 'paused');
    await host.look(ID);
    await clock.advance(4_000);
    expect(row.status).toBe('paused');
    log.full = false;
    log.land();
    await clock.advance(5_000);
    expect(log.ids).toEqual([]);
    expect(row.blocked).toBeNull();
    ledger.command(ID, 'running');
    await host.look(ID);
    await clock.advance(100);
    expect(log.ids).toEqual(ids(3));
    expect(row.status).toBe('running');
  });

  it('says paused once nothing can land any more, not while a frozen log may still take what was sent (Invariant 7)', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    const host = worker();
    await clock.advance(100);
    log.frozen = true;
    server.commit(3);
    await clock.advance(100);
    ledger.command(ID, 'paused');
    void host.look(ID);
    await clock.advance(8_000);
    expect([row.status, log.ids]).toEqual(['running', []]);
    log.thaw();
    await clock.advance(5_000);
    expect(row).toMatchObject({ status: 'paused', observed: 2 });
    expect(log.ids).toEqual(ids(3));
    ledger.command(ID, 'running');
    await host.look(ID);
    server.commit(1);
    await clock.advance(1_000);
    expect(log.ids).toEqual(ids(4));
  });

  it('takes over a paused stream without reading, and tells its lag', async () => {
    const { clock, ledger, server, log, reports, worker } = hostWorld();
    const row = ledger.add(ID, { desired: 'paused', status: 'paused' });
    server.commit(3);
    server.lagged = { oldestPendingMs: 77, provedAtMs: 78, backlogBytes: 5 };
    worker();
    await clock.advance(12_000);
    expect(row).toMatchObject({ status: 'paused', observed: 1 });
    expect(server.reads).toEqual([]);
    expect(log.ids).toEqual([]);
    expect(reports.at(-1)).toMatchObject({ oldest_pending_at: 77, lag_proved_at: 78, backlog_bytes: 5 });
  });

  it('ends as stopped when the source ends by itself, at the position that its log holds (Invariant 7)', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    server.ends = true;
    server.commit(4);
    const refuse = () => Promise.reject(new StreamError('store_unavailable', 'down'));
    ledger.commitsHeld.push(refuse);
    worker();
    await clock.advance(20_000);
    expect(row.status).toBe('stopped');
    expect(log.positions.size).toBeGreaterThan(0);
    expect(row.positions).toEqual(log.positions);
  });

  it('ends as stopped when the source ends by itself, and is not taken up again', async () => {
    const { clock, ledger, server, log, made, worker } = hostWorld();
    const row = ledger.add(ID);
    server.ends = true;
    server.commit(4);
    server.progress = { state: 'done', tables_total: 1, tables_done: 1, rows_done: 4, rows_estimated: 4 };
    worker();
    await clock.advance(20_000);
    expect(row).toMatchObject({
      status: 'stopped',
      desired: 'stopped',
      owner: null,
      snapshot: { state: 'done', rows_done: 4 },
    });
    expect(row.history).toEqual(expect.arrayContaining(['stopped']));
    expect(log.ids).toEqual(ids(4));
    expect(made.length).toBe(1);
  });

  it('shows the progress of a snapshot each second', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const row = ledger.add(ID);
    worker();
    server.progress = { state: 'running', tables_total: 2, tables_done: 0, rows_done: 10, rows_estimated: null };
    await clock.advance(1_100);
    expect(row.snapshot).toMatchObject({ rows_done: 10 });
    const { writes } = ledger;
    await clock.advance(5_000);
    expect(ledger.writes).toBe(writes);
    // One that begins, and can't tell yet, takes nothing back; one that had nothing left to read says that it is over (Invariant 7).
    server.progress = null;
    await clock.advance(5_000);
    expect([row.snapshot, ledger.writes]).toEqual([expect.objectContaining({ rows_done: 10 }), writes]);
    server.progress = 'over';
    await clock.advance(5_000);
    expect([row.snapshot, ledger.writes]).toEqual(['over', writes + 1]);
  });

  it('tells its counters each second, and once more when it lets go', async () => {
    const { clock, ledger, server, reports, worker } = hostWorld();
    ledger.add(ID);
    const host = worker();
    server.commit(3);
    await clock.advance(3_100);
    expect(reports.map(({ sequence }) => sequence)).toEqual(reports.map((_, i) => i + 1));
    expect(reports.at(-1)).toMatchObject({
      stream_id: ID,
      source_type: 'fake',
      epoch: 1,
      total_events: 3,
      oldest_pending_at: null,
    });
    server.commit(2);
    await clock.advance(10);
    expect(reports.at(-1)).toMatchObject({ total_events: 3 });
    ledger.command(ID, 'stopped');
    await host.look(ID);
    await clock.advance(100);
    expect(reports.at(-1)).toMatchObject({ total_events: 5 });
  });

  it('gives its streams to another worker when it stops, without a change of status (trap 38)', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    const first = worker('w1');
    server.commit(3);
    await clock.advance(100);
    const stopped = first.stop(8_000);
    await clock.advance(100);
    await stopped;
    expect(row).toMatchObject({ status: 'running', owner: null });
    expect(server).toMatchObject({ readers: 0, acked: 3 });
    worker('w2');
    server.commit(2);
    await clock.advance(500);
    expect(row).toMatchObject({ owner: 'w2', epoch: 2, status: 'running' });
    expect(log.ids).toEqual(ids(5));
  });

  it('confirms what the last command asked for, however many came before it', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const row = ledger.add(ID);
    const host = worker();
    await clock.advance(100);
    for (let n = 0; n < 20; n++) {
      ledger.command(ID, n % 2 ? 'running' : 'paused');
      void host.look(ID);
      if (n % 3 === 0) await clock.advance(1);
    }
    ledger.command(ID, 'stopped');
    void host.look(ID);
    ledger.command(ID, 'running');
    await clock.advance(4_000);
    expect(row).toMatchObject({ status: 'running', observed: row.generation });
    expect(server.mostReaders).toBe(1);
  });

  it('obeys a stop while it backs off, and while the source is being checked', async () => {
    const { clock, ledger, server, made, worker } = hostWorld();
    const row = ledger.add(ID);
    const host = worker();
    await clock.advance(100);
    server.fail(new StreamError('source_unreachable', 'cut'));
    await clock.advance(10);
    ledger.command(ID, 'stopped');
    await host.look(ID);
    await clock.advance(10);
    expect(row.status).toBe('stopped');

    const hanging = ledger.add('str_2');
    server.checkHangs = true;
    const count = made.length;
    await clock.advance(2_000);
    expect(made.length).toBeGreaterThan(count);
    ledger.command('str_2', 'stopped');
    await host.look('str_2');
    await clock.advance(3_000);
    expect(hanging.status).toBe('stopped');
  });

  it('holds no more than it has room for (Invariant 6)', async () => {
    const { clock, ledger, worker } = hostWorld();
    for (let n = 0; n < 5; n++) ledger.add(`str_${n}`);
    const host = worker('w1', 3);
    await host.look('str_4');
    await clock.advance(10_000);
    expect(host.health().held).toBe(3);
  });

  it('takes up at once what it is told of', async () => {
    const { clock, ledger, worker } = hostWorld();
    const host = worker();
    await clock.advance(100);
    const row = ledger.add(ID);
    await host.look(ID);
    await clock.advance(1);
    expect(row.status).toBe('running');
    expect(host.isHeld(ID)).toBe(true);
  });
});
