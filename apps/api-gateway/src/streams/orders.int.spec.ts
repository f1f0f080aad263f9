import { eventually } from '@planasonix/testing';
import { startGateway, type UnderTest } from '../gateway-under-test.js';
import { startWorker, type FakeWorker } from '../worker-under-test.js';

jest.setTimeout(120_000);

const CANARY = 'c4n4ry-v4lue';

describe('ordered snapshots and positions', () => {
  let gateway: UnderTest;
  let worker: FakeWorker;
  let pipelineId: string;
  let connectionId: string;
  let n = 0;

  beforeAll(async () => {
    gateway = await startGateway();
    worker = await startWorker(gateway.postgres.url(), gateway.redis.url);
    pipelineId = (await api('POST', '/api/pipelines', { name: 'p' })).json.id;
    const config = { host: '127.0.0.1', port: 1, database: 'd', user: 'u', password: 'x' };
    connectionId = (await api('POST', '/api/connections', { name: 'c', type: 'postgres', config })).json.id;
  });
  beforeEach(() => (worker.answer = () => Promise.resolve({ supported: true, ok: true, checks: [] })));
  afterAll(async () => {
    await worker?.end();
    await gateway?.end();
  });

  const api = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
    gateway.api(method, path, body, headers);
  const query = async (text: string, values: unknown[] = []) => {
    const client = await gateway.postgres.connect();
    const { rows } = await client.query(text, values);
    await client.end();
    return rows;
  };
  /** A stream as its row says it is: what the gateway sees of a worker's doing. */
  async function made(status: string): Promise<string> {
    const body = {
      ...{ name: `s${++n}`, sourceType: 'postgres_cdc', pipelineId, connectionId },
      config: { tables: ['a.b'] },
    };
    const { id } = (await api('POST', '/api/streams', body)).json.data;
    const desired = status === 'created' ? 'idle' : status === 'stopped' ? 'stopped' : 'running';
    await query('UPDATE streams SET status = $2, desired_status = $3 WHERE id = $1', [id, status, desired]);
    return id;
  }
  const order = (id: string, body: object = { tables: ['public.t'] }) =>
    api('POST', `/api/streams/${id}/snapshot`, body);
  const refusal = (answer: { status: number; json: { error: { code: string } } }) => [
    answer.status,
    answer.json.error.code,
  ];

  it('an order is answered as waiting, is listed and found under /v1, and was asked of a worker', async () => {
    const id = await made('running');
    const wish = { tables: ['public.t', 'shop.*'], where: `email = '${CANARY}'` };
    const { status, json } = await order(id, wish);
    expect([status, json.data]).toEqual([
      201,
      {
        id: expect.stringMatching(/^snap_[0-9a-z]{26}$/),
        type: 'stream_snapshot',
        attributes: {
          ...{ stream_id: id, ...wish, state: 'waiting', requested_at: expect.any(String), progress: [] },
          ...{ cancelled_at: null, finished_at: null, failed: null },
        },
      },
    ]);
    expect((await api('GET', `/v1/api/streams/${id}/snapshots`)).json).toEqual({
      data: [json.data],
      meta: { page: { limit: 50, cursor: null } },
    });
    const asked = worker.jobs.filter((job) => job.includes('"order"'));
    expect(asked).toHaveLength(1);
    expect(JSON.parse(asked[0]!)).toMatchObject({ kind: 'order', streamId: id, draftId: expect.any(String) });
    // A condition may hold somebody's data: it lies in no job and no Redis key (trap 35).
    const redis = gateway.redis.client();
    for (const key of await redis.keys('*')) expect(String(await redis.dumpBuffer(key))).not.toContain(CANARY);
    expect((await api('GET', '/api/audit-log?limit=1')).json.data[0]).toMatchObject({
      ...{ action: 'stream_snapshot.order', resourceType: 'stream_snapshot', resourceId: json.data.id },
      after: { stream_id: id, ...wish },
    });
  });

  it('shows what its owner told: begun, done, failed', async () => {
    const id = await made('running');
    const [first, second] = [(await order(id)).json.data.id, (await order(id)).json.data.id];
    const table = { table: 'public.t', state: 'running', rows_done: 5, rows_estimated: 9, order: first, note: null };
    const own = { ...table, table: 'public.u', order: null };
    const snapshot = { state: 'running', tables_total: 2, tables_done: 0, rows_done: 5, rows_estimated: 9 };
    await query('UPDATE streams SET snapshot = $2 WHERE id = $1', [id, { ...snapshot, tables: [own, table] }]);
    const states = async () =>
      (await api('GET', `/api/streams/${id}/snapshots`)).json.data.map(
        (one: { attributes: { state: string } }) => one.attributes.state,
      );
    expect(await states()).toEqual(['waiting', 'running']);
    const listed = (await api('GET', `/api/streams/${id}/snapshots`)).json.data[1];
    expect(listed.attributes.progress).toEqual([table]);
    expect((await api('GET', `/api/streams/${id}`)).json.data.attributes.snapshot.tables).toEqual([own, table]);
    await query('UPDATE snapshot_orders SET done_at = now() WHERE id = $1', [first]);
    await query(`UPDATE snapshot_orders SET done_at = now(), failed = 'gone' WHERE id = $1`, [second]);
    expect(await states()).toEqual(['failed', 'done']);
    for (const one of [first, second])
      expect(refusal(await api('DELETE', `/api/streams/${id}/snapshots/${one}`))).toEqual([409, 'snapshot_over']);
  });

  it('what is wrong with it is named field by field', async () => {
    const id = await made('running');
    for (const [body, field] of [
      [{}, 'tables'],
      [{ tables: [] }, 'tables'],
      [{ tables: 'public.t' }, 'tables'],
      [{ tables: ['public.t', ''] }, 'tables.1'],
      [{ tables: ['public.t'], where: '  ' }, 'where'],
      [{ tables: ['public.t'], were: 'x' }, 'were'],
    ] as const) {
      const { status, json } = await order(id, body);
      expect([status, json.error.details[0].field]).toEqual([400, field]);
    }
    for (const [code, expected, field] of [
      ['where_invalid', 'invalid_request', 'where'],
      ['tables_missing', 'no_tables', 'tables'],
      ['no_tables', 'no_tables', 'tables'],
      ['permission_denied', 'invalid_request', 'tables'],
    ]) {
      const finding = { code, severity: 'error', message: 'Not so.', fix: 'Do so.' };
      worker.answer = () => Promise.resolve({ supported: true, checks: [finding] });
      const { status, json } = await order(id);
      expect([status, json.error]).toMatchObject([
        400,
        { code: expected, message: 'Not so.', hint: 'Do so.', details: [{ field, issue: 'Not so.' }] },
      ]);
    }
    expect((await api('GET', `/api/streams/${id}/snapshots`)).json.data).toEqual([]);
  });

  it('a source that can not be reached proves nothing; one that takes no orders, or says nothing, gets none', async () => {
    const id = await made('running');
    const finding = { code: 'source_unreachable', severity: 'error', message: 'm', fix: null };
    worker.answer = () => Promise.resolve({ supported: true, checks: [finding] });
    expect((await order(id)).status).toBe(201);
    worker.answer = () => Promise.resolve({ supported: false, checks: [] });
    expect(refusal(await order(id))).toEqual([409, 'snapshot_unsupported']);
    worker.answer = () => Promise.resolve(null);
    expect(refusal(await order(id))).toEqual([503, 'worker_busy']);
  });

  it('is taken in states in which it can come to pass', async () => {
    for (const [status, expected] of [
      ['starting', 201],
      ['running', 201],
      ['paused', 201],
      ['stopped', 201],
      ['created', 409],
      ['error', 409],
    ] as const) {
      const answer = await order(await made(status));
      expect([status, answer.status]).toEqual([status, expected]);
      if (expected === 409) expect(answer.json.error).toMatchObject({ code: 'invalid_transition', hint: /start/i });
    }
  });

  it('the same Idempotency-Key makes one order', async () => {
    const id = await made('running');
    const once = () =>
      api('POST', `/api/streams/${id}/snapshot`, { tables: ['a.b'] }, { 'idempotency-key': `k-${id}` });
    const [first, second] = [await once(), await once()];
    expect([first.status, second.json.data.id]).toEqual([201, first.json.data.id]);
    expect((await api('GET', `/api/streams/${id}/snapshots`)).json.data).toHaveLength(1);
  });

  it('an order is there exactly if its answer is kept: a repetition after a crash makes no second one', async () => {
    const id = await made('running');
    const once = () =>
      api('POST', `/api/streams/${id}/snapshot`, { tables: ['a.b'] }, { 'idempotency-key': `crash-${id}` });
    const client = await gateway.postgres.connect();
    await client.query(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
       CREATE TRIGGER refused BEFORE UPDATE ON idempotency FOR EACH ROW EXECUTE FUNCTION refuse()`,
    );
    expect((await once()).status).toBe(500);
    await client.query('DROP TRIGGER refused ON idempotency');
    await client.end();
    expect((await once()).status).toBe(201);
    expect((await api('GET', `/api/streams/${id}/snapshots`)).json.data).toHaveLength(1);
  });

  it('is cancelled, twice alike; the pages show each order once', async () => {
    const id = await made('running');
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift((await order(id)).json.data.id);
    const gone = () => api('DELETE', `/api/streams/${id}/snapshots/${ids[0]}`);
    const [first, second] = [await gone(), await gone()];
    expect([first.status, first.json.data.attributes.state]).toEqual([200, 'cancelled']);
    expect(second.json).toEqual(first.json);
    const { json: page } = await api('GET', `/api/streams/${id}/snapshots?limit=3`);
    const { json: rest } = await api('GET', `/api/streams/${id}/snapshots?limit=3&cursor=${page.meta.page.cursor}`);
    expect([...page.data, ...rest.data].map((one: { id: string }) => one.id)).toEqual(ids);
    expect(rest.meta.page.cursor).toBeNull();
    const other = await api('GET', `/api/streams/${await made('running')}/snapshots?cursor=${page.meta.page.cursor}`);
    expect(refusal(other)).toEqual([400, 'invalid_cursor']);
  });

  it('of another workspace is 404, and a key needs the scope (trap 36)', async () => {
    const id = await made('stopped');
    const mine = (await order(id)).json.data.id;
    const other = (await api('POST', '/api/workspaces', { name: 'w2' })).json.key;
    const reader = (await api('POST', '/api/api-keys', { name: 'r', scopes: ['streams:read'] })).json.key;
    const as = (key: string) => ({ authorization: `Bearer ${key}` });
    const wish = { tables: ['a.b'] };
    const place = { position: { lsn: '0/1' } };
    for (const [method, path, body] of [
      ['POST', 'snapshot', wish],
      ['GET', 'snapshots', undefined],
      ['DELETE', `snapshots/${mine}`, undefined],
      ['GET', 'position', undefined],
      ['PUT', 'position', place],
    ] as const) {
      const path_ = `/api/streams/${id}/${path}`;
      expect(refusal(await api(method, path_, body, as(other)))).toEqual([404, 'not_found']);
      expect((await api(method, path_, body, as(reader))).status).toBe(method === 'GET' ? 200 : 403);
    }
    expect(refusal(await api('DELETE', `/api/streams/${id}/snapshots/snap_01`))).toEqual([404, 'not_found']);
    expect((await api('GET', `/api/streams/${id}/snapshots`)).json.data[0].attributes.state).toBe('waiting');
  });

  it("a position is shown without a source's own notebooks, everywhere", async () => {
    const id = await made('stopped');
    expect((await api('GET', `/api/streams/${id}/position`)).json.data).toEqual({
      id,
      type: 'stream_position',
      attributes: { position: null, committed_at: null, pending: null },
    });
    await query('UPDATE streams SET epoch = 1 WHERE id = $1', [id]);
    await query(
      `INSERT INTO stream_positions VALUES ($1, '', '{"lsn":"0/9"}', 1, now()), ($1, '#tables', '{}', 1, now())`,
      [id],
    );
    expect((await api('GET', `/v1/api/streams/${id}/position`)).json.data.attributes).toEqual({
      position: { lsn: '0/9' },
      committed_at: expect.stringMatching(/Z$/),
      pending: null,
    });
    // Whoever was setting it has died in the middle.
    const wanted = { since: '2025-01-01T00:00:00.000Z', positions: [['', '{"lsn":"0/5"}'], ['#tables', '{}']] }; // prettier-ignore
    await query('UPDATE streams SET position_pending = true, position_wanted = $2 WHERE id = $1', [id, wanted]);
    expect((await api('GET', `/api/streams/${id}/position`)).json.data.attributes).toMatchObject({
      position: { lsn: '0/9' },
      pending: { position: { lsn: '0/5' }, since: '2025-01-01T00:00:00.000Z' },
    });
    expect(refusal(await api('POST', `/api/streams/${id}/start`))).toEqual([409, 'position_pending']);
    expect((await api('GET', `/api/streams/${id}`)).json.data.attributes.position).toEqual({ lsn: '0/9' });
  });

  it('a position is set as the source understands it, or refused in its words; audited', async () => {
    const id = await made('stopped');
    worker.answer = () =>
      Promise.resolve({ kind: 'settled', positions: [['', '{"lsn":"0/5","slot":"s"}'], ['#notes', '1']] }); // prettier-ignore
    const set = (body: object = { position: { lsn: '0/5' } }) => api('PUT', `/api/streams/${id}/position`, body);
    const { status, json } = await set();
    expect([status, json.data.attributes]).toEqual([
      200,
      { position: { lsn: '0/5', slot: 's' }, committed_at: expect.any(String), pending: null },
    ]);
    const job = worker.jobs.find((one) => one.includes('"settle"'))!;
    expect(Object.keys(JSON.parse(job)).sort()).toEqual(['deadline', 'draftId', 'kind', 'streamId']);
    expect((await api('GET', '/api/audit-log?limit=1')).json.data[0]).toMatchObject({
      ...{ action: 'stream.set_position', resourceId: id, keyId: expect.any(String) },
      ...{ before: { position: null }, after: { position: { lsn: '0/5', slot: 's' } } },
    });
    worker.answer = () =>
      Promise.resolve({ kind: 'refused', code: 'slot_lost', message: 'The slot is gone.', hint: 'Resnapshot.' });
    expect((await set()).json.error).toMatchObject({
      ...{ code: 'position_refused', message: 'The slot is gone.', hint: 'Resnapshot.' },
      details: [{ field: 'position', issue: 'slot_lost' }],
    });
    for (const body of [{}, { position: null }, { position: 'x' }, { position: [] }])
      expect(refusal(await set(body))).toEqual([400, 'invalid_request']);
    for (const busy of ['created', 'starting', 'running', 'paused']) {
      const answer = await api('PUT', `/api/streams/${await made(busy)}/position`, { position: {} });
      expect([...refusal(answer), answer.json.error.hint]).toEqual([409, 'stream_active', expect.any(String)]);
    }
    expect((await api('GET', `/api/streams/${id}/position`)).json).toEqual(json);
  });

  it('with Redis away a position is not set and an order is not taken: 503, and nothing has changed', async () => {
    const id = await made('stopped');
    await gateway.redis.kill();
    const answers = [await api('PUT', `/api/streams/${id}/position`, { position: { lsn: '0/5' } }), await order(id)];
    await gateway.redis.start();
    expect(answers.map(({ status }) => status)).toEqual([503, 503]);
    expect((await api('GET', `/api/streams/${id}/snapshots`)).json.data).toEqual([]);
    const [row] = await query('SELECT epoch, position_pending FROM streams WHERE id = $1', [id]);
    expect(row).toEqual({ epoch: 0, position_pending: false });
    await eventually('it is taken once Redis is back', async () => (await order(id)).status === 201);
  });

  it('without a worker an order waits for one, and a position can not be judged', async () => {
    const id = await made('stopped');
    await worker.leave();
    expect((await order(id)).json.data.attributes.state).toBe('waiting');
    expect(refusal(await api('PUT', `/api/streams/${id}/position`, { position: {} }))).toEqual([409, 'no_worker']);
  });
});
