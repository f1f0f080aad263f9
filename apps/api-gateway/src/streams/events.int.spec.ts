import { openLog } from '@planasonix/sinks';
import { eventually } from '@planasonix/testing';
import { startGateway, type UnderTest } from '../gateway-under-test.js';
import { startWorker, type FakeWorker } from '../worker-under-test.js';

jest.setTimeout(120_000);

describe('the events of a stream', () => {
  let gateway: UnderTest;
  let worker: FakeWorker;
  let pipelineId: string;
  let connectionId: string;

  beforeAll(async () => {
    gateway = await startGateway();
    worker = await startWorker(gateway.postgres.url(), gateway.redis.url);
    pipelineId = (await api('POST', '/api/pipelines', { name: 'p' })).json.id;
    const config = { host: '127.0.0.1', port: 1, database: 'd', user: 'u', password: 'pw' };
    connectionId = (await api('POST', '/api/connections', { name: 'c', type: 'postgres', config })).json.id;
  });
  afterAll(async () => {
    await worker?.end();
    await gateway?.end();
  });

  const api = (...args: Parameters<UnderTest['api']>) => gateway.api(...args);
  const made = async (name: string): Promise<string> => {
    const body = { name, sourceType: 'postgres_cdc', pipelineId, connectionId, config: { tables: ['public.t'] } };
    const answer = await api('POST', '/api/streams', body);
    expect([answer.status, answer.text]).toEqual([201, expect.any(String)]);
    return answer.json.data.id as string;
  };

  it('a look into the log keeps every digit, goes on from a cursor, and a live tail brings what comes', async () => {
    const id = await made('events');
    const log = openLog({ type: 'redis_stream' }, { redisUrl: gateway.redis.url });
    const sink = log.sink(id, 1);
    await sink.open();
    const event = (n: number) => ({
      id: `e${n}`,
      type: 'com.planasonix.row.insert',
      subject: 'public.t',
      time: '2025-01-01T00:00:00.000Z',
      timeMs: 1735689600000,
      partitionkey: `{"id":${n}}`,
      data: Buffer.from(`{"op":"c","after":{"n":${n}.10000000000000000000000000001}}`),
      order: String(n).padStart(8, '0'),
    });
    const append = (n: number) =>
      sink.append({ partition: '', events: [event(n)], position: `"${n}"` }, new AbortController().signal);
    for (const n of [1, 2, 3]) await append(n);
    const look = await api('GET', `/api/streams/${id}/events?limit=2`);
    expect(look.text).toContain('"n":3.10000000000000000000000000001');
    expect(look.json.data.map((one: { id: string }) => one.id)).toEqual(['e2', 'e3']);
    const first = look.json.data[0].attributes.cursor;
    expect(
      (await api('GET', `/api/streams/${id}/events?after=${first}`)).json.data.map((one: { id: string }) => one.id),
    ).toEqual(['e3']);
    expect((await api('GET', `/api/streams/${id}/events?after=0`)).json.data).toHaveLength(3);
    expect((await api('GET', `/api/streams/${id}/events?after=garbage`)).json.error).toMatchObject({
      code: 'invalid_cursor',
      hint: expect.stringContaining('0 is the beginning'),
    });

    const redis = gateway.redis.client();
    const tails = async () => String(await redis.client('LIST')).split('cmd=xread').length;
    const before = await tails();
    const ending = new AbortController();
    const live = await gateway.tail(`/api/streams/${id}/events`, { 'last-event-id': first }, ending.signal);
    expect(live.headers.get('content-type')).toContain('text/event-stream');
    expect(live.headers.get('x-ratelimit-limit')).toMatch(/^\d+$/);
    let text = '';
    const reading = (async () => {
      for await (const chunk of live.body as unknown as AsyncIterable<Uint8Array>)
        text += Buffer.from(chunk).toString();
    })().catch(() => undefined);
    await eventually('what was there after the cursor', () => text.includes('"id":"e3"'));
    await append(4);
    await eventually('what came since', () => text.includes('"id":"e4"'));
    expect(text).not.toContain('"id":"e2"');
    // Whoever has the head of the answer misses nothing of what is appended from then on.
    for (let n = 5; n < 13; n++) {
      const now = new AbortController();
      const next = await gateway.tail(`/api/streams/${id}/events`, {}, now.signal);
      await append(n);
      let seen = '';
      for await (const chunk of next.body as unknown as AsyncIterable<Uint8Array>) {
        seen += Buffer.from(chunk).toString();
        if (seen.includes(`"id":"e${n}"`)) break;
      }
      now.abort();
    }
    ending.abort();
    await reading;
    await eventually('the tail has ended at the server', async () => (await tails()) === before);
    const broken = await api('GET', `/api/streams/${id}/events`, undefined, {
      accept: 'text/event-stream',
      'last-event-id': 'x',
    });
    expect([broken.status, broken.json.error.code]).toEqual([400, 'invalid_cursor']);
    await sink.close();
    await log.close();
  });

  it('live tails are bounded; a HEAD opens none, for nobody would read or end it (Invariant 6)', async () => {
    const path = `/api/streams/${await made('tails')}/events`;
    for (let i = 0; i < 25; i++) {
      const head = await api('HEAD', path, undefined, { accept: 'text/event-stream' });
      expect([head.status, head.headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8']);
    }
    const ending = new AbortController();
    const tail = () => gateway.tail(path, {}, ending.signal);
    for (let i = 0; i < 20; i++) expect((await tail()).status).toBe(200);
    const refused = await tail();
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '10']);
    ending.abort();
    const again = new AbortController();
    await eventually('there is room', async () => (await gateway.tail(path, {}, again.signal)).status === 200);
    again.abort();
  });

  it('a live tail ends soon after its key was revoked (trap 35)', async () => {
    const path = `/api/streams/${await made('revoked')}/events`;
    const { json: key } = await api('POST', '/api/api-keys', { name: 'k', scopes: ['streams:read'] });
    const signal = AbortSignal.timeout(60_000);
    const live = await gateway.tail(path, { authorization: `Bearer ${key.key}` }, signal);
    expect(live.status).toBe(200);
    expect((await api('DELETE', `/api/api-keys/${key.id}`)).status).toBe(200);
    // Resolves when the server ends it, throws when the time is up.
    expect(await live.text()).toContain(': connected');
  });
});
