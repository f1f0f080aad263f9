import { createHash } from 'node:crypto';
import type { Log } from '@planasonix/core';
import { startPostgres } from '@planasonix/testing';
import { ApiKeyStore, openStore } from './index.js';

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

  it('leaves nothing of a key that was kept whole, and of one that is given still no more than its measure (trap 35)', async () => {
    const store = await open(10_000);
    const kept: Record<string, string> = {
      'short-key': 'short-key',
      'a-key-of-some-length': 'a-key-of-some-',
      plnx_live_abcd: 'plnx_live_abcd',
      plnx_live_abcdefgh: 'plnx_live_abcd',
      [`plnx_live_${'k'.repeat(43)}`]: 'plnx_live_kkkk',
    };
    await store.query("INSERT INTO workspaces (id, name) VALUES ('ws_1', 'default')");
    for (const [key, prefix] of Object.entries(kept))
      await store.query(
        "INSERT INTO api_keys (id, workspace_id, name, prefix, hash, scopes, first) VALUES ($1, 'ws_1', 'k', $2, $3, '{}', true)",
        [`key_${key}`, prefix, createHash('sha256').update(key).digest('hex')],
      );
    await store.query("DELETE FROM migrations WHERE name LIKE 'ShownPrefix%'");
    await store.destroy();
    const again = await open(10_000);
    await new ApiKeyStore(again).ensureFirst('plnx_live_abcdefgh');
    const rows: { prefix: string }[] = await again.query('SELECT prefix FROM api_keys ORDER BY created_at');
    await again.destroy();
    expect(rows.map((row) => row.prefix)).toEqual(['sh', 'a-k', 'plnx_live_a', 'plnx_live_ab', 'plnx_live_kkkk']);
  });
});
