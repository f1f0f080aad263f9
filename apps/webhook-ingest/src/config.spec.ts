import { parseConfig } from './config.js';
import { doorOf } from './door.js';
import { milliseconds } from './duration.js';
import { authority } from './verify/ca-under-test.js';
import { systemClock } from '@planasonix/core';

const auth = { type: 'hmac', signature_header: 'X-Signature', secrets: ['s'] };
const problem = (config: unknown): string => {
  try {
    parseConfig(config);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('the config of a webhook stream', () => {
  it('has the documented defaults', () => {
    expect(parseConfig({ auth })).toEqual({
      auth: { ...auth, algorithm: 'sha256', encoding: 'hex', signed: '{body}', prefix: '', tolerance: '5m' },
      ...{ dedupe: { window: '72h' }, expand_array: false, backpressure: 'reject', queue_timeout: '10s' },
      max_body_bytes: 5_242_880,
    });
    expect([milliseconds('72h'), milliseconds('5m')]).toEqual([259_200_000, 300_000]);
  });

  it.each([
    ['no auth at all', {}],
    ['an empty secret (trap 28)', { auth: { ...auth, secrets: [''] } }],
    ['no secret', { auth: { ...auth, secrets: [] } }],
    ['four secrets', { auth: { ...auth, secrets: ['a', 'b', 'c', 'd'] } }],
    ['a body that is not signed', { auth: { ...auth, signed: '{timestamp}' } }],
    ['a timestamp without its header', { auth: { ...auth, signed: '{timestamp}.{body}' } }],
    ['a vendor that is not known', { auth: { type: 'preset', preset: 'nobody', secrets: ['s'] } }],
    [
      'a token that chooses a shared secret',
      { auth: { type: 'jwt', issuer: 'i', audience: 'a', keys: [{ kty: 'RSA' }], algorithms: ['HS256'] } },
    ],
    [
      'keys from two places',
      { auth: { type: 'jwt', issuer: 'i', audience: 'a', jwks_url: 'https://x/k', keys: [{ kty: 'RSA' }] } },
    ],
    ['a private key', { auth: { type: 'jwt', issuer: 'i', audience: 'a', keys: [{ kty: 'RSA', d: 'x' }] } }],
    ['a window without end', { auth, dedupe: { window: '31d' } }],
    ['a pointer that is none', { auth, ordering_key: { json_pointer: 'customer' } }],
    ['a CA that is none', { auth: { type: 'mtls', ca: [authority().issue({ common: 'a' }).pem] } }],
    ['a CA that is no PEM', { auth: { type: 'mtls', ca: ['MIIB'] } }],
    ['client certificates without a CA', { auth: { type: 'mtls', ca: [] } }],
    ['an unknown key', { auth, retries: 3 }],
  ])('refuses %s', (_, config) => {
    expect(problem(config)).not.toBe('');
  });

  it('a secret that can not be a key of its scheme is told before it is served', () => {
    const { pem } = authority();
    const row = { id: 'str_x', name: 's', status: 'running', desired: 'running' };
    const config = { auth: { type: 'preset', preset: 'discord', secrets: ['not hex'] } };
    const around = {
      outbound: { resolve: () => Promise.reject(new Error()) },
      clock: systemClock,
      ...{ remoteKeys: new Map(), certificates: { header: null, direct: false } },
    };
    expect(() => doorOf({ ...row, config } as never, around)).toThrow();
    const mtls = { ...row, config: { auth: { type: 'mtls', ca: [pem] } } } as never;
    expect(() => doorOf(mtls, around)).toThrow('client certificates do not come as far as here');
    const { hidden } = doorOf(mtls, { ...around, certificates: { header: 'x-client-cert', direct: false } });
    expect(hidden.has('x-client-cert')).toBe(true);
  });
});
