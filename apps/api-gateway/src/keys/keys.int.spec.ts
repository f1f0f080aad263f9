import { eventually } from '@planasonix/testing';
import { KEY, startGateway, type UnderTest } from '../gateway-under-test.js';

jest.setTimeout(120_000);

describe('keys, scopes and workspaces', () => {
  let gateway: UnderTest;
  beforeAll(async () => {
    gateway = await startGateway();
  });
  afterAll(() => gateway?.end());

  const as = (key: string) => ({ authorization: `Bearer ${key}` });
  const make = async (scopes: string[], extra: object = {}) =>
    (await gateway.api('POST', '/api/api-keys', { name: `k ${scopes.join()}`, scopes, ...extra })).json as {
      id: string;
      key: string;
    };

  it('absent, malformed, unknown, revoked and expired are one 401 with one body', async () => {
    const revoked = await make(['streams:read']);
    await gateway.api('DELETE', `/api/api-keys/${revoked.id}`);
    const expired = await make(['streams:read'], { expiresAt: new Date(Date.now() + 300).toISOString() });
    await eventually(
      'it has expired',
      async () => (await gateway.api('GET', '/api/streams', undefined, as(expired.key))).status === 401,
    );
    const answers = await Promise.all(
      [
        '',
        'Bearer',
        'Basic abc',
        'Bearer plnx_live_nope',
        `Bearer ${revoked.key}`,
        `Bearer ${expired.key}`,
        `Bearer ${KEY} x`,
      ].map((authorization) => gateway.api('GET', '/api/streams', undefined, { authorization })),
    );
    for (const { status, json, headers } of answers) {
      expect(status).toBe(401);
      expect({ ...json.error, request_id: '' }).toEqual({ ...answers[0]!.json.error, request_id: '' });
      expect(headers.get('www-authenticate')).toBe('Bearer');
      expect(headers.get('x-ratelimit-remaining')).toMatch(/^\d+$/);
    }
  });

  it('the older header works too, also beside what is for a proxy; what was meant for us counts first', async () => {
    const status = async (authorization: string) =>
      (await gateway.api('GET', '/api/streams', undefined, { authorization, 'x-planasonix-api-key': KEY })).status;
    expect([await status(''), await status('Basic abc'), await status('Bearer plnx_live_nope')]).toEqual([
      200, 200, 401,
    ]);
  });

  it('a key is shown once: no list, log or repetition of another kind has it', async () => {
    const { key } = await make(['streams:read']);
    expect(key).toMatch(/^plnx_live_[\w-]{43}$/);
    for (const path of ['/api/api-keys', '/api/audit-log'])
      expect((await gateway.api('GET', path)).text).not.toContain(key);
    const client = await gateway.postgres.connect();
    for (const table of ['api_keys', 'audit_log', 'idempotency'])
      expect(JSON.stringify((await client.query(`SELECT to_jsonb(t) FROM ${table} t`)).rows)).not.toContain(key);
    await client.end();
  });

  it('the last use of a key is told, to the minute', async () => {
    const { id, key } = await make(['streams:read']);
    const client = await gateway.postgres.connect();
    const told = async () => {
      const { json } = await gateway.api('GET', '/api/api-keys?limit=100');
      return json.data.find((one: { id: string }) => one.id === id).lastUsedAt as string | null;
    };
    expect(await told()).toBeNull();
    const began = Date.now();
    await gateway.api('GET', '/api/streams', undefined, as(key));
    const first = await told();
    expect(Math.abs(Date.parse(first!) - began)).toBeLessThan(60_000);
    await gateway.api('GET', '/api/streams', undefined, as(key));
    expect(await told()).toBe(first);
    await client.query("UPDATE api_keys SET last_used_at = last_used_at - interval '2 minutes' WHERE id = $1", [id]);
    const before = await told();
    await gateway.api('GET', '/api/streams', undefined, as(key));
    expect(Date.parse((await told())!)).toBeGreaterThan(Date.parse(before!));
    await client.end();
  });

  const MATRIX: [string, string, string, unknown?][] = [
    ['streams:read', 'GET', '/api/streams'],
    ['streams:read', 'GET', '/api/streams/summary'],
    ['streams:read', 'GET', '/api/source-types'],
    ['streams:write', 'POST', '/api/streams', {}],
    ['streams:write', 'DELETE', '/api/streams/str_x'],
    ['streams:operate', 'POST', '/api/streams/str_x/start'],
    ['streams:operate', 'POST', '/api/streams/str_x/check'],
    ['connections:read', 'GET', '/api/connections'],
    ['connections:write', 'POST', '/api/connections', {}],
    ['pipelines:read', 'GET', '/api/pipelines'],
    ['pipelines:write', 'DELETE', '/api/pipelines/pl_x'],
    ['admin:organization', 'GET', '/api/api-keys'],
    ['admin:organization', 'GET', '/api/audit-log'],
  ];
  it.each(MATRIX.map(([scope, method, path, body]) => ({ scope, method, path, body })))(
    '$scope lets $method $path through, every other scope is 403',
    async ({ scope, method, path, body }) => {
      const all = [
        'streams:read',
        'streams:write',
        'streams:operate',
        'connections:read',
        'connections:write',
        'pipelines:read',
        'pipelines:write',
        'dlq:read',
        'dlq:write',
      ];
      const right = await make([scope]);
      expect((await gateway.api(method, path, body, as(right.key))).status).not.toBe(403);
      const wrong = await make(all.filter((one) => one !== scope));
      const refused = await gateway.api(method, path, body, as(wrong.key));
      expect([refused.status, refused.json.error.code, refused.json.error.message]).toEqual([
        403,
        'forbidden',
        expect.stringContaining(scope),
      ]);
    },
  );

  it('a rotated key lives on for its grace, the new one has its scopes', async () => {
    const old = await make(['streams:read']);
    const rotated = await gateway.api('POST', `/api/api-keys/${old.id}/rotate`, { grace_seconds: 4 });
    expect([rotated.status, rotated.json.scopes]).toEqual([200, ['streams:read']]);
    expect((await gateway.api('GET', '/api/streams', undefined, as(old.key))).status).toBe(200);
    await eventually(
      'the grace is over',
      async () => (await gateway.api('GET', '/api/streams', undefined, as(old.key))).status === 401,
    );
    expect((await gateway.api('GET', '/api/streams', undefined, as(rotated.json.key))).status).toBe(200);
    const gone = await gateway.api('POST', `/api/api-keys/${rotated.json.id}/rotate`);
    expect((await gateway.api('GET', '/api/streams', undefined, as(rotated.json.key))).status).toBe(401);
    expect(gone.status).toBe(200);
  });

  it('the last key that may administer a workspace stays', async () => {
    const { key } = (await gateway.api('POST', '/api/workspaces', { name: 'lonely' })).json;
    const [{ id }] = (await gateway.api('GET', '/api/api-keys', undefined, as(key))).json.data;
    const refused = await gateway.api('DELETE', `/api/api-keys/${id}`, undefined, as(key));
    expect([refused.status, refused.json.error.code]).toEqual([409, 'last_admin_key']);
    await gateway.api('POST', '/api/api-keys', { name: 'second', scopes: ['admin:organization'] }, as(key));
    expect((await gateway.api('DELETE', `/api/api-keys/${id}`, undefined, as(key))).status).toBe(200);
  });

  it('a key that ends by itself does not stand in for the last one that may administer a workspace', async () => {
    const { key } = (await gateway.api('POST', '/api/workspaces', { name: 'ending' })).json;
    const [{ id }] = (await gateway.api('GET', '/api/api-keys', undefined, as(key))).json.data;
    const body = { name: 'ends', scopes: ['admin:organization'] };
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const { json: ending } = await gateway.api('POST', '/api/api-keys', { ...body, expiresAt }, as(key));
    const refused = await gateway.api('DELETE', `/api/api-keys/${id}`, undefined, as(ending.key));
    expect([refused.status, refused.json.error?.code]).toEqual([409, 'last_admin_key']);
    expect((await gateway.api('DELETE', `/api/api-keys/${ending.id}`, undefined, as(key))).status).toBe(200);
    await gateway.api('POST', '/api/api-keys', body, as(key));
    expect((await gateway.api('DELETE', `/api/api-keys/${id}`, undefined, as(key))).status).toBe(200);
  });

  it("the first key of the installation is its holder's alone to rotate and to revoke", async () => {
    const { json: admin } = await gateway.api('POST', '/api/api-keys', { name: 'a', scopes: ['admin:organization'] });
    const { data } = (await gateway.api('GET', '/api/api-keys?limit=100')).json;
    const { id } = data.find((one: { name: string }) => one.name === 'first key');
    for (const [method, path] of [
      ['POST', `/api/api-keys/${id}/rotate`],
      ['DELETE', `/api/api-keys/${id}`],
    ] as const) {
      const refused = await gateway.api(method, path, undefined, as(admin.key));
      expect([refused.status, refused.json.error?.code]).toEqual([403, 'forbidden']);
    }
    expect((await gateway.api('GET', '/api/streams')).status).toBe(200);
    expect((await gateway.api('POST', '/api/workspaces', { name: 'mine' }, as(admin.key))).status).toBe(403);
  });

  it('of two keys that may administer a workspace, revoked at the same moment, one stays', async () => {
    const { key: first } = (await gateway.api('POST', '/api/workspaces', { name: 'both' })).json;
    const body = { name: 'second', scopes: ['admin:organization'] };
    const second = (await gateway.api('POST', '/api/api-keys', body, as(first))).json.key as string;
    const { data } = (await gateway.api('GET', '/api/api-keys', undefined, as(second))).json;
    // Both have been looked at before either is revoked.
    const client = await gateway.postgres.connect();
    await client.query('BEGIN');
    await client.query('LOCK TABLE api_keys IN EXCLUSIVE MODE');
    const revoked = data.map(({ id }: { id: string }) =>
      gateway.api('DELETE', `/api/api-keys/${id}`, undefined, as(first)),
    );
    const waiting = async () => (await client.query('SELECT FROM pg_locks WHERE NOT granted')).rowCount === 2;
    await eventually('both wait', waiting);
    await client.query('ROLLBACK');
    await client.end();
    const statuses = (await Promise.all(revoked)).map(({ status }) => status as number);
    expect(statuses.sort()).toEqual([200, 409]);
  });

  it('a key that has expired is not rotated: the new one would be dead as well', async () => {
    const made = await make(['streams:read'], { expiresAt: new Date(Date.now() + 300).toISOString() });
    const seen = async () => (await gateway.api('GET', '/api/streams', undefined, as(made.key))).status;
    await eventually('it has expired', async () => (await seen()) === 401);
    expect((await gateway.api('POST', `/api/api-keys/${made.id}/rotate`)).status).toBe(404);
  });

  it('only the first key of the installation makes workspaces, and they do not see each other (trap 36)', async () => {
    const { key } = (await gateway.api('POST', '/api/workspaces', { name: 'other' })).json;
    expect((await gateway.api('POST', '/api/workspaces', { name: 'third' }, as(key))).status).toBe(403);
    const mine = await gateway.api('POST', '/api/pipelines', { name: 'mine' });
    for (const [method, body] of [['GET'], ['PUT', { name: 'theirs' }], ['DELETE']] as const)
      expect((await gateway.api(method, `/api/pipelines/${mine.json.id}`, body, as(key))).status).toBe(404);
    expect((await gateway.api('GET', '/api/pipelines', undefined, as(key))).json.data).toEqual([]);
    expect((await gateway.api('POST', '/api/pipelines', { name: 'mine' }, as(key))).status).toBe(201);
    expect((await gateway.api('GET', '/api/audit-log', undefined, as(key))).text).not.toContain(mine.json.id);
  });

  it('cursors of one workspace, list or filter are not taken in another', async () => {
    const { key } = (await gateway.api('POST', '/api/workspaces', { name: 'pages' })).json;
    for (const name of ['a', 'b', 'c']) await gateway.api('POST', '/api/pipelines', { name: `page ${name}` });
    const { cursor } = (await gateway.api('GET', '/api/pipelines?limit=1')).json.meta;
    expect((await gateway.api('GET', `/api/pipelines?limit=1&cursor=${cursor}`)).status).toBe(200);
    expect((await gateway.api('GET', `/v1/api/pipelines?limit=2&cursor=${cursor}`)).status).toBe(200);
    expect(
      (await gateway.api('GET', `/api/pipelines?limit=1&cursor=${cursor}`, undefined, as(key))).json.error.code,
    ).toBe('invalid_cursor');
    expect((await gateway.api('GET', `/api/connections?limit=1&cursor=${cursor}`)).json.error.code).toBe(
      'invalid_cursor',
    );
  });
});
