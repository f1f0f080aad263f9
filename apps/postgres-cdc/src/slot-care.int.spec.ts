import { systemClock } from '@planasonix/core';
import { eventually, startPostgres, type Postgres, type PostgresVersion } from '@planasonix/testing';
import type { Client } from 'pg';
import { letGoOfSlot } from './let-go.js';
import { slotFacts } from './slot-care.js';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(120_000);

interface Slot {
  readonly restart_lsn: string;
  readonly confirmed_flush_lsn: string;
  readonly wal_status: string;
  readonly active: boolean;
}

let streams = 0;

describe.each([14, 17, 18] as const)('care for the slot of Postgres %i', (version: PostgresVersion) => {
  let server: Postgres;
  let admin: Client;
  const open: TrialStream[] = [];
  const slotOf = ({ id }: TrialStream) => `planasonix_${id.replace('str_', '')}`;
  const stream = (config: object): TrialStream => {
    const made = new TrialStream(
      `str_care${++streams}`,
      { tables: ['public.quiet'], snapshot: 'never', heartbeat_interval: '200ms', ...config },
      server,
    );
    open.push(made);
    return made;
  };
  const slot = async (of: TrialStream): Promise<Slot | undefined> =>
    (await admin.query<Slot>('SELECT * FROM pg_replication_slots WHERE slot_name = $1', [slotOf(of)])).rows[0];
  const running = async (of: TrialStream) => {
    of.start();
    await eventually('it reads and has a position', () => {
      if (of.failure) throw of.failure;
      return Promise.resolve(of.positions.size > 0);
    });
  };
  const write = async (megabytes: number, client = admin) => {
    for (let i = 0; i < megabytes; i++)
      await client.query("SELECT pg_logical_emit_message(false, 'noise', repeat('x', 1000000))");
  };
  const ahead = async (lsn: string, of: string) =>
    (await admin.query<{ ahead: boolean }>('SELECT $1::pg_lsn > $2::pg_lsn AS ahead', [lsn, of])).rows[0]!.ahead;

  beforeAll(async () => {
    server = await startPostgres({ version });
    admin = await server.connect();
    await admin.query('CREATE TABLE quiet (id int PRIMARY KEY)');
    await admin.query('CREATE DATABASE neighbour');
  });
  afterEach(async () => {
    for (const one of open.splice(0)) {
      await one.stop();
      // A walsender takes a moment to notice that its client has gone.
      await eventually('its slot can be dropped', async () => {
        if ((await slot(one)) !== undefined) await admin.query('SELECT pg_drop_replication_slot($1)', [slotOf(one)]);
        return true;
      });
    }
  });
  afterAll(() => server?.stop());

  it('an idle stream’s slot moves on while the database beside it writes (trap 7)', async () => {
    const idle = stream({});
    await running(idle);
    const before = (await slot(idle))!;
    const neighbour = await server.connect('neighbour');
    await neighbour.query('CREATE TABLE busy (v text)');
    await eventually('both places move', async () => {
      await neighbour.query("INSERT INTO busy SELECT repeat('x', 1000) FROM generate_series(1, 500)");
      await admin.query('CHECKPOINT');
      const now = (await slot(idle))!;
      return (
        (await ahead(now.confirmed_flush_lsn, before.confirmed_flush_lsn)) &&
        (await ahead(now.restart_lsn, before.restart_lsn))
      );
    });
    expect(idle.events).toEqual([]);
    expect(idle.failure).toBeNull();
    await neighbour.end();
  });

  it('tells what a stopped stream holds back and how near the end is (trap 9)', async () => {
    await admin.query("ALTER SYSTEM SET max_slot_wal_keep_size = '256MB'");
    await admin.query('SELECT pg_reload_conf()');
    const stopped = stream({});
    await running(stopped);
    await stopped.stop();
    const first = (await stopped.lag()).retention!;
    expect(first.bytesToLoss).toBeGreaterThan(200 * 2 ** 20);
    await write(20);
    const { retention } = await stopped.lag();
    expect(retention!.heldBytes - first.heldBytes).toBeGreaterThanOrEqual(16_000_000);
    expect(first.bytesToLoss! - retention!.bytesToLoss!).toBeGreaterThanOrEqual(16_000_000);
    expect(retention!.secondsToLoss).toBeGreaterThan(0);
    await admin.query('ALTER SYSTEM RESET max_slot_wal_keep_size');
    await admin.query('SELECT pg_reload_conf()');
    await eventually('the limit is gone', async () => (await stopped.lag()).retention?.bytesToLoss === null);
  });

  it('over its budget, `warn` goes on and says so once', async () => {
    const over = stream({ wal_budget: { bytes: '1MB' } });
    await running(over);
    await over.stop();
    await write(2);
    for (let i = 0; i < 3; i++) expect((await over.lag()).retention).toMatchObject({ budgetBytes: 1 << 20 });
    expect(over.warnings).toEqual([
      { fields: expect.objectContaining({ slot: slotOf(over), budgetBytes: 1 << 20 }), message: expect.any(String) },
    ]);
    const checks = await over.check();
    expect(checks).toContainEqual(
      expect.objectContaining({ code: 'wal_budget_exceeded', severity: 'warning', fix: expect.any(String) }),
    );
    await over.look((source) => source.letGo!(AbortSignal.timeout(8000)));
    expect(await slot(over)).toBeDefined();
    await running(over);
  });

  it('over its budget, `release` says that it is lost, drops its slot, and a new snapshot goes on', async () => {
    const over = stream({ wal_budget: { bytes: '1MB', on_exceeded: 'release' } });
    await running(over);
    await over.stop();
    expect(await over.look((source) => source.letGo!(AbortSignal.timeout(8000)))).toEqual({
      released: [],
      remaining: [],
    });
    await write(2);
    await expect(over.lag()).rejects.toMatchObject({ code: 'wal_budget_exceeded', recourse: 'lost' });
    expect(await over.look((source) => source.letGo!(AbortSignal.timeout(8000)))).toEqual({
      released: [`slot ${slotOf(over)}`],
      remaining: [],
    });
    expect(await slot(over)).toBeUndefined();
    over.start({ onLost: 'resnapshot' });
    await eventually('it reads again', () => Promise.resolve(over.connected));
    expect(over.failure).toBeNull();
    await eventually('it is looked at', async () => ((await over.lag()).retention?.heldBytes ?? Infinity) < 1 << 20);
    expect(over.failure).toBeNull();
  });

  it('a start that gave up its position is not stopped by what the old slot holds', async () => {
    const over = stream({ wal_budget: { bytes: '1MB', on_exceeded: 'release' } });
    await running(over);
    await over.stop();
    await write(2);
    over.start({ onLost: 'skip' });
    await over.lag();
    await eventually('it reads', () => Promise.resolve(over.connected));
    await eventually(
      'the new slot holds less',
      async () => ((await over.lag()).retention?.heldBytes ?? Infinity) < 1 << 20,
    );
    expect(over.failure).toBeNull();
  });

  it('never gives up a slot that it did not make, nor one that somebody else reads', async () => {
    await admin.query('CREATE PUBLICATION theirs FOR TABLE quiet');
    await admin.query("SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')");
    const found = stream({
      slot_name: 'theirs',
      publication: 'theirs',
      wal_budget: { bytes: '1MB', on_exceeded: 'release' },
    });
    await running(found);
    await found.stop();
    await write(2);
    expect((await found.lag()).retention!.heldBytes).toBeGreaterThan(1 << 20);
    await found.look((source) => source.letGo!(AbortSignal.timeout(8000)));
    expect((await admin.query("SELECT FROM pg_replication_slots WHERE slot_name = 'theirs'")).rowCount).toBe(1);
    await admin.query("SELECT pg_drop_replication_slot('theirs')");
    await admin.query('DROP PUBLICATION theirs');

    const ours = stream({ wal_budget: { bytes: '1MB', on_exceeded: 'release' } });
    await running(ours);
    await ours.stop();
    await write(2);
    const other = new TrialStream(
      'str_other',
      { tables: ['public.quiet'], snapshot: 'never', slot_name: slotOf(ours), publication: slotOf(ours) },
      server,
    );
    open.push(other);
    other.start();
    await eventually('somebody reads it', async () => (await slot(ours))!.active);
    const report = await ours.look((source) => source.letGo!(AbortSignal.timeout(8000)));
    expect(report.remaining).toMatchObject([{ code: 'active_consumers' }]);
    expect(other.failure).toBeNull();
    await other.stop();
  });

  it('who was frozen while he gave a slot up drops nothing that was made since (Invariant 3)', async () => {
    const one = stream({});
    await running(one);
    await one.stop();
    const judged = (await slotFacts(admin, slotOf(one)))!;
    await write(1);
    one.start({ onLost: 'resnapshot' });
    await eventually('it has a new slot', async () => {
      const now = await slotFacts(admin, slotOf(one));
      return one.connected && now!.restart! > judged.restart!;
    });
    await one.stop();
    const late = { client: admin, slot: slotOf(one), applicationName: slotOf(one), clock: systemClock };
    expect(await letGoOfSlot({ ...late, upTo: judged.restart! })).toEqual({ released: [], remaining: [] });
    const now = (await slotFacts(admin, slotOf(one)))!;
    expect(await letGoOfSlot({ ...late, upTo: now.restart! })).toEqual({
      released: [`slot ${slotOf(one)}`],
      remaining: [],
    });
    expect(await slot(one)).toBeUndefined();
  });

  it('facts of a slot are those of this version', async () => {
    const one = stream({});
    await running(one);
    expect(await slotFacts(admin, slotOf(one))).toMatchObject({ active: true, lost: false, idleMs: null });
    await one.stop();
    const facts = await eventually('it is idle', async () => {
      const seen = await slotFacts(admin, slotOf(one));
      return seen!.active ? null : seen;
    });
    expect(facts.idleMs).toEqual(version >= 17 ? expect.any(Number) : null);
    expect(await slotFacts(admin, 'nowhere')).toBeNull();
  });
});
