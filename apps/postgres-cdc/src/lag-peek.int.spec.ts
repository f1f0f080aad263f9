import type { Lag } from '@planasonix/core';
import { eventually, startPostgres, type Postgres } from '@planasonix/testing';
import type { Client } from 'pg';
import { TrialStream } from './trial/trial-stream.js';

describe('a look at the lag', () => {
  let server: Postgres;
  let admin: Client;
  const stream = (id: string, snapshot: string) => new TrialStream(id, { tables: ['public.seen'], snapshot }, server);
  const backlog = () => admin.query('INSERT INTO seen SELECT coalesce(max(id), 0) + 1 FROM seen');

  beforeAll(async () => {
    server = await startPostgres({ version: 16, config: { track_commit_timestamp: 'on' } });
    admin = await server.connect();
    await admin.query('CREATE TABLE seen (id int PRIMARY KEY)');
  });
  afterAll(() => server?.stop('immediate'));

  it('counts no change of a table that is not asked for, although the publication covers it', async () => {
    await admin.query(`CREATE TABLE others (id int PRIMARY KEY); CREATE PUBLICATION wide FOR ALL TABLES WITH (publish_via_partition_root);
      CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parts DEFAULT`);
    const one = new TrialStream(
      'str_wide',
      { tables: ['public.seen', 'public.parts'], snapshot: 'never', publication: 'wide' },
      server,
    );
    one.start();
    await eventually('it has a position', () => {
      if (one.failure) throw one.failure;
      return one.positions.size > 0;
    });
    await one.stop();
    await admin.query('INSERT INTO others SELECT generate_series(1, 100)');
    await admin.query('TRUNCATE others');
    expect(await one.lag()).toMatchObject({ oldestPendingMs: null, provedAtMs: expect.any(Number) });
    await admin.query('INSERT INTO others VALUES (1)');
    await admin.query('INSERT INTO part VALUES (1)');
    const { rows } = await admin.query<{ ms: number }>(
      'SELECT floor(1000 * extract(epoch FROM pg_xact_commit_timestamp(xmin)))::float8 AS ms FROM part',
    );
    await backlog();
    expect((await one.lag()).oldestPendingMs).toBe(rows[0]!.ms);
  });

  it('tells nothing from another server, also where that has a slot of the same name (trap 6)', async () => {
    const one = stream('str_elsewhere', 'never');
    one.start();
    await eventually('it has a position', () => one.positions.size > 0);
    await one.stop();
    expect((await one.lag()).provedAtMs).not.toBeNull();
    const other = await startPostgres({ version: 16 });
    try {
      const there = await other.connect();
      await there.query(`CREATE TABLE seen (id int PRIMARY KEY); CREATE PUBLICATION plnx_str_elsewhere FOR TABLE seen`);
      const { rows } = await admin.query<{ slot: string }>(
        "SELECT slot_name AS slot FROM pg_replication_slots WHERE slot_name LIKE '%elsewhere%'",
      );
      await there.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [rows[0]!.slot]);
      one.moveTo(other);
      await expect(one.lag()).rejects.toMatchObject({ code: 'source_unreachable' });
    } finally {
      await other.stop('immediate');
    }
  });

  it.each(['never', 'initial'])(
    'takes the slot of a stream that nobody reads, and never that of one that is about to be read (snapshot %s)',
    async (snapshot) => {
      const one = stream(`str_look${snapshot}`, snapshot);
      const looks: Lag[] = [];
      if (snapshot === 'never') {
        one.start();
        await eventually('it has a position', () => one.positions.size > 0);
        await one.stop();
        await backlog();
        expect((await one.lag()).oldestPendingMs).not.toBeNull();
      }
      // Connected, and the reader not yet opened; with rows first it is not for seconds.
      one.start({
        beforeEach: async () => {
          if (looks.length > 0 || !one.positions.has('')) return;
          await backlog();
          looks.push(await one.lag());
        },
      });
      await eventually('it was looked at', () => {
        if (one.failure) throw one.failure;
        return looks.length > 0;
      });
      expect(looks[0]).toMatchObject({ oldestPendingMs: null, provedAtMs: null, backlogBytes: null });
      await eventually('its reader tells', async () => (await one.lag()).provedAtMs !== null);
      expect(one.failure).toBeNull();
      await one.stop();
    },
  );
});
