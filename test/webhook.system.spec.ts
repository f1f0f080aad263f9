/** Webhooks through the whole product: `npm start`, the API, and senders that keep account of what was confirmed. */
import { createHmac } from 'node:crypto';
import { becomes, eventually, startPostgres, startRedis } from '@planasonix/testing';
import { makePipeline } from './shop.js';
import { startStack, type Stack } from './stack.js';

jest.setTimeout(300_000);

const SECRET = 'the secret of this sender';

interface Sent {
  readonly status: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly json: any;
}

async function deliver(url: string, body: string, of: { secret?: string; eventId?: string } = {}): Promise<Sent> {
  const at = String(Math.floor(Date.now() / 1000));
  const mac = createHmac('sha256', of.secret ?? SECRET)
    .update(`${at}.${body}`)
    .digest('hex');
  const answer = await fetch(url, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-planasonix-timestamp': at,
      'x-planasonix-signature': `v1=${mac}`,
      ...(of.eventId ? { 'x-planasonix-event-id': of.eventId } : {}),
    },
    signal: AbortSignal.timeout(15_000),
  });
  return { status: answer.status, json: await answer.json() };
}

describe('webhooks', () => {
  let postgres: Awaited<ReturnType<typeof startPostgres>>;
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let stack: Stack;
  let pipelineId: string;

  beforeAll(async () => {
    [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
    stack = await startStack({
      databaseUrl: postgres.url(),
      redisUrl: redis.url,
      env: { WORKERS: '2', CONNECTORS: 'webhook-ingest' },
    });
    pipelineId = await makePipeline(stack);
  });
  afterAll(async () => {
    await stack.stop();
    await Promise.all([redis.stop(), postgres.stop('immediate')]);
  });

  async function running(name: string, config: object = {}, into = pipelineId): Promise<{ id: string; url: string }> {
    const auth = { type: 'preset', preset: 'planasonix', secrets: [SECRET] };
    const body = { name, sourceType: 'webhook', pipelineId: into, config: { auth, ...config } };
    const made = await stack.api('POST', '/api/streams', body);
    expect([made.status, made.text]).toEqual([201, expect.anything()]);
    expect(made.text).not.toContain(SECRET);
    expect(made.a.config.auth.secrets).toEqual(['********']);
    expect((await stack.api('POST', `/api/streams/${made.id}/start`)).a.status).toBe('starting');
    await eventually('it runs', async () => (await stack.api('GET', `/api/streams/${made.id}`)).a.status === 'running');
    const url = made.a.ingest_url as string;
    await eventually('its door is known', async () => (await deliver(url, '{}', { secret: 'nobody' })).status !== 404, {
      timeoutMs: 60_000,
    });
    return { id: made.id, url };
  }
  const eventIds = async (id: string): Promise<string[]> => {
    const entries = (await redis.client().xrange(`plnx:events:{${id}}`, '-', '+')) as [string, string[]][];
    return entries.map(([, fields]) => fields[fields.indexOf('id') + 1]!);
  };

  it('a scheme of the user’s own: refused at its key where it contradicts itself, else it proves deliveries', async () => {
    const own = { type: 'hmac', signatureHeader: 'X-Acme-Signature', secretEncoding: 'hex', secrets: ['0a1b2c'] };
    const refused = async (of: object) => {
      const body = { name: 'own', sourceType: 'webhook', pipelineId, config: { auth: { ...own, ...of } } };
      const { status, json } = await stack.api('POST', '/api/streams', body);
      return [status, json.error.details[0].field, json.error.hint ?? json.error.message];
    };
    const told = (text: string) => expect.stringContaining(text) as unknown;
    expect(await refused({ signed: '{id}.{body}' })).toEqual([400, 'config.auth.id_header', told('is required')]);
    expect(await refused({ secrets: ['0a', 'no hex'] })).toEqual([400, 'config.auth.secrets.1', told('hex')]);
    expect(await refused({ signed: '{nope}.{body}' })).toEqual([400, 'config.auth.signed', told('{timestamp}')]);
    expect(await refused({ idHeader: 'X-Id' })).toEqual([400, 'config', told('auth.signed: has to name {id}')]);

    const pairs = { signaturePair: 'v1', timestampPair: 't', idHeader: 'X-Acme-Id', signed: '{id}.{timestamp}.{body}' };
    const { id } = await running('own', { auth: { ...own, ...pairs } });
    const tried = async () => (await stack.api('POST', `/api/streams/${id}/test-event`)).a;
    const { event_id, ...of } = await tried();
    expect(of).toMatchObject({ delivered: true, answer: { received: true, id: `${id}/${event_id}` } });
    const { secret } = (await stack.api('POST', `/api/streams/${id}/rotate-secret`)).a;
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    expect(await tried()).toMatchObject({ delivered: true });
  });

  it('from the making of a stream to its events, its secrets and its addresses', async () => {
    const types = (await stack.api('GET', '/api/source-types')).json.data as { id: string }[];
    expect(JSON.stringify(types)).toContain('webhook');
    const { id, url } = await running('hooks');
    const first = await deliver(url, '{"n":1}', { eventId: 'evt_1' });
    expect(first).toEqual({ status: 200, json: { received: true, id: `${id}/evt_1` } });
    expect(await deliver(url, '{"n":1}', { eventId: 'evt_1' })).toEqual({
      status: 200,
      json: { received: true, id: `${id}/evt_1`, duplicate: true },
    });
    expect((await deliver(url, '{"n":2}', { secret: 'another secret' })).status).toBe(401);
    const events = await stack.api('GET', `/api/streams/${id}/events`);
    expect(events.json.data).toHaveLength(1);
    expect(events.json.data[0].attributes.data).toMatchObject({ body: { n: 1 }, event_id: 'evt_1' });

    const rotated = await stack.api('POST', `/api/streams/${id}/rotate-secret`, { overlap: '1h' });
    expect(rotated.a).toMatchObject({ live_secrets: 2, earlier_until: expect.any(String) });
    await eventually('the new secret is taken', async () => {
      const { status } = await deliver(url, '{"n":3}', { secret: rotated.a.secret, eventId: 'evt_3' });
      return status === 200;
    });
    expect((await deliver(url, '{"n":4}', { eventId: 'evt_4' })).status).toBe(200);

    // What can be no secret of its vendor is refused at its place before there is a stream.
    const loose = { type: 'preset', preset: 'svix', secrets: ['whsec_AQIDBA==', 'whsec_not base64!'] };
    const body = { name: 'loose', sourceType: 'webhook', pipelineId, config: { auth: loose } };
    const refused = await stack.api('POST', '/api/streams', body);
    expect([refused.status, refused.json.error.details]).toEqual([
      400,
      [{ field: 'config.auth.secrets.1', issue: 'is not in the documented form' }],
    ]);
    expect(refused.json.error.hint).toContain('base64');

    const keyed = { type: 'preset', preset: 'discord', secrets: ['ab'.repeat(32)] };
    const other = await running('keyed', { auth: keyed });
    // A made-up secret is no public key: it is refused, and the door stays open.
    expect((await stack.api('POST', `/api/streams/${other.id}/rotate-secret`)).status).toBe(400);
    expect((await deliver(other.url, '{}')).status).toBe(401);
    expect((await stack.api('POST', `/api/streams/${other.id}/test-event`)).json.error.code).toBe('sample_unsupported');

    const test = await stack.api('POST', `/api/streams/${id}/test-event`);
    expect(test.a).toMatchObject({ delivered: true, status: 200, answer: { received: true } });

    const rolled = await stack.api('POST', `/api/streams/${id}/rotate-ingest-url`);
    expect(rolled.a.ingest_url).not.toBe(url);
    await eventually('the old address is unknown', async () => (await deliver(url, '{}')).status === 404, {
      timeoutMs: 60_000,
    });
    expect((await deliver(rolled.a.ingest_url, '{"n":5}', { eventId: 'evt_5' })).status).toBe(200);
    await eventually('deliveries tell what became of them', async () => {
      const { json } = await stack.api('GET', `/api/streams/${id}/deliveries`);
      const reasons = (json.data as { attributes: { reason: string | null } }[]).map((one) => one.attributes.reason);
      return reasons.includes('signature_wrong') && reasons.includes('duplicate') && reasons.includes(null);
    });
    await eventually('the counters agree with the log', async () => {
      const { a } = await stack.api('GET', `/api/streams/${id}/metrics?window=1m`);
      return a.total_events === (await eventIds(id)).length && a.lag_seconds === 0 && a.lag_certain && a.last_event_at;
    });
    expect((await stack.api('POST', `/api/streams/${id}/stop`)).a.status).toBe('stopped');
    expect((await deliver(rolled.a.ingest_url, '{"n":6}')).status).toBe(503);
    expect((await stack.api('DELETE', `/api/streams/${id}`)).a.deleted).toBe(true);
    expect(stack.log()).not.toContain(SECRET);
  });

  it('what was dropped and what was rejected is counted, apart, and told over the API', async () => {
    const tight = { type: 'redis_stream', retention: { max_entries: 2, on_full: 'block' } };
    const [shedding, rejecting] = [
      await running('shedding', { backpressure: 'shed' }, await makePipeline(stack, 'tight', tight)),
      await running('rejecting', {}, await makePipeline(stack, 'tight too', tight)),
    ];
    const statuses = async ({ url }: { url: string }) => {
      const found: number[] = [];
      for (let n = 0; n < 5; n++) found.push((await deliver(url, `{"n":${n}}`)).status);
      return found;
    };
    expect(await statuses(shedding)).toEqual([200, 200, 200, 200, 200]);
    expect(await statuses(rejecting)).toEqual([200, 200, 429, 429, 429]);
    expect((await deliver(shedding.url, '{}', { secret: 'nobody' })).status).toBe(401);
    // What came while they were starting may be counted too, and later: the list says what that was.
    const counted = async ({ id }: { id: string }) => {
      const answers = await Promise.all(
        ['metrics', 'deliveries'].map((of) => stack.api('GET', `/api/streams/${id}/${of}`)),
      );
      const { total_events: taken, dropped_events: dropped, rejected_events: rejected } = answers[0]!.a;
      const listed = (answers[1]!.json.data as { attributes: { status: number; reason: string | null } }[]).map(
        ({ attributes }) => attributes,
      );
      const refused = listed.filter(({ status }) => status >= 400 && status < 500);
      const because = (reason: string) => listed.filter((one) => one.reason === reason).length;
      return {
        ...{ taken, dropped, rejected: rejected - refused.length },
        listed: { dropped: because('dropped'), full: because('log_full') },
      };
    };
    const asListed = { taken: 2, rejected: 0 };
    await becomes(() => counted(shedding), { ...asListed, dropped: 3, listed: { dropped: 3, full: 0 } });
    await becomes(() => counted(rejecting), { ...asListed, dropped: 0, listed: { dropped: 0, full: 3 } });
  });

  it('every delivery that was confirmed is in the log once, whatever is killed meanwhile (traps 29 and 38)', async () => {
    const { id, url } = await running('killed');
    const confirmed = new Map<string, string>();
    let [stop, next] = [false, 0];
    const senders = Array.from({ length: 8 }, async () => {
      while (!stop) {
        const name = `evt_${next++}`;
        // A sender repeats until it is told yes, as vendors do.
        for (let sent = false; !sent && !stop;) {
          const answer = await deliver(url, JSON.stringify({ name }), { eventId: name }).catch(() => null);
          sent = answer?.status === 200;
          if (sent) confirmed.set(name, answer!.json.id);
          else await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    });
    const more = (count: number) => {
      const before = confirmed.size;
      return eventually('deliveries are confirmed', () => Promise.resolve(confirmed.size >= before + count), {
        timeoutMs: 60_000,
      });
    };
    for (let round = 0; round < 3; round++) {
      await more(200);
      for (const pid of stack.pids('webhook-ingest')) process.kill(pid, 'SIGKILL');
      await more(200);
      await redis.kill();
      await redis.start();
      await more(200);
    }
    await postgres.kill();
    // The store is not on the way of a delivery.
    await more(100);
    await postgres.start();
    stop = true;
    await Promise.all(senders);
    const found = await eventIds(id);
    expect(new Set(found).size).toBe(found.length);
    const there = new Set(found);
    expect([...confirmed.values()].filter((one) => !there.has(one))).toEqual([]);
  });
});
