import { eventually } from '@planasonix/testing';
import { makeConnection, makeStream, start, status, until } from './shop.js';
import { makeWorld, type World } from './world.js';

jest.setTimeout(180_000);

/** The table of the contract: what each command answers in each state; `no` is 409 `invalid_transition`. */
const TABLE: Record<string, Record<string, string>> = {
  created: { start: 'starting', stop: 'no', pause: 'no', resume: 'no' },
  starting: { start: 'starting', stop: 'stopped', pause: 'paused', resume: 'no' },
  running: { start: 'running', stop: 'stopped', pause: 'paused', resume: 'running' },
  paused: { start: 'starting', stop: 'stopped', pause: 'paused', resume: 'running' },
  stopped: { start: 'starting', stop: 'stopped', pause: 'no', resume: 'no' },
  error: { start: 'starting', stop: 'stopped', pause: 'no', resume: 'starting' },
};

describe('the lifecycle from outside', () => {
  let world: World;
  let unreachable: string;
  let made = 0;

  beforeAll(async () => {
    world = await makeWorld();
    await world.source.query('CREATE TABLE orders(id bigint PRIMARY KEY, v text)');
    await world.source.query('CREATE TABLE keyless(v text)');
    // Nothing listens there: a stream over it is `starting` and stays so.
    unreachable = await makeConnection(
      world.stack,
      { host: '127.0.0.1', port: 1, password: 'x' },
      'src',
      'unreachable',
    );
  });
  afterAll(() => world?.end());

  const command = (id: string, verb: string) => world.stack.api('POST', `/api/streams/${id}/${verb}`);

  async function streamIn(state: string): Promise<string> {
    const connectionId = state === 'starting' ? unreachable : world.connectionId;
    const tables = [state === 'error' ? 'public.keyless' : 'public.orders'];
    const id = await makeStream(world.stack, {
      name: `cell-${++made}`,
      connectionId,
      pipelineId: world.pipelineId,
      config: { tables, snapshot: 'never' },
    });
    if (state === 'created') return id;
    if (state === 'starting' || state === 'error') {
      expect((await command(id, 'start')).a.status).toBe('starting');
      await until(world.stack, id, state);
      return id;
    }
    await start(world.stack, id);
    if (state === 'paused') expect((await command(id, 'pause')).a.status).toBe('paused');
    if (state === 'stopped') expect((await command(id, 'stop')).a.status).toBe('stopped');
    return id;
  }

  for (const [state, cells] of Object.entries(TABLE))
    for (const [verb, expected] of Object.entries(cells))
      it(`${state} × ${verb} → ${expected}`, async () => {
        const id = await streamIn(state);
        const before = await status(world.stack, id);
        expect(before).toBe(state);
        const answer = await command(id, verb);
        if (expected === 'no') {
          expect([answer.status, answer.json.error.code]).toEqual([409, 'invalid_transition']);
          expect(answer.text).toContain('start');
          expect(await status(world.stack, id)).toBe(state);
        } else {
          expect([answer.status, answer.a?.status]).toEqual([200, expected]);
          // True when it is said (Invariant 7): a reader holds the slot exactly while running or paused.
          if (expected === 'stopped')
            expect(
              (
                await world.source.query(
                  `SELECT 1 FROM pg_replication_slots WHERE active AND slot_name LIKE '%${id.slice(-8)}%'`,
                )
              ).rowCount,
            ).toBe(0);
          // A command that was answered stays so, unless the source decides otherwise.
          if (expected === 'stopped' || expected === 'paused') expect(await status(world.stack, id)).toBe(expected);
        }
        expect((await world.stack.api('DELETE', `/api/streams/${id}?force=true`)).status).toBe(200);
      });

  it('an error says why, with a code and a hint (trap 11)', async () => {
    const id = await streamIn('error');
    const { a } = await world.stack.api('GET', `/api/streams/${id}`);
    expect(a.last_error).toMatchObject({
      code: 'no_replica_identity',
      hint: expect.any(String),
      message: expect.stringContaining('keyless'),
    });
    // The user's own writes still work.
    await world.source.query("INSERT INTO keyless VALUES ('x')");
    await world.source.query("UPDATE keyless SET v = 'y'");
    await world.stack.api('DELETE', `/api/streams/${id}?force=true`);
  });

  it('hundreds of racing commands end in one true state with at most one reader', async () => {
    const id = await streamIn('running');
    const verbs = ['start', 'stop', 'pause', 'resume'];
    let random = 42;
    const next = (below: number) => (random = (random * 1103515245 + 12345) % 2147483648) % below;
    const seen = new Map<string, number>();
    let most = 0;
    let watching = true;
    const watch = (async () => {
      while (watching) {
        const active = await world.source.query('SELECT count(*)::int AS n FROM pg_stat_replication');
        most = Math.max(most, active.rows[0].n as number);
      }
    })();
    await Promise.all(
      Array.from({ length: 6 }, async () => {
        for (let i = 0; i < 40; i++) {
          const answer = await command(id, verbs[next(4)]!);
          const what = answer.status === 200 ? (answer.a.status as string) : (answer.json?.error?.code as string);
          seen.set(what, (seen.get(what) ?? 0) + 1);
          expect([200, 409]).toContain(answer.status);
          if (answer.status === 409) expect(['invalid_transition', 'superseded']).toContain(what);
        }
      }),
    );
    watching = false;
    await watch;
    expect(most).toBeLessThanOrEqual(1);
    // It is not stuck: from wherever it ended, it starts and delivers.
    await eventually(
      'it settles',
      async () => ['running', 'paused', 'stopped'].includes(await status(world.stack, id)),
      { timeoutMs: 30_000 },
    );
    await command(id, 'start');
    await until(world.stack, id, 'running', 30_000);
    await world.source.query("INSERT INTO orders VALUES (900001, 'after the race')");
    await eventually('the row arrives', async () =>
      (await world.stack.api('GET', `/api/streams/${id}/events?limit=5`)).text.includes('after the race'),
    );
    await world.stack.api('DELETE', `/api/streams/${id}?force=true`);
  });

  it('delete gives back slot and publication, and only what the stream made', async () => {
    await world.source.query('CREATE PUBLICATION theirs FOR TABLE orders');
    await world.source.query("SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')");
    const own = await streamIn('running');
    const found = await makeStream(world.stack, {
      name: 'found',
      connectionId: world.connectionId,
      pipelineId: world.pipelineId,
      config: { tables: ['public.orders'], publication: 'theirs', slot_name: 'theirs', snapshot: 'never' },
    });
    await start(world.stack, found);
    for (const id of [own, found])
      expect((await world.stack.api('DELETE', `/api/streams/${id}`)).a).toMatchObject({ deleted: true });
    const slots = await world.source.query('SELECT slot_name FROM pg_replication_slots');
    const publications = await world.source.query('SELECT pubname FROM pg_publication');
    expect(slots.rows).toEqual([{ slot_name: 'theirs' }]);
    expect(publications.rows).toEqual([{ pubname: 'theirs' }]);
    await world.source.query("SELECT pg_drop_replication_slot('theirs')");
    await world.source.query('DROP PUBLICATION theirs');
  });

  it('delete with the source out of reach loses nothing: 409, and with force it is left to the janitor (trap 33)', async () => {
    const id = await streamIn('running');
    await command(id, 'stop');
    await world.sourceServer.halt('fast');
    const refused = await world.stack.api('DELETE', `/api/streams/${id}`);
    expect([refused.status, refused.json.error.code]).toEqual([409, 'source_unreachable']);
    expect(await status(world.stack, id)).toBe('stopped');
    expect((await world.stack.api('DELETE', `/api/streams/${id}?force=true`)).status).toBe(200);
    await world.sourceServer.start();
    const session = await world.session();
    await eventually(
      'the janitor gives the slot back',
      async () => (await session.query('SELECT 1 FROM pg_replication_slots')).rowCount === 0,
      { timeoutMs: 60_000 },
    );
  });
});
