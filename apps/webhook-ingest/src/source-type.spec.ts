import { StreamError, systemClock, type SourceContext } from '@planasonix/core';
import { webhook } from './source-type.js';

/** Where a delivery has an id, which is another matter. */
const dedupe = { header: 'X-Id' };
const findings = async (auth: object, outbound: object = {}, of: object = { dedupe }) => {
  const context = { config: { auth, ...of }, clock: systemClock, outbound } as unknown as SourceContext;
  const source = webhook({ header: null, direct: false }).create(context);
  return (await source.check(new AbortController().signal)).map(({ code, severity }) => [code, severity]);
};

describe('check of a webhook stream', () => {
  const hmac = { type: 'hmac', signature_header: 'X-Signature', secrets: ['s'] };

  it.each([
    ['a time that is trusted though it is not signed', { ...hmac, timestamp_header: 'X-Time' }, 'timestamp_unsigned'],
    ['SHA-1', { ...hmac, algorithm: 'sha1' }, 'weak_algorithm'],
    ['no proof at all', { type: 'none' }, 'no_auth'],
  ])('warns of %s', async (_, auth, code) => {
    expect(await findings(auth)).toEqual([[code, 'warning']]);
  });

  it('refuses keys from where nothing may be fetched, and warns where they can not be had now (trap 34)', async () => {
    const auth = { type: 'jwt', issuer: 'i', audience: 'a', jwks_url: 'http://169.254.169.254:8080/keys' };
    const asked: unknown[] = [];
    const saying = (code: 'host_forbidden' | 'source_unreachable') => ({
      resolve: (...of: unknown[]) => (asked.push(of), Promise.reject(new StreamError(code, 'no'))),
    });
    expect(await findings(auth, saying('host_forbidden'))).toEqual([['host_forbidden', 'error']]);
    expect(asked).toEqual([['169.254.169.254', 8080]]);
    const elsewhere = { ...auth, jwks_url: 'https://keys.example/keys' };
    expect(await findings(elsewhere, saying('source_unreachable'))).toEqual([['keys_unavailable', 'warning']]);
    expect(await findings(auth, saying('source_unreachable'))).toEqual([
      ['keys_unencrypted', 'warning'],
      ['keys_unavailable', 'warning'],
    ]);
  });

  it('finds nothing where the time is signed, or none is sent', async () => {
    expect(await findings(hmac)).toEqual([]);
    expect(await findings({ ...hmac, timestamp_header: 'X-Time', signed: '{timestamp}.{body}' })).toEqual([]);
  });

  const preset = (name: string) => ({ type: 'preset', preset: name, secrets: ['s'] });
  const timed = { ...hmac, timestamp_header: 'X-Time', signed: '{timestamp}.{body}' };
  it.each<[string, object, object, readonly string[]]>([
    ['bearer', { type: 'bearer', tokens: ['t'] }, {}, ['repeats_by_body']],
    ['basic', { type: 'basic', users: [{ username: 'u', password: 'p' }] }, {}, ['repeats_by_body']],
    ['jwt', { type: 'jwt', issuer: 'i', audience: 'a', keys: [{ kty: 'OKP' }] }, {}, ['repeats_by_body']],
    ['none', { type: 'none' }, {}, ['repeats_by_body', 'no_auth']],
    ['hmac of the body', hmac, {}, ['repeats_by_body']],
    ['a vendor that signs the body and has no id', preset('docusign'), {}, ['repeats_by_body']],
    ['a long window', { type: 'bearer', tokens: ['t'] }, { dedupe: { window: '61s' } }, ['repeats_by_body']],
    ['a window that was chosen short', { type: 'bearer', tokens: ['t'] }, { dedupe: { window: '1m' } }, []],
    ['an id in a header', { type: 'bearer', tokens: ['t'] }, { dedupe }, []],
    ['hmac of the time and the body', timed, {}, []],
    ['hmac with an id that is signed', { ...hmac, id_header: 'x-id', signed: '{id}.{body}' }, {}, []],
    ['a vendor that signs a time', preset('hubspot'), {}, []],
    ['a vendor that has an id', preset('gitlab'), {}, []],
  ])('tells where equal bodies are taken for one delivery: %s', async (_, auth, of, codes) => {
    expect((await findings(auth, {}, of)).map(([code]) => code)).toEqual(codes);
  });

  it.each([
    ['github', { dedupe }, ['dedupe_header_unused']],
    ['github', { dedupe: { window: '1h' } }, []],
    ['docusign', { dedupe }, []],
  ])('tells where dedupe.header is not used: %s %j', async (vendor, of, codes) => {
    expect((await findings(preset(vendor), {}, of)).map(([code]) => code)).toEqual(codes);
  });

  it('says for how long equal bodies are one, and what to do about it', async () => {
    const context = { config: { auth: { type: 'bearer', tokens: ['t'] } }, clock: systemClock, outbound: {} };
    const source = webhook({ header: null, direct: false }).create(context as unknown as SourceContext);
    const [told] = await source.check(new AbortController().signal);
    expect([told!.severity, told!.message, told!.fix]).toEqual([
      ...['warning', expect.stringContaining('72h'), expect.stringContaining('dedupe.header')],
    ]);
  });
});
