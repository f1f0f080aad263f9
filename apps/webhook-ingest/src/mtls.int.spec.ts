import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import path from 'node:path';
import type { SecureContextOptions } from 'node:tls';
import { eventually, freePort, tempDir } from '@planasonix/testing';
import { ingestWorld, post, type IngestWorld, type Instance } from './ingest-under-test.js';
import { authority, type Issued } from './verify/ca-under-test.js';

jest.setTimeout(120_000);

describe('mTLS behind a proxy', () => {
  let world: IngestWorld;

  beforeEach(async () => {
    world = await ingestWorld();
  });
  afterEach(() => world.end());

  it('a client certificate, from a proxy that is trusted, and it is in no event', async () => {
    const [ca, at] = [authority(), { INGEST_CLIENT_CERT_HEADER: 'X-Client-Cert' }];
    const [behind, open] = [
      await world.instance({ ...at, INGEST_TRUSTED_PROXIES: '127.0.0.1' }),
      await world.instance(at),
    ];
    const { id, token } = await world.running({ auth: { type: 'mtls', ca: [ca.pem], names: ['sender'] } });
    const shown = (common: string, issuer = ca) => ({
      'x-client-cert': encodeURIComponent(issuer.issue({ common }).pem),
    });
    const of = async (instance: Instance, headers: Record<string, string>) =>
      (await post(instance, { token }, '{}', headers)).status;
    expect(await of(behind, shown('sender'))).toBe(200);
    for (const headers of [shown('another'), shown('sender', authority()), {}])
      expect(await of(behind, headers)).toBe(401);
    expect(await of(open, shown('sender'))).toBe(401);
    const [entry] = await world.entries(id);
    expect(entry!.data.toLowerCase()).not.toContain('client-cert');
  });

  it('where no proxy passes certificates on, a stream that asks for them does not run', async () => {
    await world.instance();
    const { id } = await world.create({ auth: { type: 'mtls', ca: [authority().pem] } });
    await world.command(id, 'start').catch(() => null);
    await eventually('it says so', async () => (await world.row(id)).last_error?.code === 'config_invalid');
    expect(await world.row(id)).toMatchObject({
      status: 'error',
      last_error: { hint: expect.stringContaining('INGEST_') },
    });
  });
});

const NAME = 'hooks.test';
const DAY_MS = 86_400_000;
const pem = ({ key }: Issued) => key.export({ format: 'pem', type: 'pkcs8' }) as string;
const by = (one: Issued): SecureContextOptions => ({ cert: one.pem, key: pem(one) });

describe('mTLS at the door itself', () => {
  let world: IngestWorld;
  const root = authority();

  beforeEach(async () => {
    world = await ingestWorld();
  });
  afterEach(() => world.end());

  /** An instance at which TLS ends. */
  async function tlsDoor(more: Record<string, string> = {}): Promise<Instance> {
    const [dir, port, own] = [tempDir('tls'), await freePort(), root.issue({ dns: [NAME], usage: 'server' })];
    const files = { cert: path.join(dir, 'cert.pem'), key: path.join(dir, 'key.pem') };
    writeFileSync(files.cert, own.pem);
    writeFileSync(files.key, pem(own));
    return world.instance({
      ...{ INGEST_PORT: String(port), INGEST_URL: `https://${NAME}:${port}` },
      ...{ INGEST_TLS_CERT_FILE: files.cert, INGEST_TLS_KEY_FILE: files.key },
      ...more,
    });
  }

  /** @returns a function that posts, and gives the status. */
  const sender =
    ({ base }: Instance, token: string) =>
    (shown: SecureContextOptions, headers: Record<string, string> = {}): Promise<number> =>
      new Promise((resolve, reject) => {
        const to = { method: 'POST', agent: false, servername: NAME, ca: root.pem, headers, ...shown } as const;
        request(`${base}/ingest/${token}`, to, (answer) => {
          answer.resume().once('end', () => resolve(answer.statusCode!));
        })
          .once('error', reject)
          .end('{}');
      });

  it('whoever has the key of a certificate of the CA, and nobody else (trap 28)', async () => {
    const [ca, door] = [authority(), await tlsDoor()];
    const { id, token } = await world.running({ auth: { type: 'mtls', ca: [ca.pem], names: ['sender'] } });
    const send = sender(door, token);
    expect(await send(by(ca.issue({ common: 'sender' })))).toBe(200);
    const others = {
      none: {},
      'of another CA': by(authority().issue({ common: 'sender' })),
      'of another name': by(ca.issue({ common: 'another' })),
      'that has ended': by(ca.issue({ common: 'sender', lives: [Date.now() - 2 * DAY_MS, Date.now() - DAY_MS] })),
      'of a server': by(ca.issue({ common: 'sender', usage: 'server' })),
    };
    for (const [which, shown] of Object.entries(others)) expect([which, await send(shown)]).toEqual([which, 401]);
    // Nobody said that a header may stand for the handshake.
    const passed = { 'x-client-cert': encodeURIComponent(ca.issue({ common: 'sender' }).pem) };
    expect(await send({}, passed)).toBe(401);
    await eventually('the user finds the reasons', async () => {
      const told = (await world.log.answers!(id)).map((note) => (JSON.parse(note) as { reason: string | null }).reason);
      return told.includes('certificate_missing') && told.includes('certificate_wrong') && told.includes(null);
    });
    expect(await world.entries(id)).toHaveLength(1);
  });

  it('whoever says nothing, or nothing of TLS, is cut off (trap 30)', async () => {
    const { port } = new URL((await tlsDoor()).base);
    const said = (bytes: string) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes));
      socket.on('error', () => undefined).resume();
      return once(socket, 'close');
    };
    await Promise.all([said(''), said('POST / HTTP/1.1\r\nHost: x\r\n\r\n')]);
  });

  it('what a proxy shows of itself stands for none of its clients', async () => {
    const ca = authority();
    const door = await tlsDoor({ INGEST_TRUSTED_PROXIES: '127.0.0.1', INGEST_CLIENT_CERT_HEADER: 'X-Client-Cert' });
    const { token } = await world.running({ auth: { type: 'mtls', ca: [ca.pem] } });
    const [send, own] = [sender(door, token), ca.issue({ common: 'proxy' })];
    expect(await send(by(own))).toBe(401);
    expect(await send(by(own), { 'x-client-cert': encodeURIComponent(ca.issue({}).pem) })).toBe(200);
  });

  it('senders without a certificate go on where a stream asks for none, and so does the sample', async () => {
    const door = await tlsDoor();
    const { id, token } = await world.running({ auth: { type: 'bearer', tokens: ['the token of a sender'] } });
    const send = sender(door, token);
    expect(await send({}, { authorization: 'Bearer the token of a sender' })).toBe(200);
    expect(await send({})).toBe(401);
    const sample = await world.asks.ask('webhook', { kind: 'sample', streamId: id }, 8_000);
    expect(sample).toMatchObject({ kind: 'sent', status: 200, body: { received: true } });
  });
});
