import { eventually, startPostgres, startStandby, type Postgres, type Standby } from '@planasonix/testing';
import type { Client } from 'pg';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(120_000);

describe.each([16, 18] as const)('a standby of Postgres %i as the source', (version) => {
  let primary: Postgres;
  let standby: Standby;
  let client: Client;
  let ticking: NodeJS.Timeout;
  let streams = 0;
  const running: TrialStream[] = [];

  beforeAll(async () => {
    primary = await startPostgres({ version });
    client = await primary.connect();
    await client.query(
      'CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, $$old$$ FROM generate_series(1, 5000) i',
    );
    await client.query('CREATE PUBLICATION p FOR TABLE t');
    standby = await startStandby(primary, { version });
    // A slot begins where the primary has said what runs there; by itself it does so every 15 s at most.
    const saying = await primary.connect();
    ticking = setInterval(() => void saying.query('SELECT pg_log_standby_snapshot()').catch(() => undefined), 100);
  });
  afterEach(() => Promise.all(running.splice(0).map((one) => one.stop())));
  afterAll(async () => {
    clearInterval(ticking);
    await standby?.stop('immediate');
    await primary?.stop('immediate');
  });

  const stream = (config: object): TrialStream => {
    const one = new TrialStream(`str_standby${++streams}`, { publication: 'p', ...config }, standby);
    running.push(one);
    return one;
  };
  const values = (of: TrialStream, table: string): unknown[] =>
    [...of.fold()].filter(([at]) => at.startsWith(`public.${table} `)).map(([, row]) => row['v']);

  it('rows and changes come, and it goes on where it was', async () => {
    const one = stream({ tables: ['public.t'] });
    one.start();
    await one.rowsDone();
    await client.query("UPDATE t SET v = 'new' WHERE id <= 10; INSERT INTO t VALUES (6000, 'more')");
    await one.seen('more');
    expect(values(one, 't')).toHaveLength(5001);
    expect(values(one, 't').filter((v) => v === 'new')).toHaveLength(10);
    await one.stop();
    await client.query("INSERT INTO t VALUES (6001, 'later')");
    one.start();
    await one.seen('later');
    expect(one.failure).toBeNull();
    expect(new Set(one.events.map(({ id }) => id)).size).toBe(one.events.length);
  });

  it('of a table that is published later, writers of the primary are waited out (trap 12)', async () => {
    const one = stream({ tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    const open = await primary.connect();
    await client.query('CREATE TABLE late (id int PRIMARY KEY, v text)');
    await client.query("INSERT INTO late SELECT i, 'old' FROM generate_series(1, 3000) i");
    await open.query("BEGIN; INSERT INTO late VALUES (5000, 'open')");
    await client.query('ALTER PUBLICATION p ADD TABLE late');
    const waits = () => {
      one.ordersChanged();
      return one.progress()?.tables?.some((table) => table.note?.includes('transactions of the primary'));
    };
    await eventually('it waits', waits, { everyMs: 200 });
    expect(values(one, 'late').filter((v) => v === 'old')).toEqual([]);
    await open.query('COMMIT');
    await eventually('all rows are there', () => values(one, 'late').length === 3001);
    expect(values(one, 'late')).toContain('open');
  });

  it('who gave no publication is told how one is made where it can be', async () => {
    const one = stream({ tables: ['public.t'], publication: undefined });
    expect(await one.check()).toContainEqual({
      code: 'permission_denied',
      severity: 'error',
      message: `The publication planasonix_standby${streams} can't be made: the server is a standby.`,
      fix: expect.stringContaining(`CREATE PUBLICATION "planasonix_standby${streams}" FOR TABLE "public"."t"`),
    });
    one.start();
    await eventually('it ends', () => one.failure);
    expect(one.failure).toMatchObject({ code: 'permission_denied', recourse: 'fatal' });
    expect(one.failure!.hint).toContain('at its primary');
  });
});
