import { createHmac, createSign, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose';
import { eventually } from '@planasonix/testing';
import { ingestWorld, post, type HookStream, type IngestWorld, type Instance } from './ingest-under-test.js';

jest.setTimeout(120_000);

describe('proofs at the door', () => {
  let world: IngestWorld;
  let one: Instance;

  beforeAll(async () => {
    world = await ingestWorld();
    one = await world.instance();
  });
  afterAll(() => world.end());

  const reasons = async ({ id }: HookStream): Promise<readonly string[]> =>
    (await world.log.answers!(id)).map((note) => JSON.parse(note).reason);

  describe('a scheme of the user’s own', () => {
    const hmac = (of: Record<string, unknown>) => ({ auth: { type: 'hmac', signature_header: 'X-Sig', ...of } });
    const mac = (algorithm: string, encoding: 'hex' | 'base64', secret: string, text: string) =>
      createHmac(algorithm, secret).update(text).digest(encoding);
    const seconds = (ago = 0) => String(Math.floor(Date.now() / 1_000) - ago);

    it('time and body, after a prefix, under any of its secrets', async () => {
      const stream = await world.running(
        hmac({
          ...{ algorithm: 'sha256', encoding: 'hex', timestamp_header: 'X-Time', signed: '{timestamp}.{body}' },
          ...{ prefix: 'v1=', tolerance: '1m', secrets: ['the new one', 'the old one'] },
        }),
      );
      const send = async (body: string, secret: string, at: string, prefix = 'v1=') =>
        (
          await post(one, stream, body, {
            ...{ 'x-time': at, 'x-sig': prefix + mac('sha256', 'hex', secret, `${at}.${body}`), 'x-other': 'kept' },
          })
        ).status;
      expect(await send('{"n":1}', 'the new one', seconds())).toBe(200);
      expect(await send('{"n":2}', 'the old one', seconds())).toBe(200);
      expect(await send('{"n":3}', 'the new one', String(Date.now()))).toBe(200);
      expect(await send('{"n":4}', 'another one', seconds())).toBe(401);
      expect(await send('{"n":5}', 'the new one', seconds(), 'v2=')).toBe(401);
      expect(await send('{"n":6}', 'the new one', seconds(62))).toBe(401);
      expect(await send('{"n":7}', 'the new one', seconds(-120))).toBe(401);
      const unsigned = { 'x-time': seconds(), 'x-sig': `v1=${mac('sha256', 'hex', 'the new one', '{"n":8}')}` };
      expect((await post(one, stream, '{"n":8}', unsigned)).status).toBe(401);
      expect((await post(one, stream, '{"n":9}', { 'x-time': seconds() })).status).toBe(401);
      const entries = (await world.entries(stream.id)).map(({ data }) => JSON.parse(data));
      expect(entries.map(({ body }) => body.n)).toEqual([1, 2, 3]);
      const names = entries[0].headers.map(([name]: readonly [string]) => name.toLowerCase());
      expect(names).toEqual(expect.arrayContaining(['x-time', 'x-other']));
      expect(names).not.toContain('x-sig');
    });

    it('method and address, in base64', async () => {
      const secret = 'a secret';
      const stream = await world.running(
        hmac({ algorithm: 'sha512', encoding: 'base64', signed: '{method} {url} {body}', secrets: [secret] }),
      );
      const signature = (url: string, body = '{}') => mac('sha512', 'base64', secret, `POST ${url} ${body}`);
      const url = `${one.base}/ingest/${stream.token}`;
      const status = async (value: string) => (await post(one, stream, '{}', { 'x-sig': value })).status;
      expect(await status(signature(url))).toBe(200);
      expect(await status(signature(`${url}x`))).toBe(401);
      expect(await status(signature(url, '{ }'))).toBe(401);
      expect(await status(mac('sha512', 'hex', secret, `POST ${url} {}`))).toBe(401);
      expect(await world.entries(stream.id)).toHaveLength(1);
    });

    it('an id that is signed alone tells a repeat', async () => {
      const key = Buffer.alloc(20, 9);
      const stream = await world.running(
        hmac({
          ...{ signature_pair: 'v1', timestamp_pair: 't', id_header: 'X-Id', signed: '{id}.{timestamp}.{body}' },
          ...{ secret_encoding: 'base64', secrets: [key.toString('base64')] },
        }),
      );
      const send = (id: string, at: string, { body = '{}', signedId = id } = {}) => {
        const own = createHmac('sha256', key).update(`${signedId}.${at}.${body}`).digest('hex');
        return post(one, stream, body, { 'x-id': id, 'x-sig': `t=${at},v1=${own}` });
      };
      const first = await send('e-1', seconds());
      expect(first.json).toEqual({ received: true, id: `${stream.id}/e-1` });
      expect((await send('e-1', seconds(60), { body: '{"n":1}' })).json).toEqual({ ...first.json, duplicate: true });
      expect((await send('e-2', seconds(), { signedId: 'e-1' })).status).toBe(401);
      expect([(await send('e-3', seconds(301))).status, (await send('e-4', seconds(-302))).status]).toEqual([401, 401]);
      const entries = (await world.entries(stream.id)).map(({ data }) => JSON.parse(data));
      expect(entries.map(({ event_id }) => event_id)).toEqual(['e-1']);
      expect(JSON.stringify(entries)).not.toContain('v1=');
    });

    it('SHA-1 over the body alone', async () => {
      const stream = await world.running(hmac({ algorithm: 'sha1', secrets: ['a secret'] }));
      const status = async (of: string) => (await post(one, stream, '{}', { 'x-sig': of })).status;
      expect(await status(mac('sha1', 'hex', 'a secret', '{}'))).toBe(200);
      expect(await status(mac('sha256', 'hex', 'a secret', '{}'))).toBe(401);
    });
  });

  describe('the time of a delivery, where a vendor signs it (trap 28)', () => {
    const key = Buffer.alloc(24, 7);
    const [ec, ed] = [generateKeyPairSync('ec', { namedCurve: 'P-256' }), generateKeyPairSync('ed25519')];
    const hmac = (secret: string | Buffer, text: string, encoding: 'hex' | 'base64') =>
      createHmac('sha256', secret).update(text).digest(encoding);
    const vendors: readonly (readonly [string, string, (at: number, body: string) => Record<string, string>])[] = [
      [
        'slack',
        'a secret',
        (at, body) => ({
          'x-slack-request-timestamp': String(at),
          'x-slack-signature': `v0=${hmac('a secret', `v0:${at}:${body}`, 'hex')}`,
        }),
      ],
      [
        'standard_webhooks',
        `whsec_${key.toString('base64')}`,
        (at, body) => ({
          ...{ 'webhook-id': JSON.parse(body).id, 'webhook-timestamp': String(at) },
          'webhook-signature': `v1,${hmac(key, `${JSON.parse(body).id}.${at}.${body}`, 'base64')}`,
        }),
      ],
      [
        'sendgrid',
        ec.publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
        (at, body) => ({
          'x-twilio-email-event-webhook-timestamp': String(at),
          'x-twilio-email-event-webhook-signature': createSign('sha256')
            .update(at + body)
            .sign(ec.privateKey, 'base64'),
        }),
      ],
      [
        'discord',
        ed.publicKey.export({ format: 'der', type: 'spki' }).subarray(12).toString('hex'),
        (at, body) => ({
          'x-signature-timestamp': String(at),
          'x-signature-ed25519': sign(null, Buffer.from(at + body), ed.privateKey).toString('hex'),
        }),
      ],
    ];

    it.each(vendors)('%s: within five minutes, both ways', async (preset, secret, headers) => {
      const stream = await world.running({ auth: { type: 'preset', preset, secrets: [secret] } });
      const body = (n: number) => JSON.stringify({ id: `evt_${n}`, event: { type: 'made' } });
      const send = async (n: number, ago: number) => {
        const { status, json } = await post(
          one,
          stream,
          body(n),
          headers(Math.floor(Date.now() / 1_000) - ago, body(n)),
        );
        return [status, json.error?.code];
      };
      expect(await send(1, 0)).toEqual([200, undefined]);
      expect(await send(2, 240)).toEqual([200, undefined]);
      expect(await send(3, -290)).toEqual([200, undefined]);
      expect(await send(4, 301)).toEqual([401, 'unauthorized']);
      expect(await send(5, -400)).toEqual([401, 'unauthorized']);
      const [, old] = [await send(6, 0), headers(Math.floor(Date.now() / 1_000) - 400, body(7))];
      // A new time over an old signature.
      const [time] = Object.keys(old).filter((name) => name.endsWith('timestamp'));
      const forged = { ...old, [time!]: String(Math.floor(Date.now() / 1_000)) };
      expect((await post(one, stream, body(7), forged)).status).toBe(401);
      expect(await world.entries(stream.id)).toHaveLength(4);
      const wanted = ['timestamp_too_old', 'timestamp_in_future', 'signature_wrong'];
      await eventually('their reasons are noted for the user', async () => {
        const found = await reasons(stream);
        return wanted.every((reason) => found.includes(reason));
      });
    });
  });

  describe('tokens of an identity provider', () => {
    const [issuer, audience] = ['https://issuer.example', 'hooks'];
    let server: Server;
    let keys: JWK[] = [];
    let asked = 0;

    beforeAll(async () => {
      server = createServer((_request, answer) => {
        asked++;
        answer.end(JSON.stringify({ keys }));
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
    });
    afterAll(() => new Promise((resolve) => server.close(resolve)));
    beforeEach(() => (asked = 0));

    it('the keys of a stream that does not run are there before a delivery is: its sender is told to come again', async () => {
      const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
      keys = [{ ...(await exportJWK(publicKey)), kid: 'cold', alg: 'ES256' }];
      const jwks_url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/cold`;
      const stopped = await world.create({ auth: { type: 'jwt', issuer, audience, jwks_url } });
      await eventually('they are asked for', () => Promise.resolve(asked === 1));
      const token = await new SignJWT({})
        .setProtectedHeader({ alg: 'ES256', kid: 'cold' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setExpirationTime('5m')
        .sign(privateKey);
      const answer = await post(one, stopped, '{}', { authorization: `Bearer ${token}` });
      expect([answer.status, answer.json.error.code, asked]).toEqual([503, 'not_running', 1]);
    });

    it('a key that was rotated right after a look costs no delivery: its sender is told when to come again', async () => {
      const provider = async (kid: string) => {
        const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
        const token = await new SignJWT({})
          .setProtectedHeader({ alg: 'ES256', kid })
          .setIssuer(issuer)
          .setAudience(audience)
          .setExpirationTime('5m')
          .sign(privateKey);
        return { jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256' }, authorization: `Bearer ${token}` };
      };
      const [old, next] = [await provider('old'), await provider('next')];
      const jwks_url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      keys = [old.jwk];
      const stream = await world.running({ auth: { type: 'jwt', issuer, audience, jwks_url } });
      const send = ({ authorization }: { authorization: string }) =>
        post(one, stream, JSON.stringify(authorization), { authorization });
      expect((await send(old)).status).toBe(200);
      keys = [old.jwk, next.jwk];
      const answer = await send(next);
      expect([answer.status, answer.json.error.code]).toEqual([503, 'keys_unavailable']);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(1);
      expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(30);
      expect((await send(old)).json).toMatchObject({ duplicate: true });
      expect(asked).toBe(1);
      await eventually('its reason is noted for the user', async () => (await reasons(stream)).includes('key_unknown'));
      expect(await world.entries(stream.id)).toHaveLength(1);
    });
  });
});
