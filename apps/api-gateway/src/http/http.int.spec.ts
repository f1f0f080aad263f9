import { connect } from 'node:net';
import { eventually } from '@planasonix/testing';
import { KEY, startGateway, type UnderTest } from '../gateway-under-test.js';

jest.setTimeout(120_000);

describe('what every request meets', () => {
  let gateway: UnderTest;
  beforeAll(async () => {
    gateway = await startGateway();
  });
  afterAll(() => gateway?.end());

  it('a request id is echoed when it is safe, and made otherwise', async () => {
    const echoed = await gateway.api('GET', '/api/streams', undefined, { 'x-request-id': 'abc-123' });
    expect(echoed.headers.get('x-request-id')).toBe('abc-123');
    for (const given of ['x'.repeat(129), 'a b', 'a"b', '<script>'])
      expect(
        (await gateway.api('GET', '/api/streams', undefined, { 'x-request-id': given })).headers.get('x-request-id'),
      ).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('both prefixes answer alike, without ETag and with the headers of a careful server', async () => {
    const [one, two] = await Promise.all([
      gateway.api('GET', '/api/pipelines'),
      gateway.api('GET', '/v1/api/pipelines'),
    ]);
    expect(one.text).toBe(two.text);
    for (const { headers } of [one, two]) {
      expect(headers.get('etag')).toBeNull();
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-powered-by')).toBeNull();
    }
  });

  it('the same Idempotency-Key and body give the same answer once, another body 409', async () => {
    const key = { 'idempotency-key': 'once-1' };
    const first = await gateway.api('POST', '/api/pipelines', { name: 'idem' }, key);
    const again = await gateway.api('POST', '/v1/api/pipelines', { name: 'idem' }, key);
    expect([again.status, again.json]).toEqual([201, first.json]);
    const other = await gateway.api('POST', '/api/pipelines', { name: 'idem 2' }, key);
    expect([other.status, other.json.error.code]).toEqual([409, 'idempotency_conflict']);
    const elsewhere = await gateway.api('POST', '/api/workspaces', { name: 'idem' }, key);
    expect([elsewhere.status, elsewhere.json.error.code]).toEqual([409, 'idempotency_conflict']);
  });

  it('an answer is kept for 24 hours, and no longer', async () => {
    const key = { 'idempotency-key': 'a-day' };
    const body = { name: 'a day', scopes: ['streams:read'] };
    const ask = async () => (await gateway.api('POST', '/api/api-keys', body, key)).json.id as string;
    const client = await gateway.postgres.connect();
    const age = (by: string) =>
      client.query(
        "UPDATE idempotency SET created_at = clock_timestamp() - $1::interval WHERE key = 'a-day' RETURNING 1",
        [by],
      );
    const first = await ask();
    expect((await age('23:59')).rowCount).toBe(1);
    expect(await ask()).toBe(first);
    expect((await age('24:00:01')).rowCount).toBe(1);
    const second = await ask();
    expect(second).not.toBe(first);
    expect(await ask()).toBe(second);
    await client.end();
  });

  it('twenty at once with one Idempotency-Key make one thing', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        gateway.api('POST', '/api/pipelines', { name: 'at once' }, { 'idempotency-key': 'at-once' }),
      ),
    );
    const made = answers.filter((one) => one.status === 201);
    expect(new Set(made.map((one) => one.json.id)).size).toBe(1);
    for (const one of answers) expect([201, 409]).toContain(one.status);
    expect(
      answers.filter((one) => one.status === 409).every((one) => one.json.error.code === 'idempotency_in_progress'),
    ).toBe(true);
  });

  it('what was refused may be sent again under the same Idempotency-Key', async () => {
    const key = { 'idempotency-key': 'again' };
    expect((await gateway.api('POST', '/api/pipelines', { name: '' }, key)).status).toBe(400);
    expect((await gateway.api('POST', '/api/pipelines', { name: 'now right' }, key)).status).toBe(201);
  });

  it('a stored answer with a key in it lies sealed in the store (trap 35)', async () => {
    const key = { 'idempotency-key': 'secret-answer' };
    const first = await gateway.api('POST', '/api/api-keys', { name: 'k', scopes: ['streams:read'] }, key);
    const again = await gateway.api('POST', '/api/api-keys', { name: 'k', scopes: ['streams:read'] }, key);
    expect(again.json).toEqual(first.json);
    const client = await gateway.postgres.connect();
    const { rows } = await client.query("SELECT answer FROM idempotency WHERE key = 'secret-answer'");
    await client.end();
    expect(rows[0].answer).toMatch(/^v1\./);
    expect(rows[0].answer).not.toContain(first.json.key);
  });

  it('the document needs no key, and the page at /api/docs loads nothing from elsewhere', async () => {
    const none = { authorization: '' };
    expect((await gateway.api('GET', '/api/openapi.json', undefined, none)).json.openapi).toMatch(/^3\.1/);
    const page = await gateway.api('GET', '/api/docs', undefined, none);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.text).not.toMatch(/https?:\/\//);
    for (const file of [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((found) => found[1]!)) {
      const asset = await fetch(`${gateway.base}/api/${file}`);
      expect([file, asset.status]).toEqual([file, 200]);
    }
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
    expect((await gateway.api('GET', '/api/docs/..%2f..%2fpackage.json', undefined, none)).status).toBe(404);
  });

  it('bytes that are not HTTP get the envelope too', async () => {
    const said = (what: string) =>
      new Promise<string>((resolve) => {
        const socket = connect(Number(new URL(gateway.base).port), '127.0.0.1');
        let text = '';
        socket.on('data', (chunk: Buffer) => (text += chunk.toString())).on('close', () => resolve(text));
        socket.on('error', () => undefined);
        socket.write(what);
      });
    for (const [what, status, code] of [
      ['GARBAGE\r\n\r\n', 400, 'invalid_request'],
      [`GET /api/streams HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large'],
    ] as const) {
      const [head, body] = (await said(what)).split('\r\n\r\n');
      const { error } = JSON.parse(body!);
      expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(error.code).toBe(code);
      expect(head).toContain(`\r\nx-request-id: ${error.request_id}`);
      for (const name of ['limit', 'remaining', 'reset'])
        expect(head).toMatch(new RegExp(`\r\nx-ratelimit-${name}: \\d+`));
    }
  });

  it('an address of its own is no id, whatever the method', async () => {
    for (const [method, path, allow] of [
      ['DELETE', '/api/streams/summary', 'GET'],
      ['PATCH', '/v1/api/streams/summary?x=1', 'GET'],
      ['PUT', '/api/streams/summary', 'GET'],
      ['GET', '/api/connections/test', 'POST'],
      ['DELETE', '/api/connections/test', 'POST'],
    ] as const) {
      const { status, headers } = await gateway.api(method, path);
      expect([method, path, status, headers.get('allow')]).toEqual([method, path, 405, allow]);
    }
  });

  it('who sends headers or a body too slowly is told so, and is gone, in time (trap 30)', async () => {
    const head = `POST /api/pipelines HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\n`;
    const slow = (what: string) =>
      new Promise<{ text: string; ms: number }>((resolve) => {
        const began = performance.now();
        const socket = connect(Number(new URL(gateway.base).port), '127.0.0.1');
        let text = '';
        socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
        socket.on('close', () => resolve({ text, ms: performance.now() - began }));
        socket.on('error', () => undefined);
        socket.write(what);
      });
    const answers = await Promise.all([
      slow(head),
      slow(`${head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{`),
    ]);
    for (const { text, ms } of answers) {
      expect(text).toMatch(/^HTTP\/1\.1 4\d\d /);
      expect(ms).toBeLessThan(20_000);
    }
  });

  it('every operator action stands in the audit log: who, what, before, after, from where, request id; no secret', async () => {
    const config = { host: '127.0.0.1', port: 5432, database: 'd', user: 'u', password: 'pw-canary-1' };
    const made = await gateway.api(
      'POST',
      '/api/connections',
      { name: 'audited', type: 'postgres', config },
      { 'x-request-id': 'req-audit' },
    );
    await gateway.api('PUT', `/api/connections/${made.json.id}`, {
      name: 'audited 2',
      type: 'postgres',
      config: { ...config, password: 'pw-canary-2' },
    });
    await gateway.api('DELETE', `/api/connections/${made.json.id}`);
    const { json, text } = await gateway.api('GET', '/api/audit-log');
    const of = json.data.filter((one: { resourceId: string }) => one.resourceId === made.json.id);
    expect(of.map((one: { action: string }) => one.action)).toEqual([
      'connection.delete',
      'connection.update',
      'connection.create',
    ]);
    expect(of[1]).toMatchObject({
      before: { name: 'audited' },
      after: { name: 'audited 2', secrets_changed: true },
      keyId: expect.stringMatching(/^key_/),
      address: '127.0.0.1',
    });
    expect(of[2].requestId).toBe('req-audit');
    expect(text).not.toContain('pw-canary');
    const client = await gateway.postgres.connect();
    await expect(client.query('DELETE FROM audit_log')).rejects.toThrow(/append-only/);
    await client.end();
  });

  it('a masked password that is sent back keeps the secret, but is not sent to another place, nor in the clear', async () => {
    const place = { host: '127.0.0.1', port: 5432, database: 'd', user: 'u' };
    const config = { ...place, password: 'pw-canary-3', sslMode: 'require' };
    const { json: made } = await gateway.api('POST', '/api/connections', { name: 'masked', type: 'postgres', config });
    expect(made.config.password).toBe('********');
    const kept = await gateway.api('PUT', `/api/connections/${made.id}`, {
      name: 'masked',
      type: 'postgres',
      config: { ...made.config, database: 'e' },
    });
    expect([kept.status, kept.json.config.database]).toEqual([200, 'e']);
    const { json } = await gateway.api('GET', '/api/audit-log?limit=1');
    expect(json.data[0].after.secrets_changed).toBe(false);
    const changed = (more: object) =>
      gateway.api('PUT', `/api/connections/${made.id}`, {
        name: 'masked',
        type: 'postgres',
        config: { ...made.config, ...more },
      });
    for (const [more, field] of [
      [{ host: '127.0.0.2' }, 'config.host'],
      [{ port: 5433 }, 'config.host'],
      [{ sslMode: 'prefer' }, 'config.ssl_mode'],
      [{ sslMode: undefined }, 'config.ssl_mode'],
    ] as const) {
      const refused = await changed(more);
      expect([refused.status, refused.json.error?.details[0].field]).toEqual([400, field]);
      expect((await changed({ ...more, password: 'pw-canary-4' })).status).toBe(200);
      expect((await changed({ password: 'pw-canary-3' })).status).toBe(200);
    }
    expect((await changed({ sslMode: 'verify-full' })).status).toBe(200);

    const sasl = { mechanism: 'scram-sha-512', username: 'u', password: 'pw-canary-5' };
    const kafka = { brokers: ['127.0.0.1:9092'], tls: true, sslRootCert: 'A', sasl };
    const { json: log } = await gateway.api('POST', '/api/connections', { name: 'k', type: 'kafka', config: kafka });
    for (const [more, field] of [
      [{ sslRootCert: 'B' }, 'config.ssl_root_cert'],
      [{ sslRootCert: undefined }, 'config.ssl_root_cert'],
      [{ sasl: { ...log.config.sasl, mechanism: 'plain' } }, 'config.sasl.mechanism'],
    ] as const) {
      const of = { name: 'k', type: 'kafka', config: { ...log.config, ...more } };
      const refused = await gateway.api('PUT', `/api/connections/${log.id}`, of);
      expect([refused.status, refused.json.error?.details[0].field]).toEqual([400, field]);
    }
  });
});

describe('rate limits', () => {
  let gateway: UnderTest;
  beforeAll(async () => {
    gateway = await startGateway({ RATE_LIMIT_PER_MINUTE: '5' });
  });
  afterAll(() => gateway?.end());

  it('are told on every answer, and 429 says when to come back', async () => {
    const seen: string[] = [];
    for (let i = 0; i < 5; i++) {
      const answer = await gateway.api('GET', i === 2 ? '/api/nope' : '/api/streams');
      seen.push(answer.headers.get('x-ratelimit-remaining')!);
      expect(answer.headers.get('x-ratelimit-limit')).toBe('5');
      const reset = Number(answer.headers.get('x-ratelimit-reset'));
      expect(Math.abs(reset - Date.now() / 1000 - 30)).toBeLessThan(32);
    }
    expect(seen).toEqual(['4', '3', '2', '1', '0']);
    const refused = await gateway.api('GET', '/api/streams');
    expect([refused.status, refused.json.error.code, refused.headers.get('x-ratelimit-remaining')]).toEqual([
      429,
      'rate_limited',
      '0',
    ]);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('those without a key are limited by address, others go on', async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 7; i++)
      statuses.push(
        (await gateway.api('GET', '/api/streams', undefined, { authorization: 'Bearer plnx_live_guess' })).status,
      );
    expect(statuses.slice(0, 5)).toEqual([401, 401, 401, 401, 401]);
    expect(statuses.slice(5)).toEqual([429, 429]);
  });
});

describe('stores that are down', () => {
  let gateway: UnderTest;
  beforeAll(async () => {
    gateway = await startGateway();
  });
  afterAll(() => gateway?.end());

  it('Redis down: reads are open, creates are closed with 503, and both recover by themselves (trap 36)', async () => {
    await gateway.redis.kill();
    await eventually('creates are closed', async () => {
      const answer = await gateway.api('POST', '/api/pipelines', { name: 'closed' });
      return (
        answer.status === 503 &&
        answer.json.error.code === 'limits_unavailable' &&
        Number(answer.headers.get('retry-after')) > 0
      );
    });
    const read = await gateway.api('GET', '/api/streams');
    expect([read.status, read.headers.get('x-ratelimit-limit')]).toEqual([200, '1000000']);
    const { json } = await gateway.api('GET', '/api/streams/summary');
    expect(json.data.attributes).toMatchObject({ total: 0, approx_events_per_minute: 0 });
    await gateway.redis.start();
    await eventually(
      'creates are open',
      async () => (await gateway.api('POST', '/api/pipelines', { name: 'open' })).status === 201,
    );
  });

  it('Postgres down: 503 with Retry-After within 2 s, and recovery without a restart', async () => {
    await gateway.postgres.kill();
    for (const [method, path] of [
      ['GET', '/api/streams'],
      ['POST', '/api/pipelines'],
      ['GET', '/api/audit-log'],
    ] as const) {
      const began = performance.now();
      const answer = await gateway.api(method, path, method === 'POST' ? { name: 'x' } : undefined);
      expect(performance.now() - began).toBeLessThan(2000);
      expect([answer.status, answer.json.error.code]).toEqual([503, 'store_unavailable']);
      expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
      expect(answer.headers.get('x-ratelimit-limit')).toMatch(/^\d+$/);
    }
    expect((await fetch(`${gateway.base}/health/live`)).status).toBe(200);
    expect((await fetch(`${gateway.base}/health/ready`)).status).toBe(503);
    expect((await gateway.api('GET', '/api/openapi.json', undefined, { authorization: '' })).status).toBe(200);
    await gateway.postgres.start();
    await eventually(
      'it answers again',
      async () =>
        (await gateway.api('GET', '/api/streams', undefined, { authorization: `Bearer ${KEY}` })).status === 200,
    );
  });
});
