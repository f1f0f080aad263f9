import { startGateway, type UnderTest } from './gateway-under-test.js';
import { HOSTILE, shown, type Victims } from './hostile-input-under-test.js';
import { startWorker } from './worker-under-test.js';

jest.setTimeout(120_000);

describe('bad input gets a clear 4xx and changes nothing', () => {
  let gateway: UnderTest;
  let pipelineId: string;
  let connectionId: string;

  beforeAll(async () => {
    gateway = await startGateway();
    const worker = await startWorker(gateway.postgres.url(), gateway.redis.url);
    // Its schema stays known; what follows needs no worker.
    await worker.leave();
    await worker.end();
    pipelineId = (await gateway.api('POST', '/api/pipelines', { name: 'p' })).json.id;
    const config = { host: '127.0.0.1', port: 1, database: 'd', user: 'u', password: 'pw-canary' };
    connectionId = (await gateway.api('POST', '/api/connections', { name: 'c', type: 'postgres', config })).json.id;
  });
  afterAll(() => gateway?.end());

  const stream = (extra: object = {}) => ({
    name: 's',
    sourceType: 'postgres_cdc',
    pipelineId,
    connectionId,
    config: { tables: ['public.t'] },
    ...extra,
  });

  it('the answer to a body that is too large reaches who is still sending it', async () => {
    for (let i = 0; i < 20; i++)
      expect((await gateway.api('POST', '/api/streams', 'x'.repeat(8_000_000))).status).toBe(413);
  });

  it('what is wrong with the body as a whole is said of the body', async () => {
    const missing = await gateway.api('POST', '/api/streams');
    expect(missing.json.error).toMatchObject({
      message: 'The body is required',
      details: [{ field: '', issue: 'is required' }],
    });
    const list = await gateway.api('POST', '/api/streams', []);
    expect(list.json.error).toMatchObject({ message: 'The body must be an object.', details: [{ field: '' }] });
  });

  const table: [string, number, string, () => ReturnType<UnderTest['api']>][] = [
    ['a body that is a list', 400, 'invalid_request', () => gateway.api('POST', '/api/streams', [])],
    ['a truncated body', 400, 'invalid_json', () => gateway.api('POST', '/api/streams', '{"name":')],
    ['an absent body', 400, 'invalid_request', () => gateway.api('POST', '/api/streams')],
    ['null', 400, 'invalid_request', () => gateway.api('POST', '/api/streams', 'null')],
    [
      'a form',
      415,
      'unsupported_media_type',
      () => gateway.api('POST', '/api/streams', 'x=1', { 'content-type': 'application/x-www-form-urlencoded' }),
    ],
    [
      'plain text',
      415,
      'unsupported_media_type',
      () => gateway.api('POST', '/api/streams', 'x=1', { 'content-type': 'text/plain' }),
    ],
    [
      'a body over 1 MiB',
      413,
      'payload_too_large',
      () => gateway.api('POST', '/api/streams', stream({ name: 'x'.repeat(1_100_000) })),
    ],
    ['a body of 2 MiB', 413, 'payload_too_large', () => gateway.api('POST', '/api/streams', 'x'.repeat(2_200_000))],
    ['NUL in a name', 400, 'invalid_request', () => gateway.api('POST', '/api/streams', stream({ name: 'a\0b' }))],
    [
      'NUL in a config',
      400,
      'invalid_request',
      () => gateway.api('POST', '/api/streams', stream({ config: { tables: ['a\0b'] } })),
    ],
    [
      'a name of 10,000 characters',
      400,
      'invalid_request',
      () => gateway.api('POST', '/api/streams', stream({ name: 'x'.repeat(10_000) })),
    ],
    ['an empty name', 400, 'invalid_request', () => gateway.api('POST', '/api/streams', stream({ name: '' }))],
    [
      'a name in both casings',
      400,
      'invalid_request',
      () => gateway.api('POST', '/api/streams', { ...stream(), source_type: 'postgres_cdc' }),
    ],
    [
      'an unknown source type',
      400,
      'source_type_unavailable',
      () => gateway.api('POST', '/api/streams', stream({ sourceType: 'oracle9' })),
    ],
    [
      'a source type without worker ever',
      400,
      'source_type_unavailable',
      () => gateway.api('POST', '/api/streams', stream({ sourceType: 'mysql_cdc' })),
    ],
    [
      'an unknown pipeline',
      400,
      'invalid_request',
      () => gateway.api('POST', '/api/streams', stream({ pipelineId: 'pl_01jzzzzzzzzzzzzzzzzzzzzzzz' })),
    ],
    [
      'no connection',
      400,
      'invalid_request',
      () => gateway.api('POST', '/api/streams', stream({ connectionId: undefined })),
    ],
    [
      'a config that is text',
      400,
      'invalid_request',
      () => gateway.api('POST', '/api/streams', stream({ config: 'x' })),
    ],
    [
      'a mask where no secret is stored',
      400,
      'invalid_request',
      () =>
        gateway.api('POST', '/api/streams', stream({ config: { tables: ['a.b'], signing: { secret: '********' } } })),
    ],
    ['an unknown route', 404, 'not_found', () => gateway.api('GET', '/api/nope')],
    ['an unknown stream', 404, 'not_found', () => gateway.api('GET', '/api/streams/str_01jzzzzzzzzzzzzzzzzzzzzzzz')],
    ['an id that is NUL', 404, 'not_found', () => gateway.api('GET', '/api/streams/%00')],
    ['an id of 300 characters', 404, 'not_found', () => gateway.api('GET', `/api/streams/${'x'.repeat(300)}`)],
    ['an id of 3000 characters', 404, 'not_found', () => gateway.api('GET', `/api/streams/${'x'.repeat(3000)}`)],
    ['broken percent-encoding in a path', 400, 'invalid_url', () => gateway.api('GET', '/api/streams/%E0%A4%A')],
    [
      'broken percent-encoding in a query',
      400,
      'invalid_url',
      () => gateway.api('GET', '/api/streams?status=%E0%A4%A'),
    ],
    ['another method', 405, 'method_not_allowed', () => gateway.api('PUT', '/api/streams')],
    ['another method at a page', 405, 'method_not_allowed', () => gateway.api('POST', '/api/docs')],
    ['an unknown parameter', 400, 'invalid_request', () => gateway.api('GET', '/api/streams?limt=1')],
    ['a parameter where none is known', 400, 'invalid_request', () => gateway.api('GET', '/api/streams/summary?x=1')],
    ...['0', '-1', 'abc', '1e9', '101', '1.5', '+1', ' 1', '', '0x10', '5%20OR%201=1', '9999999999'].map(
      (limit): [string, number, string, () => ReturnType<UnderTest['api']>] => [
        `limit=${limit}`,
        400,
        'invalid_request',
        () => gateway.api('GET', `/api/streams?limit=${limit}`),
      ],
    ),
    ['status=bogus', 400, 'invalid_request', () => gateway.api('GET', '/api/streams?status=bogus')],
    ['source_type=bogus', 400, 'invalid_request', () => gateway.api('GET', '/api/streams?source_type=bogus')],
    ['cursor=garbage', 400, 'invalid_cursor', () => gateway.api('GET', '/api/streams?cursor=garbage')],
    [
      'force=maybe',
      400,
      'invalid_request',
      () => gateway.api('DELETE', '/api/streams/str_01jzzzzzzzzzzzzzzzzzzzzzzz?force=maybe'),
    ],
    [
      'an idempotency key with a space',
      400,
      'invalid_request',
      () => gateway.api('POST', '/api/pipelines', { name: 'k' }, { 'idempotency-key': 'a b' }),
    ],
    [
      'a metadata service as host (trap 34)',
      400,
      'host_forbidden',
      () =>
        gateway.api('POST', '/api/connections', {
          name: 'll',
          type: 'postgres',
          config: { host: '169.254.169.254', database: 'x', user: 'x' },
        }),
    ],
    [
      'a socket path as host (trap 34)',
      400,
      'host_forbidden',
      () =>
        gateway.api('POST', '/api/connections', {
          name: 'll',
          type: 'postgres',
          config: { host: '/var/run', database: 'x', user: 'x' },
        }),
    ],
    [
      'an unknown connection type',
      400,
      'invalid_request',
      () => gateway.api('POST', '/api/connections', { name: 'll', type: 'oracle', config: {} }),
    ],
    [
      'a Kafka log',
      400,
      'invalid_request',
      () =>
        gateway.api('POST', '/api/pipelines', { name: 'k', output: { type: 'kafka', connectionId: 'c', topic: 't' } }),
    ],
    [
      'a body where none is taken',
      400,
      'invalid_request',
      () => gateway.api('POST', `/api/connections/${connectionId}/test`, { a: 1 }),
    ],
    [
      'scopes that are not there',
      400,
      'invalid_request',
      () => gateway.api('POST', '/api/api-keys', { name: 'k', scopes: ['root'] }),
    ],
    [
      'an expiry in the past',
      400,
      'invalid_request',
      () =>
        gateway.api('POST', '/api/api-keys', { name: 'k', scopes: ['dlq:read'], expiresAt: '2020-01-01T00:00:00Z' }),
    ],
  ];

  it.each(table)('%s → %i %s', async (_what, status, code, ask) => {
    const answer = await ask();
    expect([answer.status, answer.json?.error?.code, answer.text.slice(0, 300)]).toEqual([
      status,
      code,
      expect.any(String),
    ]);
    expect(answer.json.error).toEqual(
      expect.objectContaining({
        message: expect.any(String),
        details: expect.any(Array),
        request_id: expect.any(String),
      }),
    );
    expect(answer.headers.get('content-type')).toContain('json');
    expect(answer.headers.get('x-request-id')).toBe(answer.json.error.request_id);
    expect(answer.headers.get('etag')).toBeNull();
    expect(answer.text).not.toMatch(/at .*\.[jt]s:\d+/);
    expect(answer.headers.get('x-ratelimit-limit')).toMatch(/^\d+$/);
  });

  describe('one hostile thing in a request that is right otherwise', () => {
    let victims: Victims;
    const whole = () => shown((...request) => gateway.api(...request), victims);
    let before: unknown;
    beforeAll(async () => {
      const made = await gateway.api('POST', '/api/streams', stream({ name: 'victim' }));
      expect([made.status, made.text]).toEqual([201, expect.any(String)]);
      victims = { pipelineId, connectionId, streamId: made.json.data.id };
      before = await whole();
    });
    afterAll(async () => {
      const gone = await gateway.api('DELETE', `/api/streams/${victims.streamId}?force=true`);
      expect(gone.status).toBe(200);
    });

    it.each(HOSTILE)('%s → %s, %s %s', async (_what, code, field, issue, ask) => {
      const { status, json, text } = await ask((...request) => gateway.api(...request), victims);
      expect([status, json?.error?.code, text.slice(0, 300)]).toEqual([400, code, expect.any(String)]);
      expect(json.error.details).toContainEqual({ field, issue });
      expect(json.error.message).toContain(issue);
      expect(text.length).toBeLessThan(2000);
    });

    it('what it was aimed at is as it was', async () => {
      expect(await whole()).toEqual(before);
      expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain('a');
    });
  });

  it('nothing of it left a trace', async () => {
    expect((await gateway.api('GET', '/api/streams')).json.data).toEqual([]);
    expect((await gateway.api('GET', '/api/pipelines')).json.data.map((one: { name: string }) => one.name)).toEqual([
      'p',
    ]);
    expect((await gateway.api('GET', '/api/connections')).json.data).toHaveLength(1);
  });

  it('a mistyped key is told with the nearest name, in both casings of the field', async () => {
    const one = await gateway.api('POST', '/api/streams', { ...stream(), pipelinId: 'x' });
    expect(one.json.error).toMatchObject({
      hint: 'Did you mean "pipelineId"?',
      details: [{ field: 'pipelin_id', issue: 'is not a known key' }],
    });
    const two = await gateway.api('POST', '/api/streams', stream({ config: { tables: ['a.b'], slotNam: 'x' } }));
    expect(two.json.error).toMatchObject({
      hint: 'Did you mean "slot_name"?',
      details: [{ field: 'config.slot_nam', issue: 'is not a known key' }],
    });
  });

  it('what is missing is told field by field, in snake_case', async () => {
    const { json } = await gateway.api('POST', '/api/streams', {});
    expect(json.error.details).toEqual([
      { field: 'name', issue: 'is required' },
      { field: 'source_type', issue: 'is required' },
      { field: 'pipeline_id', issue: 'is required' },
    ]);
  });

  it('a known address with another method names those it takes', async () => {
    expect((await gateway.api('PUT', '/api/streams')).headers.get('allow')).toBe('GET, POST');
    expect((await gateway.api('POST', '/v1/api/streams/str_1')).headers.get('allow')).toBe('GET, PATCH, DELETE');
  });

  it('an empty body with a JSON content type is no body', async () => {
    const answer = await gateway.api('POST', '/api/streams/str_01jzzzzzzzzzzzzzzzzzzzzzzz/start', '', {
      'content-type': 'application/json',
    });
    expect([answer.status, answer.json.error.code]).toEqual([404, 'not_found']);
  });

  it('both casings are taken in, and the config is answered in snake_case', async () => {
    const made = await gateway.api('POST', '/api/streams', {
      name: 'snake',
      source_type: 'postgres_cdc',
      pipeline_id: pipelineId,
      connection_id: connectionId,
      config: {
        tables: ['public.t'],
        excludeTables: ['public.u'],
        slotName: 'slot_a',
        signing: { secret: 'sig-canary' },
      },
    });
    expect(made.status).toBe(201);
    expect(made.json.data.attributes.config).toEqual({
      tables: ['public.t'],
      exclude_tables: ['public.u'],
      slot_name: 'slot_a',
      signing: { secret: '********' },
    });
    const patched = await gateway.api('PATCH', `/api/streams/${made.json.data.id}`, {
      config: { slotName: null, signing: { secret: '********' } },
    });
    expect(patched.json.data.attributes.config).toEqual({
      tables: ['public.t'],
      exclude_tables: ['public.u'],
      signing: { secret: '********' },
    });
    const gone = await gateway.api('DELETE', `/api/streams/${made.json.data.id}?force=true`);
    expect([gone.status, gone.text]).toEqual([200, expect.any(String)]);
  });
});
