import { eventually } from '@planasonix/testing';
import { ingestWorld, post, type IngestWorld, type Instance } from './ingest-under-test.js';
import { authority } from './verify/ca-under-test.js';

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
