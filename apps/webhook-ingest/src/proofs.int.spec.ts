import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose';
import { eventually } from '@planasonix/testing';
import { ingestWorld, post, type HookStream, type IngestWorld, type Instance } from './ingest-under-test.js';

jest.setTimeout(120_000);

describe('proofs at the door', () => {
  let world: IngestWorld;
  let at: Instance;

  beforeAll(async () => {
    world = await ingestWorld();
    at = await world.instance();
  });
  afterAll(() => world.end());

  const reasons = async ({ id }: HookStream): Promise<readonly string[]> =>
    (await world.log.answers!(id)).map((note) => JSON.parse(note).reason);

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
      const stream = await world.running({ auth: { type: 'jwt', issuer, audience, jwks_url } });
      const send = ({ authorization }: { authorization: string }) =>
        post(at, stream, JSON.stringify(authorization), { authorization });
      keys = [old.jwk];
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
