import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { PATTERNS } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { Redis } from 'ioredis';
import {
  ingestWorld,
  planasonix,
  post,
  signedHeaders,
  type HookStream,
  type IngestWorld,
  type Instance,
} from './ingest-under-test.js';

jest.setTimeout(120_000);

describe('deliveries', () => {
  let world: IngestWorld;
  let [one, two]: Instance[] = [];

  beforeAll(async () => {
    world = await ingestWorld();
    [one, two] = await Promise.all([world.instance(), world.instance()]);
  });
  afterAll(() => world.end());

  const served = (config: Record<string, unknown> = {}, output?: object) => world.running(config, output);
  const ids = async ({ id }: HookStream) => (await world.entries(id)).map((entry) => entry.id.slice(id.length + 1));
  const named = (body: string, name: string) => ({ ...signedHeaders(body), 'x-planasonix-event-id': name });

  describe('that come again (trap 29)', () => {
    it('fifty equal posts at once, at two instances, are one event and fifty 200s', async () => {
      const stream = await served();
      const headers = signedHeaders('{"n":1}');
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, i) => post(i % 2 ? one! : two!, stream, '{"n":1}', headers)),
      );
      expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
      expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1);
      expect(answers.filter(({ json }) => json.duplicate === true)).toHaveLength(49);
      expect(await world.entries(stream.id)).toHaveLength(1);
    });

    it('are known by their id also under a new timestamp', async () => {
      const stream = await served();
      const [now, before] = [Date.now(), Date.now() - 60_000];
      for (const at of [before, now]) {
        const headers = { ...signedHeaders('{}', undefined, at), 'x-planasonix-event-id': 'evt/1' };
        expect((await post(one!, stream, '{}', headers)).json.id).toBe(`${stream.id}/evt%2f.1`);
      }
      expect(await ids(stream)).toEqual(['evt%2f.1']);
    });

    it('an id that is not signed can be forged, and keeps no other delivery out', async () => {
      const stream = await served();
      expect((await post(one!, stream, '{"forged":1}', named('{"forged":1}', 'a'))).json.duplicate).toBeUndefined();
      const real = await post(one!, stream, '{"real":1}', named('{"real":1}', 'a'));
      expect(real.json).toEqual({ received: true, id: expect.stringMatching(/\/a~[\w-]{12}$/) });
      expect((await post(two!, stream, '{"real":1}', named('{"real":1}', 'a'))).json).toEqual({
        ...real.json,
        duplicate: true,
      });
      expect(await world.entries(stream.id)).toHaveLength(2);
    });

    it('where the id is signed it alone counts: the first one wins', async () => {
      const secret = 'whsec_test';
      const stream = await served({ auth: { type: 'preset', preset: 'stripe', secrets: [secret] } });
      const send = (body: string, at: number) => {
        const time = Math.floor(at / 1000);
        const mac = createHmac('sha256', secret).update(`${time}.${body}`).digest('hex');
        return post(one!, stream, body, { 'stripe-signature': `t=${time},v1=${mac}` });
      };
      const first = await send('{"id":"evt_1","type":"made","attempt":1}', Date.now() - 5_000);
      const second = await send('{"id":"evt_1","type":"made","attempt":2}', Date.now());
      expect(second.json).toEqual({ ...first.json, duplicate: true });
      const [entry] = await world.entries(stream.id);
      expect(JSON.parse(entry!.data)).toMatchObject({ event_id: 'evt_1', event_type: 'made', body: { attempt: 1 } });
    });

    it('without an id, equal bodies at two times are two deliveries', async () => {
      const stream = await served();
      for (const at of [Date.now() - 2_000, Date.now()])
        await post(one!, stream, '{"ping":1}', signedHeaders('{"ping":1}', undefined, at));
      expect(await world.entries(stream.id)).toHaveLength(2);
    });
  });

  describe('that are taken apart', () => {
    it('each element is an event under the id of the delivery, in order, with a key of its own', async () => {
      const stream = await served({ expand_array: true, ordering_key: { json_pointer: '/k' } });
      const body = '[{"k":"a","n":1.10}, {"k":2}, "x"]';
      const answer = await post(one!, stream, body, named(body, 'batch'));
      expect(answer.json).toEqual({ received: true, id: `${stream.id}/batch`, events: 3 });
      const entries = await world.entries(stream.id);
      expect(await ids(stream)).toEqual(['batch/0', 'batch/1', 'batch/2']);
      expect(entries.map((entry) => entry.partitionkey)).toEqual(['a', '2', '']);
      expect(entries[0]!.data.startsWith('{"body":{"k":"a","n":1.10},')).toBe(true);
      const lines = '{"k":"l1"}\n\n{"k":"l2"}\r\n';
      const headers = { ...named(lines, 'lines'), 'content-type': 'application/x-ndjson' };
      expect((await post(one!, stream, lines, headers)).json.events).toBe(2);
    });

    it('one that is broken in one line is refused as a whole', async () => {
      const stream = await served({ expand_array: true });
      for (const [body, type] of [
        ['{"a":1}\n{"b":', 'application/x-ndjson'],
        ['[1,2', 'application/json'],
        ['no json', 'application/json'],
      ] as const)
        expect((await post(one!, stream, body, { ...signedHeaders(body), 'content-type': type })).status).toBe(400);
      expect(await world.entries(stream.id)).toEqual([]);
    });
  });

  describe('without room in the log', () => {
    const full = { type: 'redis_stream', retention: { max_entries: 2, on_full: 'block' } };
    const fill = async (stream: HookStream) => {
      for (const body of ['1', '2']) expect((await post(one!, stream, body, signedHeaders(body))).status).toBe(200);
    };

    it('reject says 429 and when to come again; what was refused is taken in later', async () => {
      const stream = await served({}, full);
      await fill(stream);
      const headers = signedHeaders('3');
      const answer = await post(one!, stream, '3', headers);
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, expect.stringMatching(/^\d+$/)]);
      await eventually('the stream says so', async () => (await world.row(stream.id)).blocked !== null);
      await world.redis.client().xtrim(`plnx:events:{${stream.id}}`, 'MAXLEN', 1);
      expect((await post(one!, stream, '3', headers)).json.duplicate).toBeUndefined();
      await eventually('and no longer', async () => (await world.row(stream.id)).blocked === null);
    });

    it('queue waits for room, and gives up in time', async () => {
      const stream = await served({ backpressure: 'queue', queue_timeout: '1s' }, full);
      await fill(stream);
      const began = performance.now();
      const late = await post(one!, stream, '3');
      expect([late.status, late.headers.get('retry-after')]).toEqual([429, '5']);
      expect(performance.now() - began).toBeGreaterThan(990);
      const patient = await served({ backpressure: 'queue', queue_timeout: '20s' }, full);
      await fill(patient);
      const waiting = post(one!, patient, '4');
      await world.redis.client().xtrim(`plnx:events:{${patient.id}}`, 'MAXLEN', 1);
      expect((await waiting).status).toBe(200);
    });

    it('queue lets nobody overtake one who waits (Invariant 5)', async () => {
      const stream = await served({ backpressure: 'queue', queue_timeout: '20s' }, full);
      await fill(stream);
      const waiting = post(one!, stream, '3');
      await eventually('it waits', async () => (await world.row(stream.id)).blocked !== null);
      await world.redis.client().xtrim(`plnx:events:{${stream.id}}`, 'MAXLEN', 0);
      const ids = [await post(one!, stream, '4'), await waiting].map(({ json }) => json.id);
      expect((await world.entries(stream.id)).map(({ id }) => id)).toEqual(ids.reverse());
    });

    it('what waits is held as large as it is inflated, within the memory of one stream', async () => {
      const stream = await served({ backpressure: 'queue', queue_timeout: '3s', max_body_bytes: 21_000_000 }, full);
      await fill(stream);
      const large = gzipSync(JSON.stringify('x'.repeat(20_000_000)));
      const headers = { 'content-encoding': 'gzip', ...signedHeaders(large) };
      const answers = await Promise.all(Array.from({ length: 16 }, () => post(one!, stream, large, headers)));
      const waited = answers.filter(({ status }) => status === 429).length;
      expect(waited).toBeGreaterThan(0);
      expect(waited).toBeLessThanOrEqual(7);
      const busy = answers.filter(({ status, json }) => status === 503 && json.error.code === 'busy');
      expect(busy).toHaveLength(16 - waited);
      expect((await post(one!, await served(), '1')).status).toBe(200);
      // All of it was given back.
      expect((await post(one!, stream, large, headers)).status).toBe(429);
    });

    it('shed says yes, and counts what was dropped', async () => {
      const stream = await served({ backpressure: 'shed' }, full);
      await fill(stream);
      for (const body of ['3', '4', '5']) expect((await post(one!, stream, body)).status).toBe(200);
      expect(await world.entries(stream.id)).toHaveLength(2);
      await eventually(
        'they are counted',
        async () => (await world.redis.client().hget(`plnx:counts:{${stream.id}}`, 'c:dropped')) === '3',
      );
    });
  });

  it('beyond its rate a stream says 429, and the others do not', async () => {
    const [slow, other] = [await served({ rate_limit_per_second: 5 }), await served()];
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => post(one!, slow, `{"n":${n}}`)));
    const taken = answers.filter(({ status }) => status === 200).length;
    expect(taken).toBeLessThanOrEqual(5 + 5 * Math.ceil((performance.now() - began) / 1_000));
    const limited = answers.filter(({ status }) => status === 429);
    expect(limited).toHaveLength(30 - taken);
    expect(limited.map(({ headers, json }) => [json.error.code, headers.get('retry-after')])).toEqual(
      limited.map(() => ['rate_limited', '1']),
    );
    expect(taken).toBeLessThan(30);
    expect((await post(one!, other, '{"n":1}')).status).toBe(200);
  });

  it('the rate of an address is that of the sender, where a trusted proxy tells it', async () => {
    const stream = await served();
    const limits = { INGEST_ADDRESS_RATE: '2' };
    const [behind, open] = [
      await world.instance({ ...limits, INGEST_TRUSTED_PROXIES: '127.0.0.1' }),
      await world.instance(limits),
    ];
    const from = async (at: Instance, address: string) => {
      const body = JSON.stringify({ address, at: at.base, n: Math.random() });
      return (await post(at, stream, body, { ...signedHeaders(body), 'x-forwarded-for': address })).status;
    };
    const addresses = Array.from({ length: 8 }, (_, i) => `198.51.100.${i}`);
    const each = (at: Instance) => Promise.all(addresses.map((address) => from(at, address)));
    for (const at of [behind, open]) await eventually('it is served', () => Promise.resolve(at.serves(stream.id)));
    expect(await each(behind)).toEqual(Array(8).fill(200));
    expect(await each(open)).toContain(429);
    const forged = Promise.all(addresses.map((address) => from(behind, `${address}, 203.0.113.1`)));
    expect(await forged).toContain(429);
  });

  it('handshakes are answered and are no events', async () => {
    const secret = 'slack and zoom';
    const time = String(Math.floor(Date.now() / 1000));
    const mac = (body: string) => `v0=${createHmac('sha256', secret).update(`v0:${time}:${body}`).digest('hex')}`;
    const slack = await served({ auth: { type: 'preset', preset: 'slack', secrets: [secret] } });
    const challenge = '{"type":"url_verification","challenge":"c1"}';
    const slackHeaders = { 'x-slack-request-timestamp': time, 'x-slack-signature': mac(challenge) };
    expect(await post(one!, slack, challenge, slackHeaders)).toMatchObject({ status: 200, json: { challenge: 'c1' } });
    expect((await post(one!, slack, challenge, {})).status).toBe(401);
    const zoom = await served({ auth: { type: 'preset', preset: 'zoom', secrets: ['another', secret] } });
    // By the secret that it was signed with, which need not be the first.
    const validation = '{"event":"endpoint.url_validation","payload":{"plainToken":"p"}}';
    const zoomHeaders = { 'x-zm-request-timestamp': time, 'x-zm-signature': mac(validation) };
    expect((await post(one!, zoom, validation, zoomHeaders)).json).toEqual({
      plainToken: 'p',
      encryptedToken: createHmac('sha256', secret).update('p').digest('hex'),
    });
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(12).toString('hex');
    const discord = await served({ auth: { type: 'preset', preset: 'discord', secrets: [key] } });
    const ping = (body: string) =>
      post(one!, discord, body, {
        'x-signature-timestamp': time,
        'x-signature-ed25519': sign(null, Buffer.from(time + body), privateKey).toString('hex'),
      });
    expect(await ping('{"version":1,"application_id":"1","type":0}')).toMatchObject({ status: 204, json: null });
    expect(await ping('{"version":1,"id":"1","type":1}')).toMatchObject({ status: 200, json: { type: 1 } });
    for (const { id } of [slack, zoom, discord]) expect(await world.entries(id)).toEqual([]);
  });

  it('bearer, basic and several live secrets', async () => {
    const bearer = await served({ auth: { type: 'bearer', tokens: ['t1', 't2'] } });
    const basic = await served({ auth: { type: 'basic', users: [{ username: 'u', password: 'p:w' }] } });
    const both = await served({ auth: { ...planasonix, secrets: ['the new one', 'the old one'] } });
    const of = async (stream: HookStream, authorization: string) =>
      (await post(one!, stream, JSON.stringify(authorization), { authorization })).status;
    expect(await of(bearer, 'Bearer t2')).toBe(200);
    expect(await of(bearer, 'bearer t1')).toBe(200);
    expect(await of(bearer, 'Bearer t')).toBe(401);
    expect(await of(basic, `Basic ${Buffer.from('u:p:w').toString('base64')}`)).toBe(200);
    expect(await of(basic, `Basic ${Buffer.from('u:').toString('base64')}`)).toBe(401);
    for (const secret of ['the new one', 'the old one'])
      expect((await post(one!, both, `"${secret}"`, signedHeaders(`"${secret}"`, secret))).status).toBe(200);
    for (const stream of [bearer, basic])
      expect(
        (await world.entries(stream.id)).some((entry) =>
          /authorization/i.test(JSON.stringify(JSON.parse(entry.data).headers)),
        ),
      ).toBe(false);
  });

  it('a secret that has ended is not taken any more, at the moment when it ends', async () => {
    const end = new Date(Date.now() + 5_000).toISOString();
    const auth = { ...planasonix, secrets: ['the new one', 'the old one'], secrets_until: [null, end] };
    const stream = await served({ auth });
    const old = async (n: number) => (await post(one!, stream, `${n}`, signedHeaders(`${n}`, 'the old one'))).status;
    expect(await old(1)).toBe(200);
    await eventually('it has ended', async () => (await old(Date.now())) === 401);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(end));
    expect((await post(one!, stream, '{}', signedHeaders('{}', 'the new one'))).status).toBe(200);
  });

  it('what two instances count is one stream of reports, none lost and none twice (trap 37)', async () => {
    const stream = await served();
    const listener = new Redis(world.redis.url);
    const reports: { sequence: number; total_events: number; rejected_events: number; stream_id: string }[] = [];
    await listener.subscribe(PATTERNS.counters);
    listener.on('message', (_channel, text: string) => {
      for (const one of JSON.parse(text).data) if (one.stream_id === stream.id) reports.push(one);
    });
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => post(n % 2 ? one! : two!, stream, `{"n":${n}}`, n % 4 ? undefined : {})),
    );
    await eventually('all is counted', () =>
      Promise.resolve(reports.some((one) => one.total_events === 30 && one.rejected_events >= 10)),
    );
    const numbers = reports.map((one) => one.sequence);
    expect(new Set(numbers).size).toBe(numbers.length);
    const ordered = [...reports].sort((a, b) => a.sequence - b.sequence);
    for (let i = 1; i < ordered.length; i++)
      expect(ordered[i]!.total_events).toBeGreaterThanOrEqual(ordered[i - 1]!.total_events);
    listener.disconnect();
  });
});
