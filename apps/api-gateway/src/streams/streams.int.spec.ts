import { StreamError } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { allRoutes } from '../contract/route.js';
import { startGateway, type UnderTest } from '../gateway-under-test.js';
import { startWorker, type FakeWorker } from '../worker-under-test.js';

jest.setTimeout(120_000);

const CANARY = 'c4n4ry-s3cret';

describe('streams', () => {
  let gateway: UnderTest;
  let worker: FakeWorker;
  let pipelineId: string;
  let connectionId: string;
  const answers: string[] = [];

  beforeAll(async () => {
    gateway = await startGateway();
    worker = await startWorker(gateway.postgres.url(), gateway.redis.url);
    pipelineId = (await api('POST', '/api/pipelines', { name: 'p' })).json.id;
    const config = { host: '127.0.0.1', port: 1, database: 'd', user: 'u', password: CANARY };
    connectionId = (await api('POST', '/api/connections', { name: 'c', type: 'postgres', config })).json.id;
  });
  afterAll(async () => {
    await worker?.end();
    await gateway?.end();
  });

  async function api(method: string, path: string, body?: unknown, headers?: Record<string, string>) {
    const answer = await gateway.api(method, path, body, headers);
    answers.push(answer.text);
    return answer;
  }
  const create = (name: string, config: object = { tables: ['public.t'] }, extra: object = {}) =>
    api('POST', '/api/streams', { name, sourceType: 'postgres_cdc', pipelineId, connectionId, config, ...extra });
  const made = async (name: string, config?: object): Promise<string> => {
    const answer = await create(name, config);
    expect([answer.status, answer.text]).toEqual([201, expect.any(String)]);
    return answer.json.data.id as string;
  };

  it('a create answers as the page shows', async () => {
    const { status, json } = await create('shape', { tables: ['public.orders'], slot_name: 'orders_slot' });
    expect(status).toBe(201);
    expect(json.data).toMatchObject({
      id: expect.stringMatching(/^str_01[0-9a-z]{24}$/),
      type: 'stream',
      attributes: {
        name: 'shape',
        source_type: 'postgres_cdc',
        pipeline_id: pipelineId,
        connection_id: connectionId,
        status: 'created',
        desired_status: 'idle',
        config: { tables: ['public.orders'], slot_name: 'orders_slot' },
        last_error: null,
        position: null,
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      },
    });
    expect((await api('GET', `/v1/api/streams/${json.data.id}`)).json).toEqual(json);
  });

  it('a config that matches no table is 400 no_tables; a worker that fails proves nothing', async () => {
    worker.answer = (job) =>
      Promise.resolve(
        job.kind === 'tables'
          ? { ok: false, checks: [{ code: 'no_tables', severity: 'error', message: 'No table matches.', fix: null }] }
          : null,
      );
    const refused = await create('no tables');
    expect([refused.status, refused.json.error.code, refused.json.error.details]).toEqual([
      400,
      'no_tables',
      [{ field: 'config.tables', issue: 'matches no table of the source' }],
    ]);
    worker.answer = () => Promise.reject(new StreamError('source_unreachable', 'no answer'));
    await made('unreachable');
    worker.answer = () => Promise.resolve({ ok: true, checks: [] });
  });

  it('two changes of a config at once: neither is lost (both were answered 200)', async () => {
    const id = await made('merged', { tables: ['public.t'] });
    let arrived = 0;
    let go = () => {};
    const both = new Promise<void>((resolve) => (go = resolve));
    worker.answer = async () => {
      if (++arrived === 2) go();
      await both;
      return { ok: true, checks: [] };
    };
    const change = (config: object) => api('PATCH', `/api/streams/${id}`, { config });
    const answers = await Promise.all([change({ slot_name: 'mine' }), change({ exclude_tables: ['public.u'] })]);
    worker.answer = () => Promise.resolve({ ok: true, checks: [] });
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect((await api('GET', `/api/streams/${id}`)).json.data.attributes.config).toEqual({
      tables: ['public.t'],
      slot_name: 'mine',
      exclude_tables: ['public.u'],
    });
  });

  it('twenty creates of one name at once: one 201, the others 409', async () => {
    // On a machine that is too busy the store may be late for some: 503 with Retry-After, as documented.
    const told = async (): ReturnType<typeof create> => {
      const answer = await create('race');
      return answer.status === 503 ? told() : answer;
    };
    const all = await Promise.all(Array.from({ length: 20 }, told));
    expect(all.filter((one) => one.status === 201)).toHaveLength(1);
    for (const one of all)
      if (one.status !== 201) expect([one.status, one.json.error.code]).toEqual([409, 'name_taken']);
  });

  it('pages show every stream once while others are added, and filters narrow them', async () => {
    for (let i = 0; i < 7; i++) await made(`page ${i}`);
    const before = (await api('GET', '/api/streams?limit=100')).json.data.map((one: { id: string }) => one.id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await api('GET', `/api/streams?limit=3${cursor ? `&cursor=${cursor}` : ''}`);
      expect(page.json.meta.page.limit).toBe(3);
      seen.push(...page.json.data.map((one: { id: string }) => one.id));
      cursor = page.json.meta.page.cursor;
      await made(`late ${seen.length}`);
    } while (cursor !== null);
    expect(seen).toEqual(before);
    expect((await api('GET', '/api/streams?status=running')).json.data).toEqual([]);
    expect((await api('GET', '/api/streams?source_type=kafka')).json.data).toEqual([]);
    expect((await api('GET', `/api/streams?pipeline_id=${pipelineId}&status=created&limit=1`)).json.data).toHaveLength(
      1,
    );
    for (const unknown of ['pl_01jzzzzzzzzzzzzzzzzzzzzzzz', 'bogus']) {
      const { status, json } = await api('GET', `/api/streams?pipeline_id=${unknown}`);
      expect([status, json.error?.details[0].field]).toEqual([400, 'pipeline_id']);
    }
  });

  it('the summary carries all six states and adds up', async () => {
    const { type, attributes } = (await api('GET', '/api/streams/summary')).json.data;
    expect(type).toBe('streams_summary');
    expect(Object.keys(attributes.by_status)).toEqual(['created', 'starting', 'running', 'paused', 'stopped', 'error']);
    expect(Object.values<number>(attributes.by_status).reduce((sum, n) => sum + n, 0)).toBe(attributes.total);
    expect(attributes.approx_events_per_minute).toBe(0);
  });

  it('commands that the state does not allow are 409 with those that it does', async () => {
    const id = await made('commands');
    for (const verb of ['stop', 'pause', 'resume']) {
      const { status, json } = await api('POST', `/api/streams/${id}/${verb}`);
      expect([status, json.error.code, json.error.hint]).toEqual([409, 'invalid_transition', 'Allowed now: start.']);
    }
    const started = await api('POST', `/api/streams/${id}/start`, {});
    expect([started.status, started.json.data.attributes.status, Object.keys(started.json.data.attributes)]).toEqual([
      200,
      'starting',
      ['status', 'updated_at'],
    ]);
    await eventually('the bell rang', () => worker.jobs.includes(JSON.stringify({ streamId: id, generation: 1 })));
    const busy = await api('PATCH', `/api/streams/${id}`, { config: { tables: ['public.u'] } });
    expect([busy.status, busy.json.error.code]).toEqual([409, 'stream_active']);
    expect((await api('PATCH', `/api/streams/${id}`, { name: 'commands 2' })).json.data.attributes.name).toBe(
      'commands 2',
    );
    const stopped = await api('POST', `/api/streams/${id}/stop`);
    expect([stopped.status, stopped.json.data.attributes.status]).toEqual([200, 'stopped']);
  });

  it.each([
    ['created', 200],
    ['starting', 409],
    ['running', 409],
    ['paused', 200],
    ['stopped', 200],
    ['error', 200],
  ] as const)('the config of a stream that is %s: %i; its name can always be changed', async (state, status) => {
    const id = await made(`change while ${state}`);
    const client = await gateway.postgres.connect();
    const desired = { created: 'idle', error: 'running', starting: 'running' } as Record<string, string>;
    await client.query('UPDATE streams SET status = $2, desired_status = $3 WHERE id = $1', [
      ...[id, state, desired[state] ?? state],
    ]);
    await client.end();
    const changed = await api('PATCH', `/api/streams/${id}`, { config: { slot_name: `of_${state}` } });
    expect([changed.status, changed.json.error?.code]).toEqual([status, status === 409 ? 'stream_active' : undefined]);
    const named = await api('PATCH', `/api/streams/${id}`, { name: `changed while ${state}` });
    expect([named.status, named.json.data.attributes.config.slot_name]).toEqual([
      200,
      status === 200 ? `of_${state}` : undefined,
    ]);
  });

  it('a stream that was deleted is not found, and a second delete says so', async () => {
    const id = await made('deleted twice');
    const statuses = [];
    for (let i = 0; i < 2; i++) statuses.push((await api('DELETE', `/api/streams/${id}?force=true`)).status);
    expect(statuses).toEqual([200, 404]);
    expect((await api('DELETE', `/api/streams/${id}`)).json.error.code).toBe('not_found');
    expect((await api('GET', `/api/streams/${id}`)).status).toBe(404);
  });

  it('what another workspace has is 404 on every route with an id, as what nobody has (trap 36)', async () => {
    const { key } = (await api('POST', '/api/workspaces', { name: 'strangers' })).json;
    const stranger = { authorization: `Bearer ${key}` };
    const streamId = await made('not theirs');
    const keyId = (await api('POST', '/api/api-keys', { name: 'k', scopes: ['streams:read'] })).json.id;
    const order = await api('POST', `/api/streams/${streamId}/snapshot`, { tables: ['public.t'] });
    const mine: Record<string, string> = { streams: streamId, connections: connectionId, pipelines: pipelineId };
    mine['api-keys'] = keyId;
    const routes = allRoutes().filter(({ path }) => path.includes('{id}'));
    expect(new Set(routes.map(({ path }) => path.split('/')[1]))).toEqual(new Set(Object.keys(mine)));
    for (const { method, path, bodyExample, body, bodyOptional } of routes) {
      const own = path
        .replace('{id}', mine[path.split('/')[1]!]!)
        .replace(/\{\w+\}/, order.json?.data?.id ?? 'snap_none');
      const given = body === undefined || bodyOptional ? undefined : bodyExample;
      const answer = await api(method, `/api${own}`, given, stranger);
      expect([method, path, answer.status, answer.json?.error?.code]).toEqual([method, path, 404, 'not_found']);
    }
    expect((await api('GET', `/api/streams/${streamId}`)).json.data.attributes.name).toBe('not theirs');
    expect((await api('GET', `/api/pipelines/${pipelineId}`)).status).toBe(200);
  });

  it('a start after a lost position has to say what to do about it; a check tells, which no source knows (trap 9)', async () => {
    const id = await made('lost-place');
    const client = await gateway.postgres.connect();
    const error = { code: 'slot_lost', message: 'gone', hint: 'h', occurred_at: new Date().toISOString() };
    await client.query(
      `UPDATE streams SET status = 'error', desired_status = 'running', last_error = $2 WHERE id = $1`,
      [id, JSON.stringify(error)],
    );
    await client.end();
    expect((await api('GET', `/api/streams/${id}`)).json.data.attributes.last_error).toEqual(error);
    const { code, message, hint: fix } = error;
    worker.answer = () => Promise.resolve({ ok: true, checks: [] });
    expect((await api('POST', `/api/streams/${id}/check`)).json.data.attributes).toEqual({
      ok: false,
      checks: [{ code, severity: 'error', message, fix }],
    });
    const refused = await api('POST', `/api/streams/${id}/start`);
    expect([refused.status, refused.json.error.code]).toEqual([409, 'position_lost']);
    expect((await api('POST', `/api/streams/${id}/start`, { on_lost_position: 'nothing' })).status).toBe(400);
    expect(
      (await api('POST', `/api/streams/${id}/start`, { on_lost_position: 'skip' })).json.data.attributes.status,
    ).toBe('starting');
    expect((await api('GET', '/api/audit-log?limit=1')).json.data[0]).toMatchObject({
      action: 'stream.start',
      after: { on_lost_position: 'skip' },
    });
  });

  it('a check tells what the worker found, and a connection test why it failed', async () => {
    const finding = {
      code: 'wal_level',
      severity: 'error',
      message: 'wal_level is replica.',
      fix: "ALTER SYSTEM SET wal_level = 'logical'",
    };
    const report = { ok: false, latencyMs: null, serverVersion: null, message: 'refused', checks: [finding] };
    worker.answer = (job) => Promise.resolve(job.kind === 'check' ? { ok: false, checks: [finding] } : report);
    const id = (await api('GET', '/api/streams?limit=1')).json.data[0].id;
    const checked = await api('POST', `/api/streams/${id}/check`);
    expect(checked.json.data).toEqual({ id, type: 'stream_check', attributes: { ok: false, checks: [finding] } });
    for (const nothing of [null, {}, { ok: true, checks: 'none' }]) {
      worker.answer = () => Promise.resolve(nothing);
      const { ok, checks } = (await api('POST', `/api/streams/${id}/check`)).json.data.attributes;
      expect([ok, checks]).toEqual([false, [expect.objectContaining({ severity: 'error' })]]);
    }
    worker.answer = (job) => Promise.resolve(job.kind === 'check' ? null : report);
    const tested = await api('POST', `/api/connections/${connectionId}/test`);
    expect([tested.status, tested.json.ok, tested.json.checks]).toEqual([200, false, [finding]]);
    const draft = await api('POST', '/api/connections/test', {
      type: 'postgres',
      config: { host: '127.0.0.1', database: 'd', user: 'u', password: CANARY },
    });
    expect([draft.status, draft.json.message]).toEqual([200, 'refused']);
    const none = await api('POST', '/api/connections/test', { type: 'redis', config: { host: '127.0.0.1' } });
    expect([none.status, none.json.error.code]).toEqual([409, 'no_worker']);
    worker.answer = () => Promise.resolve({ ok: true, checks: [] });
  });

  it('metrics of every window, from zero on', async () => {
    const id = await made('metrics');
    for (const window of ['1m', '5m', '1h', '24h']) {
      const { json } = await api('GET', `/api/streams/${id}/metrics?window=${window}`);
      expect(json.data).toMatchObject({
        id,
        type: 'stream_metrics',
        attributes: {
          stream_id: id,
          window,
          status: 'created',
          events_per_second: 0,
          lag_seconds: 0,
          last_event_at: null,
        },
      });
    }
    expect((await api('GET', `/api/streams/${id}/metrics`)).json.data.attributes.window).toBe('5m');
    for (const window of ['2m', '5M', '', '24h0'])
      expect((await api('GET', `/api/streams/${id}/metrics?window=${window}`)).status).toBe(400);
  });

  it('what a stream or a connection holds together can not be taken away', async () => {
    expect((await api('DELETE', `/api/connections/${connectionId}`)).json.error.code).toBe('in_use');
    expect((await api('DELETE', `/api/pipelines/${pipelineId}`)).json.error.code).toBe('in_use');
  });

  it('a secret is in no answer, job, Redis key or table (trap 35)', async () => {
    await made('secret', { tables: ['public.t'], signing: { secret: CANARY } });
    expect(answers.filter((text) => text.includes(CANARY))).toEqual([]);
    expect(worker.jobs.join()).not.toContain(CANARY);
    const redis = gateway.redis.client();
    for (const key of await redis.keys('*')) expect(String(await redis.dumpBuffer(key))).not.toContain(CANARY);
    const client = await gateway.postgres.connect();
    const { rows: tables } = await client.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
    for (const { tablename } of tables)
      expect(JSON.stringify((await client.query(`SELECT to_jsonb(t) FROM "${tablename}" t`)).rows)).not.toContain(
        CANARY,
      );
    await client.end();
  });

  it('with Redis away metrics are the last known ones, and a stop is true or refused', async () => {
    const id = await made('redis away');
    const client = await gateway.postgres.connect();
    const windows = { '5m': { events_per_second: 7, total_events: 70 }, '1m': { events_per_second: 2.5 } };
    await client.query(`INSERT INTO stream_metrics VALUES ($1, $2, now())`, [id, JSON.stringify(windows)]);
    await client.end();
    await gateway.redis.kill();
    const { json } = await api('GET', `/api/streams/${id}/metrics`);
    expect(json.data.attributes).toMatchObject({
      events_per_second: 7,
      total_events: 70,
      lag_certain: false,
      stale: true,
      window: '5m',
    });
    const summary = (await api('GET', '/api/streams/summary')).json.data.attributes;
    expect(summary.approx_events_per_minute).toBe(150);
    const started = await api('POST', `/api/streams/${id}/start`);
    expect([200, 503]).toContain(started.status);
    const { status } = (await api('GET', `/api/streams/${id}`)).json.data.attributes;
    expect(status).toBe(started.status === 200 ? 'starting' : 'created');
    await gateway.redis.start();
    if (started.status === 200)
      await eventually('the outbox kept the bell', () => worker.jobs.some((job) => job.includes(id)));
  });
});
