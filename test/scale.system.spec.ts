import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { eventually, tempDir } from '@planasonix/testing';
import { fold, readLog, repeatedIds } from './log.js';
import { makeStream, start, status, until } from './shop.js';
import { makeWorld, type World } from './world.js';

jest.setTimeout(300_000);

describe('two workers share the streams', () => {
  let world: World;
  const ids: string[] = [];
  const crashFile = path.join(tempDir('crash'), 'at');

  beforeAll(async () => {
    world = await makeWorld({ WORKERS: '2', CRASH_FILE: crashFile });
    for (let i = 0; i < 4; i++) {
      await world.source.query(`CREATE TABLE t${i}(id bigint PRIMARY KEY, v text)`);
      ids.push(
        await makeStream(world.stack, {
          name: `t${i}`,
          connectionId: world.connectionId,
          pipelineId: world.pipelineId,
          config: { tables: [`public.t${i}`] },
        }),
      );
    }
    for (const id of ids) await start(world.stack, id);
  });
  afterAll(() => world?.end());

  const owners = async () => {
    const store = await world.postgres.connect('meta');
    const found = await store.query('SELECT id, lease_owner, epoch FROM streams');
    await store.end();
    return found.rows as { id: string; lease_owner: string | null; epoch: number }[];
  };

  /** Writes rows until told to stop; answers how many are committed per table. */
  function writing(): () => Promise<number> {
    let go = true;
    let rows = 0;
    const done = (async () => {
      const session = await world.session();
      while (go) {
        rows++;
        for (let i = 0; i < 4; i++)
          await session.query(`INSERT INTO t${i} SELECT coalesce(max(id), 0) + 1, 'row' FROM t${i}`);
      }
      return rows;
    })();
    return () => {
      go = false;
      return done;
    };
  }

  async function expectAllThere(): Promise<void> {
    for (const [i, id] of ids.entries()) {
      const truth = (await world.source.query(`SELECT id::int, v FROM t${i} ORDER BY id`)).rows;
      const events = await eventually(
        `t${i} is in the log`,
        async () => {
          const found = await readLog(world.redis, id);
          return found.length >= truth.length && found;
        },
        { timeoutMs: 60_000 },
      );
      expect(repeatedIds(events as never)).toBe(0);
      const rows = [...fold(events as never).values()].sort((a, b) => Number(a['id']) - Number(b['id']));
      expect(rows).toEqual(truth);
      await eventually(
        'the totals are the log',
        async () =>
          (await world.stack.api('GET', `/api/streams/${id}/metrics`)).a.total_events === (events as unknown[]).length,
      );
    }
  }

  it('SIGKILL of one: each of its streams soon runs in another process, nothing lost, nothing twice', async () => {
    const stop = writing();
    const before = await owners();
    const ownedBy = (pid: number) => before.filter((row) => row.lease_owner?.includes(`-${pid}-`));
    const victim = world.stack.pids('postgres-cdc').find((pid) => ownedBy(pid).length > 0)!;
    const orphans = ownedBy(victim);
    process.kill(victim, 'SIGKILL');
    // 15 s are promised; a slow machine may take some of its own.
    await eventually(
      'each of them has a new owner who reads it',
      async () => {
        const now = new Map((await owners()).map((row) => [row.id, row]));
        for (const { id, epoch, lease_owner: dead } of orphans) {
          const row = now.get(id)!;
          if (row.epoch <= epoch || row.lease_owner === null || row.lease_owner === dead) return false;
          if ((await status(world.stack, id)) !== 'running') return false;
        }
        return true;
      },
      { timeoutMs: 60_000 },
    );
    await stop();
    await expectAllThere();
  });

  it('a worker that is frozen past its lease and woken writes nothing (trap 27)', async () => {
    await eventually('both workers are back', () => world.stack.pids('postgres-cdc').length === 2);
    const stop = writing();
    let moved = 0;
    for (const pid of world.stack.pids('postgres-cdc')) {
      const mine = (await owners()).filter((row) => row.lease_owner?.includes(`-${pid}-`));
      moved += mine.length;
      process.kill(pid, 'SIGSTOP');
      try {
        await eventually(
          'its streams run elsewhere',
          async () => {
            const now = await owners();
            const elsewhere = mine.every(({ id, lease_owner, epoch }) =>
              now.some(
                (row) =>
                  row.id === id && row.epoch > epoch && row.lease_owner !== null && row.lease_owner !== lease_owner,
              ),
            );
            return (
              elsewhere && (await Promise.all(ids.map((id) => status(world.stack, id)))).every((s) => s === 'running')
            );
          },
          { timeoutMs: 90_000 },
        );
      } finally {
        process.kill(pid, 'SIGCONT');
      }
    }
    await stop();
    expect(moved).toBeGreaterThan(0);
    await expectAllThere();
  });

  it('deleting every BullMQ key costs latency only (trap 27)', async () => {
    const keys = (await world.redis.keys('plnx:*')).filter((key) => /commands|asks/.test(key));
    expect(keys.length).toBeGreaterThan(0);
    await world.redis.del(...keys);
    for (const id of ids) {
      expect((await world.stack.api('POST', `/api/streams/${id}/stop`)).a.status).toBe('stopped');
      await world.redis.del(...(await world.redis.keys('plnx:*')).filter((key) => /commands|asks/.test(key)), 'none');
      expect((await world.stack.api('POST', `/api/streams/${id}/start`)).a.status).toBe('starting');
    }
    for (const id of ids) await until(world.stack, id, 'running');
    await expectAllThere();
  });

  it.each(['outbox-written', 'outbox-relayed'])(
    'a gateway that dies at %s loses nothing of the command that it has accepted (trap 38)',
    async (step) => {
      const id = ids[0]!;
      expect((await world.stack.api('POST', `/api/streams/${id}/stop`)).a.status).toBe('stopped');
      const [gateway] = world.stack.pids('api-gateway');
      writeFileSync(crashFile, step);
      // Whether there is time for an answer is the gateway's affair.
      await world.stack.api('POST', `/api/streams/${id}/start`).catch(() => null);
      await eventually('it has died there', () => !existsSync(crashFile));
      await eventually('another is there', async () => {
        const there = world.stack.pids('api-gateway');
        return !there.includes(gateway!) && (await fetch(`${world.stack.base}/health/ready`)).ok;
      });
      await until(world.stack, id, 'running');
    },
  );

  it('a gateway that dies right after it accepted a command loses nothing', async () => {
    const id = ids[0]!;
    expect((await world.stack.api('POST', `/api/streams/${id}/stop`)).a.status).toBe('stopped');
    for (let round = 0; round < 2; round++) {
      const [gateway] = world.stack.pids('api-gateway');
      const answer = await world.stack.api('POST', `/api/streams/${id}/start`);
      process.kill(gateway!, 'SIGKILL');
      expect(answer.a.status).toBe('starting');
      await eventually('the gateway is back', async () => (await fetch(`${world.stack.base}/health/ready`)).ok, {
        timeoutMs: 60_000,
      });
      await until(world.stack, id, 'running');
      expect((await world.stack.api('POST', `/api/streams/${id}/stop`)).a.status).toBe('stopped');
    }
  });
});
