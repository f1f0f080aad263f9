import { eventually, startPostgres, type Postgres } from '@planasonix/testing';
import { Client, type ClientConfig } from 'pg';
import { quoteIdent } from './identifier.js';
import { instanceOf } from './instance.js';
import { identify, slotState } from './slot.js';
import { WalConnection } from './wal-connection.js';

describe('the replication connection of one read', () => {
  let server: Postgres;
  let control: Client;
  beforeAll(async () => {
    server = await startPostgres({ version: 17 });
    control = await server.connect();
    await control.query('CREATE PUBLICATION pub FOR ALL TABLES');
    await control.query("SELECT pg_create_logical_replication_slot('mine', 'pgoutput')");
  });
  afterAll(async () => {
    await control?.end();
    await server?.stop('immediate');
  });

  const identified = async () => {
    const replication = new Client({ connectionString: server.url(), replication: 'database' } as ClientConfig);
    await replication.connect();
    const of = { server: await identify(replication), instance: await instanceOf(replication) };
    await replication.end();
    return of;
  };

  it.each([
    ['another system identifier', { system_id: '1' }, {}],
    ['another timeline', { timeline: 2 }, {}],
    ['another process', {}, { instance: '1700000000.000000' }],
  ])('reads nothing from the server that answers by now if it has %s (trap 6)', async (_, other, process) => {
    const identity = await identified();
    const received: string[] = [];
    const failed: Error[] = [];
    const open = async (of: typeof identity): Promise<void> => {
      const connection = new WalConnection(
        { connectionString: server.url() },
        {
          data: () => received.push('data'),
          keepalive: () => received.push('keepalive'),
          failed: (error) => failed.push(error),
        },
      );
      const place = { slot: 'mine', publication: 'pub', from: 0n, messages: false };
      await connection.open({ ...place, ...of }).finally(() => connection.close());
    };
    // A walsender takes a moment to notice that the one before has gone.
    const before = await eventually('nobody reads the slot', async () => {
      const state = await slotState(control, 'mine');
      return state?.active_pid === null && state;
    });
    await expect(open({ ...identity, ...process, server: { ...identity.server, ...other } })).rejects.toMatchObject({
      code: 'source_unreachable',
      recourse: 'retry',
    });
    expect(received).toEqual([]);
    expect(await slotState(control, 'mine')).toEqual(before);
    await open(identity);
    expect(failed).toHaveLength(1);
  });

  it('names of any kind are what they are: no part of one is folded, or taken for an option (trap 16)', async () => {
    const name = `Mixed, it's "x"', messages 'true`;
    const table = '"Odd Name"."T.x"';
    await control.query(`CREATE SCHEMA "Odd Name"; CREATE TABLE ${table} (id int PRIMARY KEY)`);
    await control.query(`CREATE PUBLICATION ${quoteIdent(name)} FOR TABLE ${table}`);
    await control.query("SELECT pg_create_logical_replication_slot('odd', 'pgoutput')");
    await control.query("SELECT pg_logical_emit_message(true, 'planasonix', 'not asked for')");
    await control.query(`INSERT INTO ${table} VALUES (7)`);
    const received: Buffer[] = [];
    const failed: Error[] = [];
    const connection = new WalConnection(
      { connectionString: server.url() },
      {
        data: (message) => received.push(Buffer.from(message)),
        keepalive: () => undefined,
        failed: (error) => failed.push(error),
      },
    );
    const place = { slot: 'odd', publication: name, from: 0n, messages: false };
    await connection.open({ ...place, ...(await identified()) });
    const kinds = () => received.map((message) => String.fromCharCode(message[0]!)).join('');
    await eventually('the row has come', () => /BRIC$/.test(kinds()) || failed.length > 0);
    expect(failed).toEqual([]);
    expect(kinds()).not.toContain('M');
    expect(received.some((message) => message.includes('Odd Name\0T.x\0'))).toBe(true);
    await connection.close();
  });
});
