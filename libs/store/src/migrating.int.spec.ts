import type { Log } from '@planasonix/core';
import { startPostgres } from '@planasonix/testing';
import { openStore } from './index.js';

jest.setTimeout(60_000);

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

describe('migrating the store', () => {
  let server: Awaited<ReturnType<typeof startPostgres>>;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.stop('immediate'));

  const open = (patienceMs: number) => openStore(server.url(), { log: quiet, patienceMs });

  it('gives its lock back when it fails, so that another app can, and waits for one that never ends no longer than it is told to', async () => {
    const admin = await server.connect();
    await admin.query('CREATE TABLE workspaces (mine int)');
    await expect(open(10_000)).rejects.toThrow(/workspaces/);
    const { rows } = await admin.query("SELECT FROM pg_locks WHERE locktype = 'advisory'");
    expect(rows).toEqual([]);
    await admin.query('DROP TABLE workspaces');
    await admin.query('SELECT pg_advisory_lock(7205759)');
    await expect(open(500)).rejects.toThrow(/too long/);
    await admin.query('SELECT pg_advisory_unlock(7205759)');
    await (await open(10_000)).destroy();
    await admin.end();
  });
});
