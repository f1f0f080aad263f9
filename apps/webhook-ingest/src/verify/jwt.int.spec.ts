import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock, type Clock } from '@planasonix/core';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { RemoteKeys } from './jwks.js';
import { JwtScheme } from './jwt.js';
import type { SignedRequest } from './scheme.js';

const [issuer, audience] = ['https://issuer.example', 'hooks'];
const request = (token: string): SignedRequest => ({
  ...{ method: 'POST', url: 'https://hooks.example/ingest/t', body: Buffer.from('{}'), nowMs: Date.now() },
  header: (name) => (name === 'authorization' ? `Bearer ${token}` : null),
  certificate: () => null,
});
const sign = (
  key: CryptoKey | Uint8Array,
  of: { kid?: string; alg?: string; aud?: string; exp?: number | string } = {},
) =>
  new SignJWT({})
    .setProtectedHeader({ alg: of.alg ?? 'ES256', ...(of.kid ? { kid: of.kid } : {}) })
    .setIssuer(issuer)
    .setAudience(of.aud ?? audience)
    .setExpirationTime(of.exp ?? '5m')
    .sign(key);

describe('tokens of an identity provider', () => {
  let server: Server;
  let base: string;
  let keys: JWK[] = [];
  let [asked, down, ahead] = [0, false, 0];
  /** The real clock, moved on by hand. */
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + ahead };
  const outbound = { resolve: (host: string) => Promise.resolve(host === 'keys.example' ? '127.0.0.1' : host) };

  beforeAll(async () => {
    server = createServer((_request, answer) => {
      asked++;
      answer.statusCode = down ? 503 : 200;
      answer.end(JSON.stringify({ keys }));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    base = `http://keys.example:${(server.address() as AddressInfo).port}/jwks`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  async function provider(kid: string) {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256' } };
  }
  const scheme = (algorithms = ['ES256']) =>
    new JwtScheme({ issuer, audience, algorithms, keys: new RemoteKeys(base, outbound, clock) });
  const valid = async (of: JwtScheme, token: string) => (await of.verify(request(token))).valid;

  it('issuer, audience, time and key have to be right, and the algorithm is not the token’s choice (trap 28)', async () => {
    const { privateKey, jwk } = await provider('a');
    keys = [jwk];
    const under = scheme();
    expect(await valid(under, await sign(privateKey, { kid: 'a' }))).toBe(true);
    expect(await valid(under, await sign(privateKey, { kid: 'a', aud: 'others' }))).toBe(false);
    expect(await valid(under, await sign(privateKey, { kid: 'a', exp: Math.floor(Date.now() / 1000) - 120 }))).toBe(
      false,
    );
    expect(await valid(under, await sign((await provider('a')).privateKey, { kid: 'a' }))).toBe(false);
    expect(await valid(scheme(['RS256']), await sign(privateKey, { kid: 'a' }))).toBe(false);
    const forged = await sign(Buffer.from(JSON.stringify(jwk)), { kid: 'a', alg: 'HS256' });
    expect(await valid(under, forged)).toBe(false);
    const bare = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ iss: issuer, aud: audience, exp: 9e9 })).toString('base64url')}.`;
    expect(await valid(under, bare)).toBe(false);
  });

  it('keys are asked for once, again when one is not known, and serve on while nobody answers', async () => {
    const [first, second] = [await provider('one'), await provider('two')];
    keys = [first.jwk];
    const under = scheme();
    asked = 0;
    for (let i = 0; i < 5; i++) expect(await valid(under, await sign(first.privateKey, { kid: 'one' }))).toBe(true);
    expect(asked).toBe(1);
    keys = [second.jwk];
    // Forged ids do not make us ask without end.
    for (let i = 0; i < 5; i++) expect(await valid(under, await sign(second.privateKey, { kid: 'two' }))).toBe(false);
    expect(asked).toBe(1);
    ahead += 31_000;
    expect(await valid(under, await sign(second.privateKey, { kid: 'two' }))).toBe(true);
    expect(asked).toBe(2);
    down = true;
    ahead += 3_600_000;
    expect(await valid(under, await sign(second.privateKey, { kid: 'two' }))).toBe(true);
    down = false;
  });

  it('a token that names no key is tried with all that fit, as while keys are rotated', async () => {
    const [old, next, other] = [await provider('old'), await provider('next'), await provider('other')];
    keys = [old.jwk, next.jwk];
    const nameless = [old, next].map(({ jwk: { kid: _kid, ...jwk } }) => jwk) as [JWK, JWK];
    const local = new JwtScheme({ issuer, audience, algorithms: ['ES256'], keys: { keys: nameless } });
    for (const under of [scheme(), local]) {
      for (const { privateKey } of [old, next]) expect(await valid(under, await sign(privateKey))).toBe(true);
      expect(await valid(under, await sign(next.privateKey, { aud: 'others' }))).toBe(false);
      expect(await valid(under, await sign(other.privateKey))).toBe(false);
    }
  });

  it('a key that is not known is wrong once a look has not found it, and until then to be sent again', async () => {
    const [known, rotated] = [await provider('known'), await provider('rotated')];
    keys = [known.jwk];
    const under = scheme();
    expect(await valid(under, await sign(known.privateKey, { kid: 'known' }))).toBe(true);
    asked = 0;
    const token = await sign(rotated.privateKey, { kid: 'rotated' });
    const rest = async (reason: string) => {
      const verdict = await under.verify(request(token));
      expect(verdict).toEqual({ valid: false, reason, waitMs: expect.any(Number) });
      return (verdict as { waitMs: number }).waitMs;
    };
    // Rotated right after a look: the next one may find it, and is not far.
    expect(await rest('key_unknown')).toBeGreaterThan(20_000);
    ahead += 20_000;
    expect(await rest('key_unknown')).toBeLessThanOrEqual(10_000);
    expect(asked).toBe(0);
    ahead += 11_000;
    expect(await under.verify(request(token))).toEqual({ valid: false, reason: 'token_wrong' });
    expect(await rest('key_unknown')).toBeGreaterThan(20_000);
    expect(asked).toBe(1);
    down = true;
    ahead += 31_000;
    expect(await rest('keys_unavailable')).toBeGreaterThan(20_000);
    expect(await valid(under, await sign(known.privateKey, { kid: 'known' }))).toBe(true);
    [down, keys] = [false, [rotated.jwk]];
    ahead += 31_000;
    expect(await valid(under, token)).toBe(true);
  });

  it('however many tokens name keys that nobody has, the address is asked once in 30 s', async () => {
    const [known, forger] = [await provider('known'), await provider('forged')];
    keys = [known.jwk];
    const under = scheme();
    expect(await valid(under, await sign(known.privateKey, { kid: 'known' }))).toBe(true);
    asked = 0;
    for (let round = 1; round <= 3; round++) {
      ahead += 30_001;
      const forged = await Promise.all(Array.from({ length: 50 }, (_, i) => sign(forger.privateKey, { kid: `f${i}` })));
      const verdicts = await Promise.all(forged.map((token) => under.verify(request(token))));
      expect(verdicts.some((verdict) => verdict.valid)).toBe(false);
      expect(asked).toBe(round);
    }
    expect(await valid(under, await sign(known.privateKey, { kid: 'known' }))).toBe(true);
  });

  it('keys of many addresses are fetched ahead, of no more than 8 at once', async () => {
    let [now, most, over] = [0, 0, 0];
    const resolve = async () => {
      most = Math.max(most, ++now);
      await new Promise(setImmediate);
      now--;
      over++;
      throw new Error('no such host');
    };
    for (let i = 0; i < 50; i++) new RemoteKeys(`http://keys${i}.example/`, { resolve }, clock).warm();
    while (over < 50) await new Promise(setImmediate);
    expect(most).toBe(8);
  });

  it('without ever having had keys nothing is valid', async () => {
    down = true;
    const { privateKey } = await provider('x');
    expect(await scheme().verify(request(await sign(privateKey)))).toEqual({
      valid: false,
      reason: 'keys_unavailable',
    });
    down = false;
  });
});
