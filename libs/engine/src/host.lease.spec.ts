import { StreamError } from '@planasonix/core';
import { hostWorld, ID, ids } from './fakes/index.js';

describe('who holds a stream', () => {
  it.each(['the attempt fails', 'the worker dies'] as const)(
    'gives a position up once, also where %s before it could say that it did (Invariant 2)',
    async (what) => {
      const { clock, ledger, server, log, made, worker } = hostWorld();
      const row = ledger.add(ID, { onLost: 'skip', givenUpAt: 1 });
      log.positions.set('', '40');
      log.orders.set('', '00000040');
      row.positions.set('', '40');
      const first = worker();
      await clock.advance(100);
      server.commit(2);
      await clock.advance(10);
      expect([made[0]!.spec.onLostPosition, log.positions.get(''), row.onLost]).toEqual(['skip', '2', 'skip']);
      // A pause and a resume are newer commands, and no newer decision.
      row.generation += 2;
      if (what === 'the worker dies') {
        row.owner = 'dead';
        row.epoch++;
        row.leaseUntil = clock.monotonic();
        await first.look(ID);
        worker('w2');
      } else server.fail(new StreamError('source_unreachable', 'cut'));
      await clock.advance(1_000);
      expect(made.at(-1)!.spec.onLostPosition).toBeNull();
      expect(made.at(-1)!.extras.onLostPosition).toBeNull();
      expect(server.reads.at(-1)!.get('')).toBe('2');
      // What is asked of it before it reads, too.
      expect((await made.at(-1)!.extras.reached()).get('')).toBe('2');
      expect(row.onLost).toBeNull();
      server.commit(1);
      await clock.advance(1_000);
      expect(log.ids).toEqual(ids(3));
      // Lost again: that is another decision.
      server.fail(new StreamError('slot_lost', 'gone'));
      await clock.advance(100);
      Object.assign(row, { onLost: 'skip', givenUpAt: row.generation + 1 });
      ledger.command(ID, 'running');
      await clock.advance(5_000);
      expect(made.at(-1)!.spec.onLostPosition).toBe('skip');
      expect([...server.reads.at(-1)!]).toEqual([]);
    },
  );

  it('takes over from a dead worker once its lease has run out', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    row.owner = 'dead';
    row.epoch = 4;
    row.leaseUntil = clock.monotonic() + 9_000;
    server.commit(1);
    worker('w2');
    await clock.advance(8_500);
    expect(log.ids).toEqual([]);
    await clock.advance(3_500);
    expect(row).toMatchObject({ owner: 'w2', epoch: 5 });
    expect(log.ids).toEqual(ids(1));
  });

  it('stops by its own clock while the store is down, before its lease is over; and takes the stream up again', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    const host = worker();
    await clock.advance(100);
    ledger.down = true;
    server.commit(1);
    await clock.advance(5_000);
    expect(log.ids).toEqual(ids(1));
    expect(row.leaseUntil).toBeGreaterThan(clock.monotonic());
    await clock.advance(3_800);
    expect(server.readers).toBe(0);
    expect(host.health()).toMatchObject({ held: 0 });
    const { writes } = ledger;
    await clock.advance(10_000);
    expect(host.health().ok).toBe(false);
    expect(ledger.writes).toBe(writes);
    ledger.down = false;
    await clock.advance(2_500);
    expect(server.readers).toBe(1);
    expect(server.acked).toBe(1);
  });

  it('keeps its leases over renewals that hang for as long as leases live: there is time for others', async () => {
    const { clock, ledger, server, lines, worker } = hostWorld();
    ledger.add(ID);
    worker();
    await clock.advance(100);
    ledger.renewalsHang.push(9_000, 9_000);
    await clock.advance(20_000);
    expect(server.reads).toHaveLength(1);
    expect(lines.lines.some(({ message }) => message.includes('leases could not be renewed'))).toBe(true);
  });

  it('gives back a lease that it has given up, also where the store renews it in the end', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    const row = ledger.add(ID);
    worker();
    await clock.advance(100);
    ledger.answersLate = true;
    ledger.renewalsHang.push(6_000, 6_000, 6_000);
    const renew = ledger.renew.bind(ledger);
    // Granted when it was asked, answered when it is too late.
    ledger.renew = async (...of) => {
      if (row.epoch === 1) row.leaseUntil = clock.monotonic() + 9_000;
      return renew(...of);
    };
    await clock.advance(7_600);
    expect(server.readers).toBe(0);
    await clock.advance(2_500);
    expect(row).toMatchObject({ epoch: 2, owner: 'w1' });
    expect(server.readers).toBe(1);
  });

  it('loses no stream because the row of another is locked', async () => {
    const { clock, ledger, worker } = hostWorld();
    for (let n = 0; n < 3; n++) ledger.add(`str_${n}`);
    worker();
    await clock.advance(100);
    ledger.locked.add('str_1');
    await clock.advance(12_000);
    expect([0, 1, 2].map((n) => ledger.row(`str_${n}`).epoch)).toEqual([1, 2, 1]);
  });

  it('takes up again what it has lost as fast as sources open, a few at once, its own first', async () => {
    const { clock, ledger, server, worker } = hostWorld();
    for (let n = 0; n < 30; n++) ledger.add(`str_${n}`);
    const host = worker('w1', 30);
    await clock.advance(1_000);
    expect(server.readers).toBe(30);
    ledger.down = true;
    await clock.advance(9_000);
    expect(server.readers).toBe(0);
    const mine = new Map(ledger.rows);
    ledger.rows.clear();
    for (let n = 0; n < 20; n++) ledger.add(`str_other_${n}`, { epoch: 1 });
    for (const [id, row] of mine) ledger.rows.set(id, row);
    server.answers = false;
    ledger.down = false;
    await clock.advance(2_000);
    expect(server.readers).toBe(8);
    await clock.advance(2_000);
    expect(server.readers).toBe(16); // those that do not answer hold up nobody for longer
    server.answers = true;
    server.changed.ring();
    await clock.advance(100);
    expect(server.readers).toBe(30);
    for (const id of mine.keys()) expect(host.isHeld(id)).toBe(true);
  });

  it('changes nothing when it wakes up from a freeze beside its successor (traps 27, 32)', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    worker('frozen', 1);
    server.commit(1);
    await clock.advance(600);
    // Frozen: its timers do not run. Another worker has the stream meanwhile.
    clock.freeze(20_000);
    row.epoch = 2;
    row.owner = 'w2';
    row.leaseUntil = clock.monotonic() + 9_000;
    row.positions.set('', '1');
    const { writes } = ledger;
    const { acked } = server;
    server.commit(5);
    await clock.advance(3_000);
    expect(ledger.writes).toBe(writes);
    expect(log.ids).toEqual(ids(1));
    expect(server.acked).toBe(acked);
    expect(row).toMatchObject({ owner: 'w2', epoch: 2, status: 'running' });
    expect(server.readers).toBe(0);
  });

  it('lets go when the log says that there is a newer owner', async () => {
    const { clock, ledger, server, log, worker } = hostWorld();
    const row = ledger.add(ID);
    const host = worker();
    await clock.advance(100);
    log.epoch = 9;
    row.leaseUntil = clock.monotonic() + 60_000;
    server.commit(1);
    await clock.advance(100);
    expect(host.health().held).toBe(0);
    expect(row.status).toBe('running');
    expect(row.lastError).toBeNull();
    expect(log.ids).toEqual([]);
  });
});
