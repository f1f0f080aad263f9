import { systemClock } from '@planasonix/core';
import { eventually, startProxy, type Proxy } from '@planasonix/testing';
import type { DataSource } from 'typeorm';
import { isStoreDown, openStore, type Actor } from './index.js';
import { quiet, StoreUnderTest } from './store-under-test.js';

describe('a store that is away, or behind a network that breaks', () => {
  let under: StoreUnderTest;
  let actor: Actor;
  let { server, store, pipelines } = {} as StoreUnderTest;

  beforeAll(async () => {
    under = await StoreUnderTest.start();
    ({ server, store, pipelines } = under);
    actor = await under.actor();
  });
  afterAll(() => under?.stop());

  async function behindProxy(work: (behind: DataSource, proxy: Proxy) => Promise<void>): Promise<void> {
    const proxy = await startProxy({ targetPort: server.port });
    const url = server.url().replace(`:${server.port}/`, `:${proxy.port}/`);
    const behind = await openStore(url, { log: quiet, poolSize: 3 });
    try {
      await work(behind, proxy);
    } finally {
      await behind.destroy();
      await proxy.stop();
    }
  }

  it('says within 2 s that it is down, and is back without a restart', async () => {
    await under.makeStream(actor);
    await server.halt();
    const began = systemClock.monotonic();
    const error = await pipelines.list(actor.workspaceId, 1, null).catch((e: unknown) => e);
    expect(isStoreDown(error)).toBe(true);
    expect(systemClock.monotonic() - began).toBeLessThan(2000);
    await server.start();
    await eventually('it answers', async () => (await pipelines.list(actor.workspaceId, 1, null)).length === 1);
  });

  it('does not go on waiting on connections that the network has swallowed', () =>
    behindProxy(async (behind, proxy) => {
      const all = () => Promise.all([1, 2, 3, 4, 5].map(() => behind.query('SELECT pg_sleep(0.05)')));
      await all();
      proxy.halfOpen();
      await eventually('each of them is replaced', async () => (await all()).length === 5);
      await all();
    }));

  it('gives back the rows of a transaction whose process is frozen, or has gone unheard (trap 32)', () =>
    behindProxy(async (behind, proxy) => {
      const runner = behind.createQueryRunner();
      const { id } = await under.makeStream(actor);
      const locked = () =>
        store.query('SELECT FROM streams WHERE id = $1 FOR UPDATE NOWAIT', [id]).then(
          () => false,
          () => true,
        );
      await runner.startTransaction();
      await runner.query('SELECT FROM streams WHERE id = $1 FOR UPDATE', [id]);
      expect(await locked()).toBe(true);
      proxy.halfClose();
      await eventually('its row is free', async () => !(await locked()));
      // Of a process that wakes up after that the store was away, and nothing is wrong with what it asked.
      const late = await runner.query('SELECT 1').catch((error: unknown) => error);
      expect(isStoreDown(late)).toBe(true);
    }));
});
