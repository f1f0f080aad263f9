import { StreamError, systemClock, type SourceContext } from '@planasonix/core';
import { webhook } from './source-type.js';

const findings = async (auth: object, outbound: object = {}) => {
  const context = { config: { auth }, clock: systemClock, outbound } as unknown as SourceContext;
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
});
