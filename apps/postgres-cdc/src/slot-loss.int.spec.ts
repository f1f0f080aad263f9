import { eventually, startPostgres, type Postgres } from '@planasonix/testing';
import type { Client } from 'pg';
import { preparedCheck } from './preflight-care.js';
import { fold } from './trial/fold.js';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(120_000);

describe('what takes a slot away, or holds it back', () => {
  let server: Postgres;
  let admin: Client;
  const stream = (id: string, snapshot: 'never' | 'initial' = 'never') =>
    new TrialStream(id, { tables: ['public.quiet'], snapshot, heartbeat_interval: '200ms' }, server);
  const reads = async (of: TrialStream) => {
    of.start();
    await eventually('it reads', () => {
      if (of.failure) throw of.failure;
      return Promise.resolve(of.positions.size > 0);
    });
  };
  const set = async (setting: string, value: string) => {
    await admin.query(`ALTER SYSTEM SET ${setting} = '${value}'`);
    await admin.query('SELECT pg_reload_conf()');
  };

  beforeAll(async () => {
    server = await startPostgres({ version: 18, config: { max_prepared_transactions: '5', wal_sender_timeout: '6s' } });
    admin = await server.connect();
    await admin.query('CREATE TABLE quiet (id int PRIMARY KEY, v text)');
  });
  afterAll(() => server?.stop());

  it('idle_replication_slot_timeout: a stream that runs is never idle, a stopped one is told when, and then it is lost (trap 9)', async () => {
    const [runs, rests] = [stream('str_runs'), stream('str_rests')];
    await reads(runs);
    await reads(rests);
    await rests.stop();
    await set('idle_replication_slot_timeout', '3s');
    const seconds = await eventually('it is told', async () => (await rests.lag()).retention?.secondsToLoss ?? null);
    expect(seconds).toBeLessThanOrEqual(3);
    await eventually('it is invalidated', async () => {
      await admin.query("SELECT pg_logical_emit_message(false, 'noise', 'x')");
      await admin.query('CHECKPOINT');
      const { rows } = await admin.query<{ slot_name: string; why: string | null }>(
        'SELECT slot_name, invalidation_reason AS why FROM pg_replication_slots ORDER BY 1',
      );
      if (rows[1]?.why !== null) throw new Error(`the slot of the one that runs was lost: ${rows[1]?.why}`);
      return rows[0]?.why === 'idle_timeout';
    });
    await set('idle_replication_slot_timeout', '0');
    await admin.query("INSERT INTO quiet VALUES (1, 'x')");
    await eventually('the other one reads on', () => Promise.resolve(runs.events.length === 1));
    expect(runs.failure).toBeNull();
    await runs.stop();

    const lost = { code: 'slot_lost', recourse: 'lost', message: expect.stringMatching(/idle_timeout/) as string };
    await expect(rests.lag()).rejects.toMatchObject(lost);
    const codes = async () => (await rests.check()).filter(({ severity }) => severity === 'error');
    expect(await codes()).toMatchObject([{ code: 'slot_lost', message: expect.stringMatching(/idle_timeout/) }]);
    rests.start();
    expect(await eventually('it ends', () => Promise.resolve(rests.failure))).toMatchObject(lost);
    await rests.stop();
    // The way on: its preflight is not barred by what the user gave up.
    rests.start({ onLost: 'resnapshot' });
    expect((await rests.check()).filter(({ severity }) => severity === 'error')).toEqual([]);
    await eventually('it reads again', () => Promise.resolve(rests.connected));
    expect(rests.failure).toBeNull();
    await rests.stop();
  });

  it('on 16, where every slot that is lost is "conflicting": WAL that was removed is no conflict with recovery (trap 9)', async () => {
    const old = await startPostgres({ version: 16, config: { max_slot_wal_keep_size: '1MB' } });
    try {
      const client = await old.connect();
      await client.query('CREATE TABLE quiet (id int PRIMARY KEY)');
      const one = new TrialStream('str_removed', { tables: ['public.quiet'], snapshot: 'never' }, old);
      await reads(one);
      await one.stop();
      const slot = await eventually('its slot is lost', async () => {
        await client.query("SELECT pg_logical_emit_message(true, 'noise', 'x')");
        await client.query('SELECT pg_switch_wal()');
        await client.query('CHECKPOINT');
        const { rows } = await client.query<{ wal_status: string; conflicting: boolean }>(
          'SELECT wal_status, conflicting FROM pg_replication_slots',
        );
        return rows[0]?.wal_status === 'lost' ? rows[0] : null;
      });
      expect(slot.conflicting).toBe(true);
      const lost =
        'The replication slot planasonix_removed was invalidated: the server has removed WAL that it needed.';
      await expect(one.lag()).rejects.toMatchObject({ code: 'slot_lost', message: lost });
      const [found] = (await one.check()).filter(({ code }) => code === 'slot_lost');
      expect(found?.message).toContain('planasonix_removed was invalidated: changes');
      one.start();
      expect(await one.outcome()).toMatchObject({ code: 'slot_lost', message: lost });
    } finally {
      await old.stop();
    }
  });

  it('a slot that another stream reads: the check names that stream, and ends nobody', async () => {
    const config = { tables: ['public.quiet'], snapshot: 'never', slot_name: 'shared' };
    const [one, other] = ['str_01one', 'str_01other'].map((id) => new TrialStream(id, config, server)) as [
      TrialStream,
      TrialStream,
    ];
    await reads(one);
    await eventually('it holds the slot', async () => {
      const { rows } = await admin.query("SELECT FROM pg_replication_slots WHERE slot_name = 'shared' AND active");
      return rows.length === 1;
    });
    const told = async (of: TrialStream) => (await of.check()).filter(({ code }) => code === 'slot_active');
    expect(await told(one)).toEqual([]);
    expect(await told(other)).toEqual([
      {
        ...{ code: 'slot_active', severity: 'error', message: expect.stringContaining('another stream, str_01one') },
        fix: 'Give each stream a slot of its own: another slot_name, or none.',
      },
    ]);
    await one.stop();
  });

  it('a publication that was dropped while it rested: the check says what that may cost (trap 10)', async () => {
    const one = stream('str_unpublished');
    const told = async () => (await one.check()).filter(({ code }) => code === 'publication_missing');
    expect(await told()).toEqual([]);
    await reads(one);
    await one.stop();
    expect(await told()).toEqual([]);
    await admin.query('DROP PUBLICATION planasonix_unpublished');
    expect(await told()).toMatchObject([{ severity: 'warning', fix: expect.stringContaining('resnapshot') }]);
    await admin.query("INSERT INTO quiet VALUES (50, 'unpublished')");
    one.start();
    expect(await one.outcome()).toMatchObject({ code: 'offset_gap', recourse: 'lost' });
    await admin.query('DROP PUBLICATION planasonix_unpublished');
    one.start({ onLost: 'resnapshot' });
    expect(await told()).toEqual([]);
    await one.seen('unpublished');
    await one.stop();
  });

  it.each(['never', 'initial', 'skip'])(
    'what is written once it says that it reads comes, whatever ends it (%s; Invariant 2)',
    async (begins) => {
      const cut = stream(`str_cut_${begins}`, begins === 'initial' ? 'initial' : 'never');
      const skips = begins === 'skip';
      if (skips) {
        await reads(cut);
        await cut.stop();
        // The server ends its side of a connection a moment after the client.
        await eventually('the slot is dropped', () =>
          admin.query("SELECT pg_drop_replication_slot('planasonix_cut_skip')"),
        );
        await expect(cut.lag()).rejects.toMatchObject({ code: 'slot_lost', recourse: 'lost' });
      }
      cut.start({
        onLost: skips ? 'skip' : null,
        beforeEach: () => {
          if (cut.connected) throw new Error('killed');
        },
      });
      expect(await cut.outcome()).toMatchObject({ message: 'killed' });
      // And gone again: only the change itself tells of it.
      await admin.query("INSERT INTO quiet VALUES (100, 'written then')");
      await admin.query('DELETE FROM quiet WHERE id = 100');
      await reads(cut);
      await cut.seen('written then');
      await cut.stop();
    },
  );

  it('a reader whose time is up lets go of the slot, also where nobody pulls and nobody closes it (trap 8)', async () => {
    const one = stream('str_hangs');
    await reads(one);
    await one.stop();
    let free = (): void => undefined;
    const held = new Promise<void>((resolve) => (free = resolve));
    let pulls = 0;
    one.start({ beforeEach: () => (++pulls > 1 ? held : undefined) });
    const active = async () =>
      (
        await admin.query<{ active: boolean }>(
          "SELECT active FROM pg_replication_slots WHERE slot_name = 'planasonix_hangs'",
        )
      ).rows[0]?.active;
    await eventually('it is read, and then nobody pulls', async () => pulls > 1 && (await active()));
    const { rows } = await admin.query<{ at: string }>('SELECT reply_time::text AS at FROM pg_stat_replication');
    await eventually('its status goes on while its time is not up', async () => {
      const now = await admin.query<{ at: string }>('SELECT reply_time::text AS at FROM pg_stat_replication');
      return now.rows[0]!.at !== rows[0]!.at;
    });
    one.abandon();
    await eventually('the slot is free', async () => (await active()) === false);
    free();
    await one.stop();
    expect(one.failure).toBeNull();
    await admin.query("SELECT pg_drop_replication_slot('planasonix_hangs')");
  });

  it('a prepared transaction holds the slot back, and is named with what ends it', async () => {
    const one = stream('str_prepared');
    await reads(one);
    const noted = async () => (await one.check()).filter(({ code }) => code === 'prepared_transaction');
    expect(await noted()).toEqual([]);
    const writer = await server.connect();
    await writer.query('BEGIN');
    await writer.query("INSERT INTO quiet VALUES (2, 'canary-prepared')");
    await writer.query(`PREPARE TRANSACTION 'it''s forgotten'`);
    const found = await noted();
    expect(found).toMatchObject([
      {
        severity: 'info',
        message: expect.stringContaining("it's forgotten"),
        fix: expect.stringContaining('PREPARED'),
      },
    ]);
    expect(JSON.stringify(found)).not.toContain('canary');
    const { rows } = await admin.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
    const passed = async (lsn: string) =>
      (
        await admin.query<{ confirmed: boolean; restart: boolean }>(
          `SELECT confirmed_flush_lsn > $1::pg_lsn AS confirmed, restart_lsn > $1::pg_lsn AS restart
           FROM pg_replication_slots WHERE slot_name = 'planasonix_prepared'`,
          [lsn],
        )
      ).rows[0]!;
    const beat = async () => {
      await admin.query("SELECT pg_logical_emit_message(false, 'noise', 'x')");
      await admin.query('SELECT pg_log_standby_snapshot()');
      return passed(rows[0]!.lsn);
    };
    for (let i = 0; i < 10; i++) await eventually('what is read is confirmed', async () => (await beat()).confirmed);
    expect((await beat()).restart).toBe(false);
    await writer.query((found[0]!.fix ?? '').split(' --')[0]!);
    await eventually('its WAL may go now', async () => (await beat()).restart);
    expect(await noted()).toEqual([]);
    expect(one.events).toEqual([]);
    await one.stop();
  });

  it('an old prepared transaction is a warning, whatever its name', () => {
    const check = (ageSeconds: number) => preparedCheck({ gid: "o'clock", database: 'other', ageSeconds });
    expect([check(299).severity, check(300).severity]).toEqual(['info', 'warning']);
    expect(check(400).fix).toBe(
      "ROLLBACK PREPARED 'o''clock'; -- or COMMIT PREPARED 'o''clock'; in the database other",
    );
  });

  it.each([3, 4, 5])(
    'all rows are read where they are asked for anew, also by a stream that was to read none, past an end before batch %i',
    async (last) => {
      await admin.query(`DROP TABLE IF EXISTS anew_a, anew_b, anew_keyless;
        CREATE TABLE anew_a (id int PRIMARY KEY, v text); CREATE TABLE anew_b (LIKE anew_a INCLUDING ALL);
        CREATE TABLE anew_keyless (id int, v text); ALTER TABLE anew_keyless REPLICA IDENTITY FULL`);
      const tables = ['anew_a', 'anew_b', 'anew_keyless'];
      const one = new TrialStream(
        `str_anew_${last}`,
        { tables: tables.map((table) => `public.${table}`), snapshot: 'never', snapshot_readers: 1 },
        server,
      );
      await reads(one);
      for (const table of tables) await admin.query(`INSERT INTO ${table} SELECT n, 'x' FROM generate_series(1, 50) n`);
      await eventually('changes come', () => one.events.length === 150);
      await one.stop();
      for (const table of tables) await admin.query(`DELETE FROM ${table} WHERE id <= 20`);
      let batches = 0;
      one.start({
        onLost: 'resnapshot',
        beforeEach: () => {
          if (++batches === last) throw new Error('killed');
        },
      });
      await eventually('it is killed', () => batches >= last);
      await one.stop();
      one.start();
      const ids = () => [...fold(one.events)].map(([at, row]) => `${at.split(' ')[0]} ${String(row['id'])}`).sort();
      const there = tables.flatMap((table) => Array.from({ length: 30 }, (_, i) => `public.${table} ${i + 21}`)).sort();
      await eventually('the folded log is the tables', () => JSON.stringify(ids()) === JSON.stringify(there));
      await eventually('no more is to be read', () => !/rereads/.test(one.positions.get('#tables') ?? 'rereads'));
      const { length } = one.events;
      await one.stop();
      one.start();
      await admin.query("INSERT INTO anew_a VALUES (100, 'x')");
      await eventually('it goes on', () => one.events.length > length);
      expect(one.events).toHaveLength(length + 1);
      await one.stop();
    },
  );
});
