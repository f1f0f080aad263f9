import { startPostgres, type Postgres } from '@planasonix/testing';
import { Client, type ClientConfig } from 'pg';
import { identify, slotState } from './slot.js';
import { WalConnection } from './wal-connection.js';

jest.setTimeout(60_000);

describe('the replication connection of one read', () => {
  let server: Postgres;
  let control: Client;
  beforeAll(async () => {
    server = await startPostgres({ version: 17 });
    control = await server.connect();
    await control.query('CREATE PUBLICATION pub FOR ALL TABLES');
    await control.query("SELECT pg_create_logical_replication_slot('mine', 'pgoutput')");
  }, 60_000);
  afterAll(async () => {
    await control?.end();
    await server?.stop('immediate');
  });

  it.each([
    ['another system identifier', { system_id: '1' }],
    ['another timeline', { timeline: 2 }],
  ])('reads nothing from the server that answers by now if it has %s (trap 6)', async (_, other) => {
    const replication = new Client({ connectionString: server.url(), replication: 'database' } as ClientConfig);
    await replication.connect();
    const identity = await identify(replication).finally(() => replication.end());
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
      await connection.open({ ...place, server: of }).finally(() => connection.close());
    };
    const before = await slotState(control, 'mine');
    await expect(open({ ...identity, ...other })).rejects.toMatchObject({
      code: 'source_unreachable',
      recourse: 'retry',
    });
    expect(received).toEqual([]);
    expect(await slotState(control, 'mine')).toEqual(before);
    await open(identity);
    expect(failed).toHaveLength(1);
  });
});
