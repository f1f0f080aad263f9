import { eventually } from '@planasonix/testing';
import { logKey, readLog, type LogEvent } from './log.js';
import { makeStream, start, status, until } from './shop.js';
import { request, type Answer } from './stack.js';
import { makeWorld, type World } from './world.js';

jest.setTimeout(300_000);

describe('ordered snapshots and positions, from outside', () => {
  let world: World;

  beforeAll(async () => {
    world = await makeWorld();
    await world.source.query('CREATE TABLE orders(id bigint PRIMARY KEY, v text)');
    await world.source.query("INSERT INTO orders SELECT i, 'row ' || i FROM generate_series(1, 20) i");
  });
  afterAll(() => world?.end());

  const api = (method: string, route: string, body?: unknown) => world.stack.api(method, route, body);
  const stop = async (id: string) => expect((await api('POST', `/api/streams/${id}/stop`)).a.status).toBe('stopped');
  const order = (id: string, body: object) => api('POST', `/api/streams/${id}/snapshot`, body);
  const listed = async (id: string): Promise<Map<string, Answer['json']>> =>
    new Map(
      (await api('GET', `/api/streams/${id}/snapshots`)).json.data.map((one: { id: string; attributes: unknown }) => [
        one.id,
        one.attributes,
      ]),
    );
  const done = (id: string, of: string) =>
    eventually(`${of} is done`, async () => {
      const found = (await listed(id)).get(of);
      if (found.state === 'failed') throw new Error(found.failed);
      return found.state === 'done' && found;
    });
  const stream = (name: string, config: object = {}) =>
    makeStream(world.stack, {
      ...{ name, connectionId: world.connectionId, pipelineId: world.pipelineId },
      config: { tables: ['public.orders'], snapshot: 'never', ...config },
    });
  /** Who looks at its lag has it for a moment. */
  const dropped = (slot: string) =>
    eventually(`${slot} is dropped`, () => world.source.query('SELECT pg_drop_replication_slot($1)', [slot]));
  const refusal = ({ status: code, json }: Answer) => [code, json.error.code];
  const keysOf = (events: readonly LogEvent[]) => events.map((event) => event.partitionkey);
  /** Rows of one order in the log: its id is part of theirs. */
  const rowsOf = async (id: string, of: string) =>
    (await readLog(world.redis, id)).filter((event) => event.data.op === 'r' && event.id.includes(of));

  it('a stream is made where one of its tables is there, and refused where none is', async () => {
    const made = (name: string, tables: string[]) =>
      api('POST', '/api/streams', {
        ...{ name, sourceType: 'postgres_cdc', connectionId: world.connectionId, pipelineId: world.pipelineId },
        config: { tables },
      });
    expect(refusal(await made('none', ['public.nothing']))).toEqual([400, 'no_tables']);
    expect((await made('some', ['public.nothing', 'public.orders'])).status).toBe(201);
  });

  it('rows are read again while the stream runs, all or those of a condition, and each step is told', async () => {
    const id = await stream('live');
    await start(world.stack, id);
    const some = await order(id, { tables: ['public.orders'], where: 'id <= 5' });
    expect([some.status, some.a.state, some.a.where]).toEqual([201, 'waiting', 'id <= 5']);
    expect(await done(id, some.id)).toMatchObject({ failed: null, finished_at: expect.any(String) });
    expect(keysOf(await rowsOf(id, some.id)).sort()).toEqual([1, 2, 3, 4, 5].map((n) => `{"id":${n}}`));
    const all = await order(id, { tables: ['public.*'] });
    await done(id, all.id);
    expect(new Set(keysOf(await rowsOf(id, all.id))).size).toBe(20);
    expect([...(await listed(id)).keys()]).toEqual([all.id, some.id]);
    const trail = (await api('GET', '/api/audit-log')).json.data as { action: string; resourceId: string }[];
    expect(trail.filter((one) => one.action === 'stream_snapshot.order').map((one) => one.resourceId)).toEqual([
      ...[all.id, some.id],
    ]);
    expect(await status(world.stack, id)).toBe('running');
  });

  it('is carried out when a stopped stream runs, unless it was cancelled meanwhile', async () => {
    const id = await stream('later');
    expect(refusal(await order(id, { tables: ['public.orders'] }))).toEqual([409, 'invalid_transition']);
    await start(world.stack, id);
    await stop(id);
    const kept = await order(id, { tables: ['public.orders'], where: 'id = 7' });
    const dropped = await order(id, { tables: ['public.orders'] });
    const cancel = () => api('DELETE', `/api/streams/${id}/snapshots/${dropped.id}`);
    const [first, second] = [await cancel(), await cancel()];
    expect([first.status, first.a.state, second.json]).toEqual([200, 'cancelled', first.json]);
    await start(world.stack, id);
    await done(id, kept.id);
    expect(keysOf(await rowsOf(id, kept.id))).toEqual(['{"id":7}']);
    expect(await rowsOf(id, dropped.id)).toEqual([]);
    expect(refusal(await api('DELETE', `/api/streams/${id}/snapshots/${kept.id}`))).toEqual([409, 'snapshot_over']);
  });

  it('is cancelled while its rows are being read: no more of them come, and the stream goes on', async () => {
    await world.source.query('CREATE TABLE many(id int PRIMARY KEY)');
    await world.source.query('INSERT INTO many SELECT generate_series(1, 70000)');
    // For minutes: it is its only reader that has to come to another order.
    const id = await stream('slow', {
      ...{ tables: ['public.orders', 'public.many'], snapshot_readers: 1, snapshot_max_rows_per_second: 500 },
    });
    await start(world.stack, id);
    const slow = await order(id, { tables: ['public.many'] });
    await eventually('rows are there', async () => (await world.redis.xlen(logKey(id))) > 0);
    await eventually('it is running', async () => (await listed(id)).get(slow.id).state === 'running');
    const cancelled = await api('DELETE', `/api/streams/${id}/snapshots/${slow.id}`);
    expect([cancelled.status, cancelled.a.state]).toEqual([200, 'cancelled']);
    // The only reader takes this one up where it would have gone on.
    const next = await order(id, { tables: ['public.orders'], where: 'id = 1' });
    await done(id, next.id);
    const { length: read } = await rowsOf(id, slow.id);
    expect(read).toBeLessThan(70_000);
    await world.source.query("INSERT INTO orders VALUES (301, 'new')");
    await eventually('it goes on', async () => (await world.redis.xlen(logKey(id))) === read + 2);
    expect(await rowsOf(id, slow.id)).toHaveLength(read);
    expect((await listed(id)).get(slow.id)).toMatchObject({ state: 'cancelled', failed: null });
    expect(await status(world.stack, id)).toBe('running');
    await world.source.query('DELETE FROM orders WHERE id = 301');
  });

  it('a condition stays inside its parentheses, and one that fails on a row ends its order, not the stream', async () => {
    const id = await stream('conditions');
    await start(world.stack, id);
    for (const where of [
      'id <',
      'nothing = 1',
      'id + 1',
      'true) UNION ALL SELECT rolname FROM pg_roles WHERE (true',
      'true) OR (true',
      'true; DROP TABLE orders',
      'true) TO STDOUT; DROP TABLE public.orders; --',
    ]) {
      const answer = await order(id, { tables: ['public.orders'], where });
      expect([where, answer.status, answer.json.error.details?.[0]?.field]).toEqual([where, 400, 'where']);
    }
    for (const tables of [['public.nothing'], ['public.orders', 'public.nothing'], ['other.*']])
      expect(refusal(await order(id, { tables }))).toEqual([400, 'no_tables']);
    expect(refusal(await order(id, { tables: ['public.orders; --'] }))).toEqual([400, 'invalid_request']);
    expect(await listed(id)).toEqual(new Map());

    const failing = await order(id, { tables: ['public.orders'], where: '10 / (id - 7) > 0' });
    const failed = await eventually('it has failed', async () => {
      const found = (await listed(id)).get(failing.id);
      return found.state === 'failed' && (found as { failed: string });
    });
    expect((failed as { failed: string }).failed).toContain('22012');
    const next = await order(id, { tables: ['public.orders'], where: 'id = 1' });
    await done(id, next.id);
    expect((await api('GET', `/api/streams/${id}`)).a).toMatchObject({ status: 'running', last_error: null });
  });

  it('is nothing to another workspace (trap 36)', async () => {
    const id = await stream('mine');
    const { key } = (await api('POST', '/api/workspaces', { name: 'stranger' })).json;
    for (const [method, route, body] of [
      ['POST', 'snapshot', { tables: ['public.orders'] }],
      ['GET', 'snapshots', undefined],
      ['GET', 'position', undefined],
      ['PUT', 'position', { position: { lsn: '0/1' } }],
    ] as const)
      expect(refusal(await request(world.stack.base, key, method, `/api/streams/${id}/${route}`, body))).toEqual([
        ...[404, 'not_found'],
      ]);
  });

  it('a position is set back as far as the slot holds, and the events come again with the same ids (Invariants 2, 4)', async () => {
    const slot = 'set_back';
    await world.source.query("SELECT pg_create_logical_replication_slot('set_back', 'pgoutput')");
    const id = await stream('back', { slot_name: slot });
    const set = (position: unknown) => api('PUT', `/api/streams/${id}/position`, { position });
    const position = async () => (await api('GET', `/api/streams/${id}/position`)).a.position;
    const insert = async (...keys: number[]) => {
      const before = (await readLog(world.redis, id)).length;
      for (const key of keys) await world.source.query("INSERT INTO orders VALUES ($1, 'new')", [key]);
      await eventually('they are in the log', async () => {
        return (await readLog(world.redis, id)).length === before + keys.length;
      });
    };
    await start(world.stack, id);
    await insert(101);
    expect(refusal(await set({ lsn: '0/1' }))).toEqual([409, 'stream_active']);
    await stop(id);
    const early = await position();
    expect(early).toMatchObject({ phase: 'stream', slot, lsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) });
    await world.source.query("SELECT pg_copy_logical_replication_slot('set_back', 'kept')");
    await start(world.stack, id);
    await insert(102, 103);
    await eventually('the slot was told', async () => {
      const { rows } = await world.source.query(
        'SELECT confirmed_flush_lsn > $2::pg_lsn AS told FROM pg_replication_slots WHERE slot_name = $1',
        [slot, early.lsn],
      );
      return rows[0].told;
    });
    await stop(id);
    const late = await position();

    const gone = await set(early);
    expect(refusal(gone)).toEqual([409, 'position_refused']);
    expect(gone.json.error).toMatchObject({ details: [{ issue: 'offset_gap' }], hint: expect.any(String) });
    expect(gone.json.error.message).toContain(early.lsn);
    expect(refusal(await set({ lsn: 'FFFFFFFF/0' }))).toEqual([409, 'position_refused']);
    expect(refusal(await set({ ...early, system_id: '7' }))).toEqual([409, 'position_refused']);
    expect(refusal(await set({ lsn: 'nowhere' }))).toEqual([400, 'invalid_request']);
    expect(await position()).toEqual(late);

    // A slot that still holds it, as after a restore of the slot by its owner.
    await dropped('set_back');
    await world.source.query("SELECT pg_copy_logical_replication_slot('kept', 'set_back')");
    const back = await set({ lsn: early.lsn });
    expect([back.status, back.a.position]).toEqual([200, early]);
    expect(await position()).toEqual(early);
    const [entry] = (await api('GET', '/api/audit-log?limit=1')).json.data;
    expect(entry).toMatchObject({
      ...{ action: 'stream.set_position', resourceId: id },
      ...{ before: { position: late }, after: { position: early } },
    });
    await start(world.stack, id);
    await eventually('they come again', async () => (await readLog(world.redis, id)).length >= 5);
    const ids = (await readLog(world.redis, id)).map((event) => event.id);
    expect(ids).toEqual([...ids.slice(0, 3), ...ids.slice(1, 3)]);
    await insert(104);
    await dropped('kept');
  });

  it('a lost position that is set by hand is lost no more: the start asks nothing', async () => {
    await world.source.query("SELECT pg_create_logical_replication_slot('lost_once', 'pgoutput')");
    const id = await stream('lost', { slot_name: 'lost_once' });
    await start(world.stack, id);
    await world.source.query("INSERT INTO orders VALUES (201, 'new')");
    await eventually('it is in the log', async () => (await readLog(world.redis, id)).length === 1);
    await stop(id);
    await dropped('lost_once');
    await api('POST', `/api/streams/${id}/start`);
    await until(world.stack, id, 'error');
    expect(refusal(await api('POST', `/api/streams/${id}/start`))).toEqual([409, 'position_lost']);
    const set = (lsn: string) => api('PUT', `/api/streams/${id}/position`, { position: { lsn } });
    const { rows } = await world.source.query('SELECT pg_current_wal_flush_lsn()::text AS lsn');
    expect((await set(rows[0].lsn)).json.error.details).toEqual([{ field: 'position', issue: 'slot_lost' }]);
    const made = await world.source.query(
      "SELECT lsn::text FROM pg_create_logical_replication_slot('lost_once', 'pgoutput')",
    );
    expect((await set(made.rows[0].lsn)).status).toBe(200);
    const { a } = await api('GET', `/api/streams/${id}`);
    expect([a.status, a.desired_status, a.last_error]).toEqual(['stopped', 'stopped', null]);
    await start(world.stack, id);
    await world.source.query("INSERT INTO orders VALUES (202, 'new')");
    await eventually('it goes on', async () => keysOf(await readLog(world.redis, id)).includes('{"id":202}'));
  });
});
