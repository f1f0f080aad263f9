import { systemClock } from '@planasonix/core';
import { eventually, startPostgres, type Postgres } from '@planasonix/testing';
import { Client } from 'pg';
import { endPredecessor, slotSession } from './predecessor.js';
import { createSlot, slotState } from './slot.js';

describe('making a slot beside a transaction that does not end (trap 10)', () => {
  let server: Postgres;
  let control: Client;
  const open: Client[] = [];

  beforeAll(async () => {
    server = await startPostgres({ version: 17 });
    control = await server.connect();
    await control.query('CREATE TABLE t (id int)');
  });
  afterEach(async () => {
    for (const client of open.splice(0)) await client.end().catch(() => undefined);
  });
  afterAll(async () => {
    await control?.end();
    await server?.stop('immediate');
  });

  async function session(name: string, replication: boolean): Promise<Client> {
    const client = new Client({
      connectionString: server.url(),
      application_name: name,
      ...(replication ? { replication: 'database' } : {}),
    });
    client.on('error', () => undefined);
    await client.connect();
    open.push(client);
    return client;
  }

  async function writer(): Promise<Client> {
    const client = await session('billing', false);
    await client.query('BEGIN');
    await client.query('INSERT INTO t VALUES (1)');
    return client;
  }

  it('says who is waited for, and leaves neither a slot nor a backend that waits on', async () => {
    const blocker = await writer();
    const replication = await session(slotSession('stream'), true);
    await expect(createSlot(replication, control, 'mine', false, 300)).rejects.toThrow(
      /waits for open transactions: pid \d+ \(billing, open for \d+ s\)/,
    );
    await eventually('the half-made slot is gone', async () => (await slotState(control, 'mine')) === null);
    await blocker.query('COMMIT');
    const again = await session(slotSession('stream'), true);
    expect((await createSlot(again, control, 'mine')).snapshot).not.toBe('');
    await again.end();
    await eventually('nobody holds it', async () => (await slotState(control, 'mine'))?.active_pid === null);
    await control.query("SELECT pg_drop_replication_slot('mine')");
  });

  it('a predecessor that was cut off while it made the slot is ended, and nobody else who holds it', async () => {
    const blocker = await writer();
    const cutOff = await session(slotSession('stream'), true);
    cutOff.query('CREATE_REPLICATION_SLOT "mine" LOGICAL pgoutput EXPORT_SNAPSHOT').catch(() => undefined);
    await eventually('the slot is half made', async () => (await slotState(control, 'mine'))?.active_pid ?? null);
    const clock = systemClock;
    await endPredecessor(control, 'mine', 'another', clock);
    expect(await slotState(control, 'mine')).not.toBeNull();
    await endPredecessor(control, 'mine', 'stream', clock);
    await eventually('the half-made slot is gone', async () => (await slotState(control, 'mine')) === null);
    await blocker.query('COMMIT');
  });
});
