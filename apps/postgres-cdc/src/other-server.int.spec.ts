import {
  eventually,
  startPostgres,
  startProxy,
  startStandby,
  type Postgres,
  type Proxy,
  type Standby,
} from '@planasonix/testing';
import type { SourceContext } from '@planasonix/core';
import type { Client } from 'pg';
import { outbound } from './control-under-test.js';
import { Sessions } from './sessions.js';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(120_000);

describe('an address that leads to a promoted standby while the changes of the old primary still come', () => {
  let primary: Postgres;
  let standby: Standby;
  let proxy: Proxy;
  let client: Client;
  let streams = 0;
  const running: TrialStream[] = [];
  const elsewhere = {
    code: 'source_unreachable',
    recourse: 'retry',
    message: expect.stringMatching(/^Another server answers at this address/) as string,
  };

  beforeAll(async () => {
    primary = await startPostgres({ version: 17 });
    client = await primary.connect();
    await client.query('CREATE TABLE t (id int PRIMARY KEY, v text)');
    await client.query("INSERT INTO t VALUES (1, 'of both')");
    await client.query('CREATE PUBLICATION p FOR TABLE t');
    standby = await startStandby(primary, { version: 17 });
    proxy = await startProxy({ targetPort: primary.port });
    await standby.promote();
    const promoted = await standby.connect();
    await promoted.query("INSERT INTO t VALUES (2, 'of the other')");
    // Places of the new history: the old one has passed them all.
    for (let i = 0; i < 2; i++) {
      await client.query("SELECT pg_logical_emit_message(true, 'noise', 'x')");
      await client.query('SELECT pg_switch_wal()');
    }
  });
  afterEach(() => Promise.all(running.splice(0).map((one) => one.stop())));
  afterAll(async () => {
    await proxy?.stop();
    await standby?.stop('immediate');
    await primary?.stop('immediate');
  });

  const called = (of: TrialStream, role: string) => `planasonix_${of.id.replace('str_', '')} ${role}`;
  const sessions = async (of: TrialStream, role: string): Promise<number> =>
    (await client.query('SELECT FROM pg_stat_activity WHERE application_name = $1', [called(of, role)])).rowCount ?? 0;
  /** Ends one between two of its questions. @param quiet so long nobody has asked on it */
  const broken = async (of: TrialStream, role: string, quiet: string): Promise<void> => {
    await eventually(`the session for ${role} is ended`, async () => {
      const { rowCount } = await client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = $1 AND state = 'idle' AND state_change < clock_timestamp() - $2::interval`,
        [called(of, role), quiet],
      );
      return rowCount === 1;
    });
  };

  it.each<[string, (of: TrialStream) => Promise<void>]>([
    [
      'rows of an order',
      (of) => {
        of.orders.push({ id: 'snap_1', tables: ['public.t'], where: null });
        of.ordersChanged();
        return Promise.resolve();
      },
    ],
    ['the catalog', (of) => broken(of, 'control', '500 ms')],
    ['heartbeats', (of) => broken(of, 'heartbeat', '0 ms')],
  ])(
    'is noticed by a session for %s: the reading ends and says why, with nothing of the other (trap 6)',
    async (_, dial) => {
      const one = new TrialStream(
        `str_moved${++streams}`,
        { tables: ['public.t'], publication: 'p', heartbeat_interval: '200ms' },
        { ...primary, port: proxy.port },
      );
      running.push(one);
      const begins = async (): Promise<void> => {
        proxy.pointTo(primary.port);
        one.start();
        await eventually('it reads', () => one.connected);
      };
      const foreign = () => one.events.some(({ data }) => data.includes('of the other'));
      const closed = () => one.closed.length > 0;
      const isLed = async (): Promise<void> => {
        await eventually('no session for rows is left', async () => (await sessions(one, 'rows')) === 0);
        await eventually('one for heartbeats is there', async () => (await sessions(one, 'heartbeat')) === 1);
        proxy.pointTo(standby.port);
        await dial(one);
        await eventually('it ends', () => one.failure ?? (foreign() || closed()));
      };
      await begins();
      await one.rowsDone();
      await isLed();
      // The session was ended amid a question after all.
      if ((one.failure?.cause as { code?: string } | undefined)?.code === '57P01') {
        await begins();
        await isLed();
      }
      expect(one.failure).toMatchObject(elsewhere);
      expect(one.events.map(({ data }) => data.toString()).join()).not.toContain('of the other');
      expect(one.closed).toEqual([]);
      // Whoever reads on finds out which history it is.
      one.start();
      expect(await one.outcome()).toMatchObject({ code: 'source_identity_changed', recourse: 'lost' });
    },
  );

  it('is noticed where it is opened, and by nobody who only looks', async () => {
    const { port, password } = primary;
    const config = { host: '127.0.0.1', user: 'postgres', database: 'postgres', password, sslMode: 'disable' };
    const connection = { id: 'conn_1', type: 'postgres', config: { ...config, port: proxy.port } };
    const at = () => new Sessions({ connection, outbound } as unknown as SourceContext, 'planasonix_looks');
    const [looks, opens] = [at(), at()];
    for (const one of [looks, opens]) {
      proxy.pointTo(port);
      const control = await one.control();
      proxy.pointTo(standby.port);
      const replication = await one.open('slot', true);
      if (one === looks) expect(await one.control()).toBe(control);
      else {
        await expect(one.stayWith(replication)).rejects.toMatchObject(elsewhere);
        // Also for whoever would be led back: what was asked before and after is not of one server.
        proxy.pointTo(port);
        await expect(one.control()).rejects.toMatchObject(elsewhere);
        await expect(one.open('rows')).rejects.toMatchObject(elsewhere);
      }
      await one.close();
    }
  });
});
