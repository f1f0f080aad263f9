import { eventually, startPostgres, startProxy, type Postgres } from '@planasonix/testing';
import { systemClock, type Source } from '@planasonix/core';
import type { Client } from 'pg';
import { openSession } from './session.js';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(120_000);

describe('what a stream holds at its source, when its config or its connection changes (trap 33)', () => {
  let server: Postgres;
  let admin: Client;
  const config = (slot_name: string, publication?: string) => ({
    ...{ tables: ['public.t'], snapshot: 'never', heartbeat_interval: '200ms', slot_name },
    ...(publication === undefined ? {} : { publication }),
  });
  const reads = async (of: TrialStream, onLost: 'resnapshot' | null = null) => {
    of.start({ onLost });
    await eventually('it reads', () => {
      if (of.failure) throw of.failure;
      return Promise.resolve(of.connected && of.positions.size > 0);
    });
  };
  const held = async (at = admin): Promise<string[]> => {
    const { rows } = await at.query<{ name: string }>(
      'SELECT slot_name::text AS name FROM pg_replication_slots UNION ALL SELECT pubname FROM pg_publication ORDER BY 1',
    );
    return rows.map(({ name }) => name);
  };
  const release = (of: TrialStream) =>
    of.look((source) => source.release({ force: false }, AbortSignal.timeout(10_000)));

  beforeAll(async () => {
    server = await startPostgres();
    admin = await server.connect();
    await admin.query('CREATE TABLE t (id int PRIMARY KEY)');
  });
  afterAll(() => server?.stop('immediate'));

  it('another slot_name: the slot of before is kept while a way back to it is open, and given back once another is read', async () => {
    const one = new TrialStream('str_names', config('slot_a', 'pub_a'), server);
    await reads(one);
    await one.stop();
    one.configure(config('slot_b', 'pub_b'));
    one.start();
    expect(await one.outcome()).toMatchObject({ code: 'slot_lost' });
    expect(await held()).toEqual(expect.arrayContaining(['slot_a']));
    await reads(one, 'resnapshot');
    await eventually('the earlier slot is gone', async () => !(await held()).includes('slot_a'));
    await one.stop();
    expect(await held()).toEqual(['pub_a', 'pub_b', 'slot_b']);
    expect((await release(one)).remaining).toEqual([]);
    expect(await held()).toEqual([]);
  });

  it('one that somebody else reads stays on the list, and is given back at the end', async () => {
    const one = new TrialStream('str_busy', config('slot_c'), server);
    await reads(one);
    await one.stop();
    const { port, password } = server;
    const theirs = await openSession(
      {
        ...{ id: 'conn_1', type: 'postgres' },
        config: { host: '127.0.0.1', port, database: 'postgres', user: 'postgres', password, sslMode: 'disable' },
      },
      { resolve: (host) => Promise.resolve(host) },
      { name: 'theirs', replication: true },
    );
    theirs.on('error', () => undefined);
    void theirs
      .query(`START_REPLICATION SLOT slot_c LOGICAL 0/0 (proto_version '1', publication_names 'planasonix_busy')`)
      .catch(() => undefined);
    const active = async () =>
      (await admin.query("SELECT FROM pg_replication_slots WHERE slot_name = 'slot_c' AND active")).rowCount === 1;
    await eventually('they read it', active);
    one.configure(config('slot_d'));
    await reads(one, 'resnapshot');
    await eventually('it is told', () => JSON.stringify(one.warnings).includes('slot slot_c'));
    await one.stop();
    expect(await release(one)).toMatchObject({ remaining: [{ what: 'slot slot_c', code: 'active_consumers' }, {}] });
    await theirs.end();
    await eventually('they have gone', async () => !(await active()));
    expect((await release(one)).remaining).toEqual([]);
    expect(await held()).toEqual([]);
  });

  it('another server, or database, behind the connection: what is where it was is not said to be given back (Invariant 7)', async () => {
    const other = await startPostgres();
    const there = await other.connect();
    await there.query('CREATE TABLE t (id int PRIMARY KEY)');
    await admin.query('CREATE DATABASE elsewhere');
    const one = new TrialStream('str_moved', config('slot_e'), server);
    await reads(one);
    await one.stop();
    one.moveTo(other);
    const unreachable = { code: 'source_unreachable', why: expect.stringContaining('the connection leads elsewhere') };
    expect(await release(one)).toMatchObject({
      released: [],
      remaining: [
        { what: 'slot slot_e', ...unreachable },
        { what: 'publication planasonix_moved', ...unreachable },
      ],
    });
    await reads(one, 'resnapshot');
    await one.stop();
    expect(await release(one)).toMatchObject({
      released: ['slot slot_e', 'publication planasonix_moved'],
      remaining: [{ what: 'slot slot_e' }, { what: 'publication planasonix_moved' }],
    });
    expect([await held(there), await held()]).toEqual([[], ['planasonix_moved', 'slot_e']]);
    await there.end();
    await other.stop('immediate');
    one.moveTo({ port: server.port, password: server.password, database: 'elsewhere' });
    expect((await release(one)).remaining.map(({ what }) => what)).toContain('publication planasonix_moved');
    one.moveTo(server);
    await release(one);
    expect(await held()).toEqual([]);
  });

  it('a slot of its name at another server is never given up for a budget', async () => {
    const other = await startPostgres();
    const there = await other.connect();
    await there.query('CREATE TABLE t (id int PRIMARY KEY)');
    await there.query("SELECT pg_create_logical_replication_slot('slot_f', 'pgoutput')");
    for (const client of [admin, there])
      for (let i = 0; i < 3; i++)
        await client.query("SELECT pg_logical_emit_message(false, 'noise', repeat('x', 1000000))");
    const one = new TrialStream('str_over', config('slot_f'), server);
    await reads(one);
    await one.stop();
    one.configure({ ...config('slot_f'), wal_budget: { bytes: '1MB', on_exceeded: 'release' } });
    one.moveTo(other);
    await expect(one.lag()).rejects.toMatchObject({ code: 'source_unreachable' });
    const letGo = () => one.look((source) => source.letGo!(AbortSignal.timeout(10_000)));
    expect(await letGo()).toEqual({ released: [], remaining: [] });
    expect(await held(there)).toEqual(['slot_f']);
    await there.end();
    await other.stop('immediate');
    // Its own is, where it is as far behind.
    one.moveTo(server);
    for (let i = 0; i < 3; i++)
      await admin.query("SELECT pg_logical_emit_message(true, 'noise', repeat('x', 1000000))");
    await expect(one.lag()).rejects.toMatchObject({ code: 'wal_budget_exceeded' });
    expect(await letGo()).toMatchObject({ released: ['slot slot_f'] });
    await release(one);
    expect(await held()).toEqual([]);
  });

  it('a look whose sessions are led to several servers says nothing of any, and drops nothing there (trap 6)', async () => {
    const other = await startPostgres();
    const proxy = await startProxy({ targetPort: server.port });
    const there = await other.connect();
    await there.query('CREATE TABLE t (id int PRIMARY KEY)');
    await there.query("SELECT pg_create_logical_replication_slot('slot_i', 'pgoutput')");
    for (let i = 0; i < 3; i++)
      await there.query("SELECT pg_logical_emit_message(false, 'noise', repeat('x', 1000000))");
    const budget = { wal_budget: { bytes: '1MB', on_exceeded: 'release' } };
    const one = new TrialStream('str_led', { ...config('slot_i'), ...budget }, { ...server, port: proxy.port });
    await reads(one);
    await one.stop();
    const unreachable = { code: 'source_unreachable' };
    const within = () => AbortSignal.timeout(10_000);
    /** The session for the catalog leads to the other one, those that come after it do not. */
    const led = <T>(use: (source: Source) => Promise<T>) =>
      one.look(async (source) => {
        proxy.pointTo(other.port);
        await source.check(within());
        proxy.pointTo(server.port);
        return use(source);
      });
    const lag = (source: Source) => source.lag(one.positions, within());
    await expect(led(lag)).rejects.toMatchObject(unreachable);
    expect(await led((source) => source.letGo!(within()))).toEqual({ released: [], remaining: [] });
    expect(await led((source) => source.release({ force: false }, within()))).toMatchObject({
      released: [],
      remaining: [unreachable, unreachable],
    });
    const lsn = { lsn: one.lsn };
    await expect(led((source) => source.settle!(lsn, one.positions, within()))).rejects.toMatchObject(unreachable);
    expect(await held(there)).toEqual(['slot_i']);

    // A source that is kept, of a stream that is paused, is led back between two looks.
    let late = 0;
    one.clock = { ...systemClock, monotonic: () => systemClock.monotonic() + late };
    await one.look(async (source) => {
      proxy.pointTo(other.port);
      await expect(lag(source)).rejects.toMatchObject(unreachable);
      proxy.pointTo(server.port);
      await eventually('its session there is ended', async () => {
        const { rowCount } = await there.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'planasonix_led control'",
        );
        return rowCount === 0;
      });
      for (let i = 0; i < 3; i++)
        await admin.query("SELECT pg_logical_emit_message(true, 'noise', repeat('x', 1000000))");
      late = 60_000;
      await expect(lag(source)).rejects.toMatchObject({ code: 'wal_budget_exceeded' });
    });
    await there.query("SELECT pg_drop_replication_slot('slot_i')");
    await expect(led(lag)).rejects.toMatchObject(unreachable);
    await there.end();
    await other.stop('immediate');
    expect((await release(one)).remaining).toEqual([]);
    await proxy.stop();
  });

  it('what another stream names stays for as long as it does, whoever made it; also what was given up for something else', async () => {
    const one = new TrialStream('str_maker', config('slot_g', 'pub_g'), server);
    await reads(one);
    await one.stop();
    one.sharers = [{ config: { slot_name: 'slot_g', publication: 'pub_g' }, database: 'postgres' }];
    const used = { code: 'active_consumers', why: expect.stringContaining('Another stream') };
    const both = [
      { what: 'slot slot_g', ...used },
      { what: 'publication pub_g', ...used },
    ];
    for (const force of [false, true])
      expect(await one.look((source) => source.release({ force }, AbortSignal.timeout(10_000)))).toEqual({
        released: [],
        remaining: both,
      });
    one.configure(config('slot_h', 'pub_g'));
    await reads(one, 'resnapshot');
    await eventually('it is told', () => JSON.stringify(one.warnings).includes('slot slot_g'));
    await one.stop();
    expect(await held()).toEqual(['pub_g', 'slot_g', 'slot_h']);
    // A publication of this name in another database is another one.
    one.sharers = [{ config: { slot_name: 'slot_g', publication: 'pub_g' }, database: 'elsewhere' }];
    expect((await release(one)).remaining.map(({ what }) => what)).toEqual(['slot slot_g']);
    one.sharers = [];
    expect((await release(one)).remaining).toEqual([]);
    expect(await held()).toEqual([]);
  });
});
