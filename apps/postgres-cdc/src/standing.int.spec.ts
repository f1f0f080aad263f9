import { existsSync } from 'node:fs';
import path from 'node:path';
import { eventually, startPostgres, type Postgres, type PostgresVersion } from '@planasonix/testing';
import type { Client } from 'pg';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(120_000);

/** Paused, or before a log that is full: nothing is taken from the server, which has much to send. */
describe.each([14, 18] as const)('a reader that stands, of Postgres %i', (version: PostgresVersion) => {
  let server: Postgres;
  let admin: Client;
  let one: TrialStream;
  let goOn: () => void;

  const walsender = async (): Promise<number | undefined> =>
    (await admin.query<{ pid: number }>('SELECT active_pid AS pid FROM pg_replication_slots WHERE active')).rows[0]
      ?.pid;
  /** As the worker does, each second. */
  const looks = (): Promise<unknown> => one.lag().catch((error: unknown) => error);
  const until = (what: string, there: (seen: unknown) => boolean | Promise<boolean>) =>
    eventually(what, async () => there(await looks()), { timeoutMs: 80_000, everyMs: 250 });
  const released = () => until('the server is rid of it', async () => (await walsender()) === undefined);

  beforeEach(async () => {
    server = await startPostgres({ version });
    admin = await server.connect();
    await admin.query('CREATE TABLE t (id int PRIMARY KEY, v text)');
    one = new TrialStream('str_stands', { tables: ['public.t'], snapshot: 'never' }, server);
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    one.start({ beforeEach: () => (one.events.length > 0 ? gate : undefined) });
    await eventually('it reads', () => Promise.resolve(one.connected));
    await admin.query("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 60000) n");
    await eventually('the server can send no more', async () => {
      const { rows } = await admin.query<{ waits: string }>(
        'SELECT wait_event AS waits FROM pg_stat_activity WHERE pid = $1',
        [await walsender()],
      );
      return rows[0]?.waits === 'WalSenderWriteData';
    });
  });
  afterEach(async () => {
    goOn();
    await one.stop();
    await server.stop('immediate');
  });

  it('does not keep a checkpoint waiting for its slot, and hears that the slot is lost (trap 9)', async () => {
    await admin.query("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'");
    await admin.query('SELECT pg_reload_conf()');
    const other = await server.connect();
    let lost = false;
    // More than one: the first may come to the checkpointer before the new setting does.
    const checkpoints = (async () => {
      while (!lost) await admin.query('CHECKPOINT');
    })();
    await until('it is lost', async (seen) => {
      expect((await other.query('SELECT FROM pg_replication_slots')).rowCount).toBe(1);
      return (lost = (seen as { code?: string }).code === 'slot_lost');
    }).finally(() => (lost = true));
    await checkpoints;
    await other.end();
  });

  it('hears that its slot was dropped, though nobody takes anything', async () => {
    const pid = await walsender();
    await admin.query('SELECT pg_terminate_backend($1)', [pid]);
    await released();
    await admin.query("SELECT pg_drop_replication_slot('planasonix_stands')");
    await until('it is told', (seen) => (seen as { code?: string }).code === 'slot_lost');
  });

  it('does not keep a server from shutting down', async () => {
    const there = path.join(server.dir, 'postmaster.pid');
    process.kill(server.pid, 'SIGINT');
    await until('it is down', () => !existsSync(there));
    goOn();
    expect(await one.outcome()).toMatchObject({ code: 'source_unreachable', recourse: 'retry' });
  });
});
