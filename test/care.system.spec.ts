import pg, { type Client } from 'pg';
import { becomes, eventually } from '@planasonix/testing';
import { fold, readLog } from './log.js';
import { makePipeline, makeStream, start, status, until } from './shop.js';
import { makeWorld, type World } from './world.js';

jest.setTimeout(300_000);

const BUDGET = 2 * 2 ** 20;

describe('what a stream holds at its source', () => {
  let world: World;
  let streams = 0;

  beforeAll(async () => {
    world = await makeWorld();
    await world.source.query('CREATE TABLE orders(id bigint PRIMARY KEY, v text)');
    await world.source.query("INSERT INTO orders SELECT i, 'row' FROM generate_series(1, 5) i");
  });
  afterAll(() => world?.end());

  const make = async (config: object = {}, pipelineId = world.pipelineId) => {
    const name = `care-${++streams}`;
    const id = await makeStream(world.stack, {
      ...{ name, connectionId: world.connectionId, pipelineId },
      config: { tables: ['public.orders'], heartbeat_interval: '500ms', ...config },
    });
    await start(world.stack, id);
    await eventually('its rows are read', async () => (await stream(id)).position?.phase === 'stream');
    return id;
  };
  const stream = async (id: string) => (await world.stack.api('GET', `/api/streams/${id}`)).a;
  const kept = async (id: string) =>
    (await world.stack.api('GET', `/api/streams/${id}/metrics?window=1m`)).a.source_retention;
  const slotName = (id: string) => `planasonix_${id.replace('str_', '')}`;
  const holds = async (id: string, client: Client = world.source) =>
    [
      (await client.query('SELECT FROM pg_replication_slots WHERE slot_name = $1', [slotName(id)])).rowCount,
      (await client.query('SELECT FROM pg_publication WHERE pubname = $1', [slotName(id)])).rowCount,
    ].join();
  const write = async (megabytes: number) => {
    for (let i = 0; i < megabytes; i++)
      await world.source.query("SELECT pg_logical_emit_message(false, 'noise', repeat('x', 1000000))");
  };
  const keepAtMost = async (size: string) => {
    await world.source.query(`ALTER SYSTEM SET max_slot_wal_keep_size = '${size}'`);
    await world.source.query('SELECT pg_reload_conf()');
  };
  const command = (id: string, verb: string, body?: object) =>
    world.stack.api('POST', `/api/streams/${id}/${verb}`, body);

  it('shows in the metrics, of a stream that runs and of one that is stopped', async () => {
    const id = await make({ wal_budget: { bytes: '2MB' } });
    await eventually('it is told while it runs', async () => (await kept(id))?.budget_bytes === BUDGET, {
      timeoutMs: 60_000,
    });
    await keepAtMost('1GB');
    const bound = await eventually(
      'the server keeps so much at most, and it is told in how many seconds it would be lost',
      async () => {
        await write(1);
        const seen = await kept(id);
        return (seen?.seconds_to_loss ?? null) === null ? null : seen;
      },
      { timeoutMs: 90_000, everyMs: 1000 },
    );
    expect(bound!.bytes_to_loss).toBeGreaterThan(2 ** 29);
    expect(bound!.bytes_to_loss).toBeLessThan(2 ** 31);
    expect(bound!.seconds_to_loss).toBeGreaterThan(0);
    await keepAtMost('-1');
    await command(id, 'stop');
    await write(4);
    const over = await eventually(
      'it is told that it is over its budget',
      async () => {
        const seen = await kept(id);
        return seen?.over_budget && seen.bytes_to_loss === null ? seen : null;
      },
      { timeoutMs: 90_000 },
    );
    expect(over).toEqual({
      held_bytes: expect.any(Number),
      bytes_to_loss: null,
      seconds_to_loss: null,
      budget_bytes: BUDGET,
      over_budget: true,
    });
    const check = await command(id, 'check');
    expect(check.a.ok).toBe(true);
    expect(check.a.checks).toContainEqual(
      expect.objectContaining({ code: 'wal_budget_exceeded', severity: 'warning' }),
    );
    expect(await status(world.stack, id)).toBe('stopped');
    expect(await holds(id)).toBe('1,1');
    expect((await world.stack.api('DELETE', `/api/streams/${id}`)).status).toBe(200);
  });

  it.each(['stopped', 'paused', 'blocked', 'broken'] as const)(
    'over its budget a %s stream lets go: its slot is gone, it says so, and a new snapshot goes on (trap 9)',
    async (how) => {
      const pipeline =
        how === 'blocked'
          ? await makePipeline(world.stack, 'narrow', {
              type: 'redis_stream',
              retention: { max_entries: 6, on_full: 'block' },
            })
          : world.pipelineId;
      const id = await make({ wal_budget: { bytes: BUDGET, on_exceeded: 'release' } }, pipeline);
      expect(await holds(id)).toBe('1,1');
      if (how === 'stopped' || how === 'broken') await command(id, 'stop');
      if (how === 'paused') await command(id, 'pause');
      if (how === 'broken') {
        await world.source.query('ALTER TABLE orders RENAME TO elsewhere');
        await command(id, 'start');
        await until(world.stack, id, 'error');
        expect((await stream(id)).last_error.code).toBe('tables_missing');
        await world.source.query('ALTER TABLE elsewhere RENAME TO orders');
      }
      await world.source.query("UPDATE orders SET v = v || 'x'");
      if (how === 'blocked') await eventually('its log is full', async () => (await stream(id)).blocked !== null);
      await write(4);
      const told = { code: 'wal_budget_exceeded', hint: expect.stringContaining('resnapshot') };
      const lastError = async () => (await stream(id)).last_error;
      // An earlier error gives way to it.
      if (how === 'broken') await becomes(lastError, expect.objectContaining(told));
      await until(world.stack, id, 'error');
      expect(await lastError()).toMatchObject(told);
      await eventually('its slot is gone', async () => (await holds(id)) === '0,1', { timeoutMs: 60_000 });
      const refused = await command(id, 'start');
      expect([refused.status, refused.json.error.code]).toEqual([409, 'position_lost']);
      if (how !== 'blocked') {
        expect((await command(id, 'start', { onLostPosition: 'resnapshot' })).a.status).toBe('starting');
        await until(world.stack, id, 'running');
        await world.source.query("UPDATE orders SET v = v || 'y'");
        const { rows } = await world.source.query<{ v: string }>('SELECT v FROM orders ORDER BY id');
        await eventually('its log is the table', async () => {
          const folded = [...fold(await readLog(world.redis, id)).values()];
          return JSON.stringify(folded.map(({ v }) => v).sort()) === JSON.stringify(rows.map(({ v }) => v).sort());
        });
      }
      expect((await world.stack.api('DELETE', `/api/streams/${id}`)).status).toBe(200);
      expect(await holds(id)).toBe('0,0');
    },
  );

  describe('after a forced delete (trap 33)', () => {
    let meta: Client;
    beforeAll(async () => (meta = await world.postgres.connect('meta')));
    afterAll(() => meta?.end());
    /** The janitor's next round tries it, however long it meant to leave it alone. */
    const soon = () => meta.query('UPDATE forgotten SET next_try_at = clock_timestamp()');
    const tried = (times: number) =>
      eventually(
        'it has been tried, in vain',
        async () => {
          const { rows } = await meta.query<{ tries: number; last_error: string }>('SELECT * FROM forgotten');
          return rows[0] !== undefined && rows[0].tries >= times && rows[0].last_error !== null;
        },
        { timeoutMs: 60_000 },
      );
    const given = async (id: string, client?: Client) => {
      await soon();
      await eventually('the janitor gives slot and publication back', async () => (await holds(id, client)) === '0,0', {
        timeoutMs: 90_000,
      });
    };

    it('with the source down: given back once it is there again', async () => {
      const id = await make();
      await command(id, 'stop');
      await world.sourceServer.halt('fast');
      expect((await world.stack.api('DELETE', `/api/streams/${id}?force=true`)).status).toBe(200);
      expect((await world.stack.api('GET', `/api/streams/${id}`)).status).toBe(404);
      await tried(1);
      await soon();
      await tried(2);
      await world.sourceServer.start();
      await given(id, await world.session());
      await eventually('it is not tried again', async () => (await meta.query('SELECT FROM forgotten')).rowCount === 0);
    });

    it('with no worker of the type: refused, with force left to the one that comes', async () => {
      const session = await world.session();
      await until(world.stack, await make(), 'running');
      const id = await make();
      await command(id, 'stop');
      const workers = world.stack.pids('postgres-cdc');
      for (const pid of workers) process.kill(pid, 'SIGSTOP');
      try {
        await eventually(
          'no worker counts as live',
          async () => {
            const types = (await world.stack.api('GET', '/api/source-types')).json.data as {
              id: string;
              attributes: { live_workers: number };
            }[];
            return types.find(({ id: type }) => type === 'postgres_cdc')?.attributes.live_workers === 0;
          },
          { timeoutMs: 60_000 },
        );
        const refused = await world.stack.api('DELETE', `/api/streams/${id}`);
        expect([refused.status, refused.json.error.code]).toEqual([409, 'no_worker']);
        expect((await world.stack.api('DELETE', `/api/streams/${id}?force=true`)).status).toBe(200);
        expect(await holds(id, session)).toBe('1,1');
      } finally {
        for (const pid of workers) process.kill(pid, 'SIGCONT');
      }
      await given(id, session);
    });

    it('with somebody else at the slot: left alone for as long as he reads it', async () => {
      const session = await world.session();
      const id = await make();
      await command(id, 'stop');
      const reader = new pg.Client({
        connectionString: world.sourceServer.url('src'),
        replication: 'database',
      } as pg.ClientConfig);
      reader.on('error', () => undefined);
      await reader.connect();
      reader
        .query(
          `START_REPLICATION SLOT ${slotName(id)} LOGICAL 0/0 (proto_version '1', publication_names '${slotName(id)}')`,
        )
        .catch(() => undefined);
      await eventually('he has it', async () => {
        const { rows } = await session.query<{ active: boolean }>(
          'SELECT active FROM pg_replication_slots WHERE slot_name = $1',
          [slotName(id)],
        );
        return rows[0]?.active === true;
      });
      const refused = await world.stack.api('DELETE', `/api/streams/${id}`);
      expect([refused.status, refused.json.error.code]).toEqual([409, 'active_consumers']);
      expect((await world.stack.api('DELETE', `/api/streams/${id}?force=true`)).status).toBe(200);
      await tried(1);
      expect(await holds(id, session)).toBe('1,1');
      await reader.end().catch(() => undefined);
      await given(id, session);
    });
  });
});
