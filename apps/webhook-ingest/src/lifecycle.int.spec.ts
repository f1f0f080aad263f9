import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { urlOf } from '@planasonix/core';
import { SecretBox, splitSecrets } from '@planasonix/store';
import { eventually, freePort } from '@planasonix/testing';
import { configJsonSchema } from './config.js';
import { ingestWorld, planasonix, post, signedHeaders, type IngestWorld, type Instance } from './ingest-under-test.js';

jest.setTimeout(120_000);

describe('streams that every instance serves', () => {
  let world: IngestWorld;
  let [one, two]: Instance[] = [];

  beforeAll(async () => {
    world = await ingestWorld();
    [one, two] = await Promise.all([world.instance(), world.instance()]);
  });
  afterAll(() => world.end());

  it('takes a delivery in at each instance, and the event is what is documented', async () => {
    const stream = await world.running({ ordering_key: { json_pointer: '/customer/id' } });
    const body = '{"customer":{"id":9007199254740993},  "b":1, "b":2}';
    const first = await post(one!, stream, body);
    expect(first).toMatchObject({
      status: 200,
      json: { received: true, id: expect.stringContaining(`${stream.id}/`) },
    });
    await eventually('the other one serves it', async () => {
      const again = await post(two!, stream, body, signedHeaders(body));
      return again.status === 200;
    });
    const [entry] = await world.entries(stream.id);
    expect(entry).toMatchObject({
      ...{ id: first.json.id, type: 'com.planasonix.webhook.received', source: `/streams/${stream.id}` },
      partitionkey: '9007199254740993',
    });
    expect(entry!.data.startsWith(`{"body":${body},"body_encoding":"json","headers":[[`)).toBe(true);
    const data = JSON.parse(entry!.data);
    expect(data).toMatchObject({ method: 'POST', content_type: 'application/json', event_id: null, event_type: null });
    expect(Date.parse(data.received_at)).toBe(Date.parse(entry!.time));
    expect(entry!.data).not.toContain('x-planasonix-signature');
  });

  it('a start takes effect at every instance, without a bell', async () => {
    const stream = await world.create();
    await world.command(stream.id, 'start');
    const open = (at: Instance) => async () => (await post(at, stream, '{}')).status === 200;
    await Promise.all([one!, two!].map((at) => eventually('it is open', open(at))));
  });

  it('another secret and another address take effect at every instance, without a bell', async () => {
    const [stream, secret, token] = [await world.running(), 'another secret', 'another token'.replaceAll(' ', '-')];
    const statuses = (of: { readonly token: string }, key?: string) =>
      Promise.all([one!, two!].map(async (at) => (await post(at, of, '{}', signedHeaders('{}', key))).status));
    const become = (wanted: number, ask: () => Promise<number[]>) =>
      eventually(`both say ${wanted}`, async () => (await ask()).every((status) => status === wanted));
    const next = splitSecrets(configJsonSchema, { auth: { ...planasonix, secrets: [secret] } });
    await world.streams.reconfigure(world.actor, stream.id, 'stream.rotate_secret', () => next);
    await become(200, () => statuses(stream, secret));
    expect(await statuses(stream)).toEqual([401, 401]);
    await world.streams.rotateIngestToken(world.actor, stream.id, token);
    await become(404, () => statuses(stream, secret));
    expect(await statuses({ token }, secret)).toEqual([200, 200]);
  });

  it('a sender to one whose secrets can not be read is told to come again, its user why; the others are served (trap 35)', async () => {
    const [stream, other] = [await world.running(), await world.running()];
    const box = new SecretBox(Buffer.alloc(32, 9).toString('base64'));
    await world.store.query('UPDATE streams SET secrets = $2, updated_at = clock_timestamp() WHERE id = $1', [
      stream.id,
      box.seal('[]', `streams:${stream.id}`),
    ]);
    for (const at of [one!, two!]) {
      await eventually('come again', async () => (await post(at, stream, '{}')).status === 503);
      await eventually('the other one is served', async () => (await post(at, other, '{}')).status === 200);
    }
    // Another instance may serve it: it still runs.
    const why = async () => (await world.row(stream.id)).last_error?.code === 'secrets_sealed';
    await eventually('it says why', why);
    expect((await world.row(stream.id)).status).toBe('running');
    expect(await world.command(stream.id, 'stop')).toMatchObject({ status: 'stopped' });
    await eventually('it is as if it were not there', async () => (await post(one!, stream, '{}')).status === 404);
    void world.command(stream.id, 'start').catch(() => undefined);
    await eventually('it says why once more', why);
    expect(await world.command(stream.id, 'stop')).toMatchObject({ status: 'stopped' });
  });

  it('so is one to a stream that runs with a config of an earlier version, which this one refuses (Invariant 7)', async () => {
    const stream = await world.running();
    await world.store.query(
      `UPDATE streams SET config = config || '{"ordering_key":{"header":"Host"}}', updated_at = clock_timestamp() WHERE id = $1`,
      [stream.id],
    );
    await eventually('come again', async () => (await post(one!, stream, '{}')).status === 503);
    const why = async () => (await world.row(stream.id)).last_error?.code === 'config_invalid';
    await eventually('it says why', why);
    expect((await world.row(stream.id)).status).toBe('running');
  });

  it('nothing is taken in any more once a stop or a pause is answered, at no instance (Invariant 7)', async () => {
    const stream = await world.running();
    await eventually('both serve it', async () => (await post(two!, stream, '{"n":0}')).status === 200);
    for (const [command, status] of [
      ['pause', 'paused'],
      ['stop', 'stopped'],
    ] as const) {
      let [flooding, n] = [true, 0];
      const flood = Promise.all(
        [one!, two!, one!, two!].map(async (at) => {
          while (flooding) await post(at, stream, `{"n":${++n}}`).catch(() => null);
        }),
      );
      expect(await world.command(stream.id, command)).toMatchObject({ status });
      const depth = await world.log.depth(stream.id);
      const answers = await Promise.all([one!, two!].map((at) => post(at, stream, `{"after":"${command}"}`)));
      expect(answers.map((answer) => answer.status)).toEqual([503, 503]);
      expect(answers[0]!.headers.get('retry-after')).toMatch(/^\d+$/);
      flooding = false;
      await flood;
      expect(await world.log.depth(stream.id)).toBe(depth);
      if (command === 'pause') expect(await world.command(stream.id, 'resume')).toMatchObject({ status: 'running' });
    }
  });

  it('a stream that was deleted and purged is not made anew by an instance that has not heard of it (trap 33)', async () => {
    const stream = await world.running();
    let posting = true;
    const flood = Promise.all(
      [one!, two!].map(async (at) => {
        while (posting) await post(at, stream, JSON.stringify({ n: Math.random() })).catch(() => null);
      }),
    );
    await world.remove(stream.id, true);
    await eventually('the address is unknown', async () => (await post(one!, stream, '{}')).status === 404);
    posting = false;
    await flood;
    expect(await world.log.depth(stream.id)).toBe(0);
    expect((await world.redis.client().keys(`plnx:events:{${stream.id}}`)).length).toBe(0);
  });

  it('the address of a stream that was deleted is unknown as soon as that is answered, at every instance', async () => {
    const stream = await world.running();
    await world.remove(stream.id);
    const answers = await Promise.all([one!, two!].map((at) => post(at, stream, '{"late":true}')));
    expect(answers.map(({ status }) => status)).toEqual([404, 404]);
  });

  it('without a proof a stream that is stopped can not be told from an address that nobody has', async () => {
    const stream = await world.create();
    const wrong = {
      'x-planasonix-timestamp': String(Math.floor(Date.now() / 1000)),
      'x-planasonix-signature': `v1=${'0'.repeat(64)}`,
    };
    const answers = [
      await post(one!, stream, '{}', wrong),
      await post(one!, { token: 'nobody' }, '{}', wrong),
      await post(one!, { token: 'nobody' }, '{}'),
    ];
    expect(answers.map(({ status, json }) => [status, json])).toEqual(
      Array(3).fill([404, { error: { code: 'not_found', message: expect.any(String) } }]),
    );
    await eventually('with one it is', async () => (await post(one!, stream, '{}')).status === 503);
  });

  it('nor by its limits', async () => {
    const stopped = await world.create({ max_body_bytes: 10, rate_limit_per_second: 1 });
    for (const { token } of [stopped, { token: 'nobody' }])
      for (let i = 0; i < 5; i++)
        expect([token, (await post(one!, { token }, '{"longer":"than it may be"}', {})).status]).toEqual([token, 404]);
    await eventually('it is known', async () => (await post(one!, stopped, '{}')).status === 503);
  });

  it('nor by the time: what a proof takes does not show', async () => {
    const held: ServerResponse[] = [];
    let given = 0;
    const slow = createServer((_request, answer) => {
      held.push(answer);
      answer.on('close', () => given++);
    }).listen(0, '127.0.0.1');
    await once(slow, 'listening');
    const keys = `http://127.0.0.1:${(slow.address() as AddressInfo).port}/`;
    const stopped = await world.create({
      auth: { type: 'jwt', issuer: 'i', audience: 'a', jwks_url: keys },
    });
    const asked = async () => {
      await post(one!, stopped, '{}', { authorization: 'Bearer a.b.c' });
      return held.length > 0;
    };
    await eventually('its keys are asked for', asked);
    for (const { token } of [stopped, { token: 'nobody' }]) {
      const began = performance.now();
      expect((await post(one!, { token }, '{}', { authorization: 'Bearer a.b.c' })).status).toBe(404);
      expect(performance.now() - began).toBeGreaterThanOrEqual(250);
    }
    // Nobody has waited for the keys.
    expect(given).toBe(0);
    slow.close();
    slow.closeAllConnections();
  });

  it('a sender whose keys can not be had is told to come again, and never that it is wrong', async () => {
    const keys = `http://127.0.0.1:${await freePort()}/`;
    const stream = await world.running({ auth: { type: 'jwt', issuer: 'i', audience: 'a', jwks_url: keys } });
    const answer = await post(one!, stream, '{}', { authorization: 'Bearer a.b.c' });
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    expect((await post(one!, stream, '{}', {})).status).toBe(401);
  });

  it('a refusal has one body, whatever the reason', async () => {
    const stream = await world.running();
    const at = Date.now();
    const bodies = [
      await post(one!, stream, '{}', {}),
      await post(one!, stream, '{}', signedHeaders('{}', 'another secret')),
      await post(one!, stream, '{}', signedHeaders('{}', undefined, at - 301_000)),
      await post(one!, stream, '{}', signedHeaders('{}', undefined, at + 62_000)),
      await post(one!, stream, '{}', { ...signedHeaders('{}'), 'x-planasonix-signature': 'v1=zz' }),
    ];
    expect(new Set(bodies.map(({ status, json }) => JSON.stringify([status, json]))).size).toBe(1);
    expect(bodies[0]!.status).toBe(401);
    await eventually('their reasons are noted for the user', async () => {
      const notes = (await world.log.answers!(stream.id)).map((note) => JSON.parse(note).reason);
      return [
        'signature_missing',
        'signature_wrong',
        'timestamp_too_old',
        'timestamp_in_future',
        'signature_malformed',
      ].every((reason) => notes.includes(reason));
    });
  });

  it('events that were confirmed and are lost with the log are told, and not passed over (Invariant 2)', async () => {
    const stream = await world.running();
    await post(one!, stream, '{"lost":1}');
    const client = world.redis.client();
    await client.del(`plnx:events:{${stream.id}}`, `plnx:log:{${stream.id}}`);
    expect((await post(one!, stream, '{"next":1}')).status).toBe(503);
    await eventually('it says so', async () => {
      const row = await world.row(stream.id);
      return row.status === 'error' && row.last_error?.code === 'offset_gap';
    });
    await expect(world.command(stream.id, 'start')).rejects.toMatchObject({ code: 'position_lost' });
  });

  it('HOST=localhost is both of its addresses, served alike, and both end', async () => {
    const stream = await world.running();
    const both = await world.instance({ HOST: 'localhost' });
    await eventually('it is served', () => Promise.resolve(both.serves(stream.id)));
    const port = Number(new URL(both.base).port);
    /** What a connection gets for these bytes; rejects where nobody listens. */
    const said = async (host: string, bytes: string): Promise<string> => {
      const socket = connect(port, host, () => socket.write(bytes));
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      await once(socket, 'close');
      return Buffer.concat(chunks).toString();
    };
    for (const host of ['127.0.0.1', '::1']) {
      const own = { ...both, base: urlOf(host, port) };
      const body = JSON.stringify({ host });
      await eventually('it listens there', async () => (await post(own, stream, body)).status === 200);
      // What Fastify adds to the first server by itself answers otherwise.
      expect(await said(host, 'no HTTP\r\n\r\n')).toMatch(
        /^HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\nContent-L/,
      );
    }
    expect(await world.entries(stream.id)).toHaveLength(2);
    await both.end();
    for (const host of ['127.0.0.1', '::1'])
      await expect(said(host, '')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('answers questions about its streams, and sends itself a sample', async () => {
    const stream = await world.running();
    const check = await world.asks.ask('webhook', { kind: 'check', streamId: stream.id }, 5_000);
    expect(check).toMatchObject({ ok: true });
    const sample = await world.asks.ask('webhook', { kind: 'sample', streamId: stream.id }, 8_000);
    expect(sample).toMatchObject({ kind: 'sent', status: 200, body: { received: true } });
    expect(await world.entries(stream.id)).toHaveLength(1);
  });
});
