import { eventually } from '@planasonix/testing';
import { readLog } from './log.js';
import { makeConnection, makeStream, start, status, until } from './shop.js';
import { makeWorld, type World } from './world.js';

jest.setTimeout(300_000);

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
    world = await makeWorld({ WORKERS: '2' });
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

  async function readers(id: string): Promise<number> {
    const sql = 'SELECT 1 FROM pg_replication_slots WHERE active AND slot_name LIKE $1';
    return (await world.source.query(sql, [`%${id.slice(-8)}%`])).rowCount!;
  }
  /** Whoever looks at the lag of a stream that rests has its slot for a moment. */
  const isRead = (id: string, count: 0 | 1) =>
    eventually(`${count} read it`, async () => (await readers(id)) === count);

  let row = 0;
  const insert = async (): Promise<string> => {
    await world.source.query('INSERT INTO orders VALUES ($1, $2)', [++row, `row ${row}.`]);
    return `row ${row}.`;
  };
  const has = async (id: string, text: string) =>
    (await readLog(world.redis, id)).some((event) => event.text.includes(text));

  async function arrives(id: string): Promise<void> {
    const text = await insert();
    await eventually('a row arrives', () => has(id, text));
  }

  /** The server has sent it, as another stream's reader or the slot would; it stays out of the log. */
  async function staysAway(id: string): Promise<void> {
    const text = await insert();
    const { rows } = await world.source.query('SELECT pg_current_wal_flush_lsn()::text AS lsn');
    await eventually('the reader has been sent what was written', async () => {
      const sent = await world.source.query(
        `SELECT 1 FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid
         WHERE s.slot_name LIKE $1 AND r.sent_lsn >= $2::pg_lsn`,
        [`%${id.slice(-8)}%`, rows[0].lsn],
      );
      return sent.rowCount === 1;
    });
    expect(await has(id, text)).toBe(false);
  }

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
          const allowed = Object.keys(cells).filter((one) => cells[one] !== 'no');
          expect([answer.status, answer.json.error.code]).toEqual([409, 'invalid_transition']);
          expect(answer.json.error.hint).toBe(`Allowed now: ${allowed.join(', ')}.`);
          expect(await status(world.stack, id)).toBe(state);
        } else {
          expect([answer.status, answer.a?.status]).toEqual([200, expected]);
          // True when it is said (Invariant 7).
          if (expected === 'stopped') await isRead(id, 0);
          if (expected === 'running' || (expected === 'paused' && state !== 'starting')) {
            await isRead(id, 1);
            await (expected === 'running' ? arrives(id) : staysAway(id));
          }
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
        const active = await world.source.query(
          "SELECT count(*)::int AS n FROM pg_stat_replication WHERE state <> 'startup'",
        );
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
    const settled = await eventually('it settles', async () => {
      const found = await status(world.stack, id);
      return ['running', 'paused', 'stopped'].includes(found) ? found : null;
    });
    // What is said is true.
    await isRead(id, settled === 'stopped' ? 0 : 1);
    if (settled === 'running') await arrives(id);
    if (settled === 'paused') await staysAway(id);
    // The last command counts.
    for (const last of ['start', 'pause', 'stop', 'start']) await command(id, last);
    await until(world.stack, id, 'running');
    await isRead(id, 1);
    await arrives(id);
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
