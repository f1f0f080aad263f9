import { joinSecrets, SecretBox } from '@planasonix/store';
import { allRoutes } from '../contract/route.js';
import { ENCRYPTION_KEY, startGateway, type UnderTest } from '../gateway-under-test.js';
import { startWorker, WEBHOOK, type FakeWorker } from '../worker-under-test.js';

jest.setTimeout(120_000);

const MASK = '********';

describe('streams that take deliveries in', () => {
  let gateway: UnderTest;
  let worker: FakeWorker;
  let pipelineId: string;
  let named = 0;

  beforeAll(async () => {
    gateway = await startGateway();
    worker = await startWorker(gateway.postgres.url(), gateway.redis.url, WEBHOOK);
    pipelineId = (await gateway.api('POST', '/api/pipelines', { name: 'p' })).json.id;
  });
  afterAll(async () => {
    await worker?.end();
    await gateway?.end();
  });

  const made = async (auth: object): Promise<string> => {
    const body = { name: `hook ${++named}`, sourceType: 'webhook', pipelineId, config: { auth } };
    const { status, text, json } = await gateway.api('POST', '/api/streams', body);
    expect([status, text]).toEqual([201, expect.any(String)]);
    return json.data.id as string;
  };
  const bearer = (...tokens: string[]) => made({ type: 'bearer', tokens });
  const rotate = (id: string, body: object, headers?: Record<string, string>) =>
    gateway.api('POST', `/api/streams/${id}/rotate-secret`, body, headers);
  const patch = (id: string, config: object) => gateway.api('PATCH', `/api/streams/${id}`, { config });
  /** The config as the door has it. */
  const live = async (id: string) => {
    const client = await gateway.postgres.connect();
    const { rows } = await client.query('SELECT config, secrets FROM streams WHERE id = $1', [id]);
    await client.end();
    const { config, secrets } = rows[0] as { config: Record<string, unknown>; secrets: string };
    return joinSecrets(config, new SecretBox(ENCRYPTION_KEY).open(secrets, `streams:${id}`)) as {
      auth: { tokens: string[]; users: unknown };
      max_body_bytes?: number;
    };
  };

  it('a change of the config that began before a rotation does not bring the old secret back', async () => {
    const id = await bearer('the-old-one');
    let asked = 0;
    let go = () => {};
    const rotated = new Promise<void>((resolve) => (go = resolve));
    let arrive = () => {};
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    worker.answer = async () => {
      if (++asked === 1) {
        arrive();
        await rotated;
      }
      return { ok: true, checks: [] };
    };
    const changed = patch(id, { max_body_bytes: 1000 });
    await arrived;
    const { status, json } = await rotate(id, { overlap: '0s' });
    go();
    expect([status, (await changed).status]).toEqual([200, 200]);
    worker.answer = () => Promise.resolve({ ok: true, checks: [] });
    const { auth, max_body_bytes } = await live(id);
    expect([auth.tokens, max_body_bytes]).toEqual([[json.data.attributes.secret], 1000]);
  });

  it('a list of masks of another length than what is live is refused, and so is a mask beside another name', async () => {
    const id = await bearer('the-old-one');
    const { json } = await rotate(id, { overlap: '1h' });
    const refused = await patch(id, { auth: { type: 'bearer', tokens: [MASK] } });
    expect([refused.status, refused.json.error?.details, refused.json.error?.hint]).toEqual([
      400,
      [{ field: 'config.auth.tokens', issue: 'must be the secret itself' }],
      expect.stringContaining('same length'),
    ]);
    expect((await patch(id, { auth: { type: 'bearer', tokens: [MASK, MASK] } })).status).toBe(200);
    expect((await live(id)).auth.tokens).toEqual([json.data.attributes.secret, 'the-old-one']);

    const alice = { username: 'alice', password: 'of-alice' };
    const users = await made({ type: 'basic', users: [alice, { username: 'bob', password: 'of-bob' }] });
    const auth = (...of: object[]) => ({ auth: { type: 'basic', users: of } });
    const stranger = await patch(users, auth({ username: 'carol', password: MASK }));
    expect([stranger.status, stranger.json.error?.details[0].field]).toEqual([400, 'config.auth.users.0.password']);
    expect((await patch(users, auth({ username: 'bob', password: MASK }))).status).toBe(200);
    expect((await live(users)).auth.users).toEqual([{ username: 'bob', password: 'of-bob' }]);
  });

  it('the OpenAPI document has the door where the addresses of streams lead', async () => {
    const { json } = await gateway.api('GET', `/api/streams/${await bearer('a-token')}`);
    const { paths } = (await gateway.api('GET', '/api/openapi.json')).json;
    const [path, { servers }] = Object.entries<{ servers: { url: string }[] }>(paths).find(([, of]) => of.servers)!;
    const token = json.data.attributes.ingest_url.split('/').at(-1);
    expect(servers[0]!.url + path.replace('{token}', token)).toBe(json.data.attributes.ingest_url);
  });

  it('a secret that is made is one in the encoding that the scheme reads', async () => {
    const secretOf = async (auth: object) =>
      (await rotate(await made({ type: 'hmac', secrets: ['0a1b'], ...auth }), {})).json.data.attributes.secret;
    expect(await secretOf({ secret_encoding: 'hex' })).toMatch(/^[0-9a-f]{64}$/);
    expect(await secretOf({ secret_encoding: 'base64' })).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(await secretOf({})).toMatch(/^whsec_/);
  });

  it('a mask is no new secret', async () => {
    const id = await bearer('the-old-one');
    const { status, json } = await rotate(id, { secret: MASK, overlap: '0s' });
    expect([status, json.error?.details]).toEqual([400, [{ field: 'secret', issue: 'must be the secret itself' }]]);
    expect((await live(id)).auth.tokens).toEqual(['the-old-one']);
  });

  it('of a stream that was never started there are no deliveries, or those that were refused, newest first', async () => {
    const id = await bearer('the-old-one');
    const listed = async (query = '') => {
      const { status, json } = await gateway.api('GET', `/api/streams/${id}/deliveries${query}`);
      return [status, json.data];
    };
    expect(await listed()).toEqual([200, []]);
    const note = (at: string, reason: string) => ({ at, status: 404, reason, event_id: null, id: null });
    const notes = ['token_missing', 'keys_unavailable', 'log_unavailable', 'of_a_later_version', 'constructor'].map(
      (reason, i) => note(`2026-11-30T08:00:0${i}.000Z`, reason),
    );
    await gateway.redis.client().rpush(`plnx:answers:{${id}}`, ...notes.map((one) => JSON.stringify(one)));
    const hints = [/header/, /jwks_url/, /Redis or Kafka/].map((said) => expect.stringMatching(said) as unknown);
    const shown = notes.map(({ id: event, ...of }, i) => {
      return { id: event, type: 'delivery', attributes: { ...of, hint: hints[i] ?? null } };
    });
    expect(await listed()).toEqual([200, shown.reverse()]);
  });

  it.each([
    [{ kind: 'waiting' }, 503, 'log_full'],
    [{ kind: 'unserved', code: 'secrets_sealed' }, 409, 'secrets_sealed'],
    [{ kind: 'unserved', code: 'config_invalid' }, 409, 'config_invalid'],
    [{ kind: 'unserved' }, 409, 'config_invalid'],
    [{ kind: 'unreachable' }, 503, 'worker_busy'],
    [null, 503, 'worker_busy'],
  ])('why a test delivery has no answer is told: %j', async (answer, status, code) => {
    const id = await bearer('the-old-one');
    worker.answer = () => Promise.resolve(answer);
    const told = await gateway.api('POST', `/api/streams/${id}/test-event`);
    worker.answer = () => Promise.resolve({ ok: true, checks: [] });
    expect([told.status, told.json.error?.code]).toEqual([status, code]);
  });

  it('what failed is listed by itself: among it what a version before wrote among the others', async () => {
    const id = await bearer('the-old-one');
    const note = (at: string, status: number) => ({ at, status, reason: null, event_id: null, id: null });
    const second = (n: number) => `2026-11-30T08:00:${String(n).padStart(2, '0')}.000Z`;
    const notes = [note(second(2), 429), ...Array.from({ length: 55 }, (_, n) => note(second(n + 3), 200))];
    const redis = gateway.redis.client();
    await redis.rpush(`plnx:answers:{${id}}`, ...notes.map((one) => JSON.stringify(one)));
    await redis.rpush(`plnx:answers:{${id}}:failed`, ...[1, 4].map((n) => JSON.stringify(note(second(n), 401))));
    const listed = async (query: string) => {
      const { status, json } = await gateway.api('GET', `/api/streams/${id}/deliveries${query}`);
      if (status !== 200) return json.error.details;
      return json.data.map(({ attributes }: { attributes: { at: string; status: number } }) => [
        ...[attributes.at, attributes.status],
      ]);
    };
    const failed = [
      [second(4), 401],
      [second(2), 429],
      [second(1), 401],
    ];
    expect(await listed('?failed=true')).toEqual(failed);
    expect(await listed('?failed=true&limit=2')).toEqual(failed.slice(0, 2));
    expect(await listed('?failed=false&limit=100')).toHaveLength(58);
    expect(await listed('?failed=1')).toEqual([{ field: 'failed', issue: expect.any(String) }]);
  });

  it('every answer that holds a secret is kept for a repetition, the very same, and nothing is made twice', async () => {
    const id = await bearer('the-old-one');
    const { json: key } = await gateway.api('POST', '/api/api-keys', { name: 'k', scopes: ['streams:read'] });
    const calls: Readonly<Record<string, [string, object]>> = {
      rotateStreamSecret: [`/api/streams/${id}/rotate-secret`, { overlap: '1h' }],
      createApiKey: ['/api/api-keys', { name: 'kept', scopes: ['streams:read'] }],
      rotateApiKey: [`/api/api-keys/${key.id}/rotate`, {}],
      createWorkspace: ['/api/workspaces', { name: 'kept' }],
    };
    const routes = allRoutes().filter(({ secretAnswer }) => secretAnswer);
    expect(routes.map((one) => one.id).sort()).toEqual(Object.keys(calls).sort());
    for (const [route, [path, body]] of Object.entries(calls)) {
      const once = { 'idempotency-key': `kept-${route}` };
      const first = await gateway.api('POST', path, body, once);
      const again = await gateway.api('POST', path, body, once);
      expect([route, first.status < 300, again.status]).toEqual([route, true, first.status]);
      expect([again.headers.get('idempotency-replayed'), again.json]).toEqual(['true', first.json]);
    }
    expect((await live(id)).auth.tokens).toHaveLength(2);
  });
});
