import {
  eventually,
  startPostgres,
  startStandby,
  type Postgres,
  type PostgresVersion,
  type Standby,
} from '@planasonix/testing';
import type { Client } from 'pg';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(180_000);

/** Ids of the rows that were handed over, in order. */
const ids = (stream: TrialStream): number[] =>
  stream.events.map(({ data }) => (JSON.parse(data.toString()) as { after: { id: number } }).after.id);

describe.each([17, 18] as const)('a promoted standby of Postgres %i', (version: PostgresVersion) => {
  let primary: Postgres;
  let standby: Standby;
  let client: Client;
  let streams = 0;
  const running: TrialStream[] = [];
  const stream = (config: object, server: Postgres): TrialStream => {
    const made = new TrialStream(
      `str_over${++streams}`,
      { tables: ['public.t'], snapshot: 'never', heartbeat_interval: '200ms', ...config },
      server,
    );
    running.push(made);
    return made;
  };
  const reads = async (of: TrialStream, more = true) => {
    of.start();
    await eventually('it reads', () => {
      if (of.failure) throw of.failure;
      return Promise.resolve(of.connected && (!more || of.positions.size > 0));
    });
  };
  const insert = (from: Client, ...rows: number[]) => from.query('INSERT INTO t SELECT unnest($1::int[])', [rows]);
  const handedOver = (of: TrialStream, wanted: readonly number[]) =>
    eventually(`${wanted.length} rows came`, () => {
      if (of.failure) throw of.failure;
      return Promise.resolve(ids(of).length >= wanted.length);
    }).then(() => expect(ids(of)).toEqual(wanted));
  const ends = (of: TrialStream) => eventually('it ends', () => Promise.resolve(of.failure));
  const synced = (slot: string) =>
    eventually(
      `${slot} is on the standby`,
      async () => {
        await client.query('SELECT pg_log_standby_snapshot()');
        const there = await standby.connect();
        const { rowCount } = await there.query(
          'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND synced AND NOT temporary AND invalidation_reason IS NULL',
          [slot],
        );
        await there.end();
        return rowCount === 1;
      },
      { timeoutMs: 60_000, everyMs: 200 },
    );

  beforeEach(async () => {
    primary = await startPostgres({ version });
    client = await primary.connect();
    await client.query('CREATE TABLE t (id int PRIMARY KEY)');
    standby = await startStandby(primary, { version, config: { sync_replication_slots: 'on' } });
    await client.query("ALTER SYSTEM SET synchronized_standby_slots = 'standby'");
    await client.query('SELECT pg_reload_conf()');
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((one) => one.stop()));
    await standby?.stop('immediate');
    await primary?.stop('immediate');
  });

  it('with a synced slot the stream goes on, and no row is missing or there twice (trap 6)', async () => {
    const guarded = stream({ failover: true }, primary);
    const plain = stream({}, primary);
    await reads(guarded);
    await reads(plain);
    await insert(client, 1, 2, 3);
    await Promise.all([handedOver(guarded, [1, 2, 3]), handedOver(plain, [1, 2, 3])]);
    await synced(`planasonix_over${streams - 1}`);
    await Promise.all([guarded.stop(), plain.stop()]);
    // Nobody has read these when the primary dies; the standby has them.
    await insert(client, 4, 5);
    const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
    await eventually('the standby has replayed them', async () => {
      const there = await standby.connect();
      const seen = await there.query<{ done: boolean }>('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS done', [
        rows[0]!.lsn,
      ]);
      await there.end();
      return seen.rows[0]!.done;
    });
    await primary.kill();
    await standby.promote();
    const promoted = await standby.connect();
    await insert(promoted, 6);
    for (const one of [guarded, plain]) one.moveTo(standby);
    expect(guarded.timeline).toBe(1);
    // A place that is set by hand: on this server it is the same one, where the stream may go on here.
    const set = (of: TrialStream) =>
      of.look((source) => source.settle!({ lsn: of.lsn }, of.positions, AbortSignal.timeout(8000)));
    const { lsn } = guarded;
    expect(JSON.parse((await set(guarded)).get('')!)).toMatchObject({ lsn, timeline: 1 });
    await expect(set(plain)).rejects.toMatchObject({ code: 'source_identity_changed' });
    await reads(guarded);
    // Before anything of the new history is in the log: a part of it would look as if it were of the old one.
    expect(guarded.timeline).toBe(2);
    await handedOver(guarded, [1, 2, 3, 4, 5, 6]);
    // And again, as after any restart.
    await guarded.stop();
    await insert(promoted, 7);
    await reads(guarded);
    await handedOver(guarded, [1, 2, 3, 4, 5, 6, 7]);

    // Its user did not ask for this: another history is another server.
    plain.start();
    expect(await ends(plain)).toMatchObject({ code: 'source_identity_changed', recourse: 'lost' });
    // Now he does, but it has no slot here.
    plain.configure({ tables: ['public.t'], snapshot: 'never', failover: true });
    plain.start();
    expect(await ends(plain)).toMatchObject({ code: 'slot_lost', recourse: 'lost' });
  });

  it.each<[string, RegExp, (ahead: TrialStream, level: string) => Promise<number[]>]>([
    [
      'position',
      /histories part at .*the log is at/,
      async (ahead) => {
        await reads(ahead);
        await insert(client, 2);
        await handedOver(ahead, [1, 2]);
        await ahead.stop();
        return [1, 2];
      },
    ],
    [
      'part of a transaction',
      /histories part at .*a part of the transaction/,
      async (ahead, level) => {
        const beforeEach = (): void => {
          if (ahead.events.length > 1) throw new Error('killed');
        };
        ahead.start({ beforeEach });
        await eventually('it reads', () => Promise.resolve(ahead.connected));
        await client.query('INSERT INTO t SELECT generate_series(2, 5000)');
        await eventually('it is killed', () => Promise.resolve(ahead.failure !== null));
        await ahead.stop();
        // Heartbeats that the standby has not had, either, would be the reason.
        ahead.positions.set('', level);
        const part = ids(ahead);
        expect(part.length).toBeLessThan(5000);
        return part;
      },
    ],
  ])(
    'a %s that the standby never had is refused, whatever the slot says (Invariant 2)',
    async (_, reason, handOverMore) => {
      const ahead = stream({ failover: true }, primary);
      await reads(ahead);
      await insert(client, 1);
      await handedOver(ahead, [1]);
      await synced('planasonix_over' + streams);
      const level = ahead.positions.get('')!;
      // Unguarded, the primary hands over what the standby does not have.
      await client.query("ALTER SYSTEM SET synchronized_standby_slots = ''");
      await client.query('SELECT pg_reload_conf()');
      const there = await standby.connect();
      await there.query('SELECT pg_wal_replay_pause()');
      await there.query("ALTER SYSTEM SET primary_conninfo = ''");
      await there.query('SELECT pg_reload_conf()');
      await ahead.stop();
      await standby.restart('fast', { primary_conninfo: '', sync_replication_slots: 'off' });
      const seen = await handOverMore(ahead, level);
      await primary.kill();
      await standby.promote();
      const promoted = await standby.connect();
      await insert(promoted, 3);
      ahead.moveTo(standby);
      ahead.start();
      expect(await ends(ahead)).toMatchObject({
        code: 'source_identity_changed',
        message: expect.stringMatching(reason) as string,
      });
      expect(ids(ahead)).toEqual(seen);
    },
  );

  it('a slot of the same name that was made after the promotion is not taken for ours', async () => {
    const one = stream({ failover: true }, primary);
    await reads(one);
    await insert(client, 1);
    await handedOver(one, [1]);
    await one.stop();
    await eventually('the standby is level', async () => {
      const { rows } = await client.query<{ level: boolean }>(
        'SELECT replay_lsn >= pg_current_wal_lsn() AS level FROM pg_stat_replication',
      );
      return rows[0]?.level === true;
    });
    await primary.kill();
    await standby.promote();
    const promoted = await standby.connect();
    const { rowCount } = await promoted.query('SELECT FROM pg_replication_slots WHERE slot_name = $1', [
      'planasonix_over' + streams,
    ]);
    if (rowCount === 1) await promoted.query('SELECT pg_drop_replication_slot($1)', ['planasonix_over' + streams]);
    await promoted.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)", [
      'planasonix_over' + streams,
    ]);
    one.moveTo(standby);
    one.start();
    expect(await ends(one)).toMatchObject({ code: 'source_identity_changed' });
    expect(one.failure!.message).toMatch(/did not come from the last primary/);
  });

  it('the preflight says what a failover needs; a slot becomes one when the config does, and is none again after that', async () => {
    const one = stream({}, primary);
    await reads(one);
    await one.stop();
    const failover = async () =>
      (
        await client.query<{ failover: boolean }>(
          "SELECT failover FROM pg_replication_slots WHERE slot_type = 'logical'",
        )
      ).rows[0]!.failover;
    expect(await failover()).toBe(false);
    one.configure({ tables: ['public.t'], snapshot: 'never', failover: true });
    const codes = async () => (await one.check()).map(({ code, severity }) => [code, severity]);
    expect(await codes()).toEqual([
      ['server_version', 'info'],
      ['failover_standby', 'info'],
    ]);
    await client.query("ALTER SYSTEM SET synchronized_standby_slots = ''");
    await client.query('SELECT pg_reload_conf()');
    await eventually('it is warned of', async () =>
      (await codes()).some(([code, severity]) => code === 'failover_unguarded' && severity === 'warning'),
    );
    await reads(one, false);
    await eventually('it was made one', failover);
    await one.stop();
    // And back: the stream goes on from where it was.
    one.configure({ tables: ['public.t'], snapshot: 'never' });
    await insert(client, 1);
    await reads(one, false);
    await eventually('it is none any more', async () => !(await failover()));
    await handedOver(one, [1]);
    await one.stop();
    one.configure({ tables: ['public.t'], snapshot: 'never', failover: true });
    one.moveTo(standby);
    expect(await codes()).toContainEqual(['config_invalid', 'error']);
  });
});
