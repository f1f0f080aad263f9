import { systemClock } from '@planasonix/core';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { configJsonSchema, parseConfig } from './config.js';
import { doorOf } from './door.js';
import { milliseconds } from './duration.js';
import { authority } from './verify/ca-under-test.js';

const announced = new Ajv2020({ strict: false, validateFormats: false, allErrors: true }).compile(configJsonSchema);
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
      auth: {
        ...{ ...auth, algorithm: 'sha256', encoding: 'hex', signed: '{body}', prefix: '', tolerance: '5m' },
        ...{ timestamp_format: 'unix', secret_encoding: 'utf8' },
      },
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
    ['its own signature for an ordering key', { auth, ordering_key: { header: 'x-signature' } }],
    ['its own signature for an id', { auth, dedupe: { header: 'X-SIGNATURE' } }],
  ])('refuses %s', (_, config) => {
    expect(problem(config)).not.toBe('');
  });

  it.each([
    ['svix', 'whsec_not base64!'],
    ['svix', 'whsec_'],
    ['standard_webhooks', 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS'],
    ['gitlab_signed', '===='],
    ['discord', 'ab'.repeat(31)],
  ])('a secret that can be no key of %s is refused by the announced schema, at its place: %s', (preset, wrong) => {
    const right = preset === 'discord' ? 'aB'.repeat(32) : 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    const given = (...secrets: readonly string[]) => ({ auth: { type: 'preset', preset, secrets } });
    expect(problem(given(right, wrong))).toMatch(/^auth\.secrets\.1: has to be /);
    expect(problem(given(right))).toBe('');
    expect(announced(given(right))).toBe(true);
    expect(announced(given(right, wrong))).toBe(false);
    expect(announced.errors!.map(({ instancePath }) => instancePath)).toContain('/auth/secrets/1');
    expect(announced({ auth: { type: 'preset', preset: 'stripe', secrets: [wrong] } })).toBe(true);
  });

  const timed = { ...auth, signed: '{timestamp}.{body}' };
  const named = { ...auth, signed: '{id}.{body}', id_header: 'X-Id' };
  const dated = { timestamp_header: 'X-Time', timestamp_format: 'rfc3339' };
  it.each([
    ['auth.timestamp_header', timed],
    ['auth.timestamp_pair', { ...timed, signature_pair: 'v1', timestamp_pair: 't', timestamp_header: 'X-Time' }],
    ['auth.signature_pair', { ...timed, timestamp_pair: 't' }],
    ['auth.timestamp_pair', { ...timed, signature_pair: 'v1', timestamp_pair: 'v1' }],
    ['auth.signed', { ...auth, signature_pair: 'v1', timestamp_pair: 't' }],
    ['auth.timestamp_format', { ...auth, timestamp_format: 'rfc3339' }],
    ['auth.prefix', { ...auth, signature_pair: 'v1', prefix: 'v1=' }],
    ['auth.prefix', { ...auth, separator: ',', prefix: 'v1,' }],
    ['auth.id_header', { ...auth, signed: '{id}.{body}' }],
    ['auth.signed', { ...auth, id_header: 'X-Id' }],
    ['auth.signed', { ...named, signed: '{id}{body}' }],
    ['auth.signed', { ...named, signed: '{body}{id}' }],
    ['auth.signed', { ...named, timestamp_header: 'X-Time', signed: '{id}{timestamp}.{body}' }],
    ['auth.signed', { ...named, timestamp_header: 'X-Time', signed: '{timestamp}{id}.{body}' }],
    ['auth.signed', { ...named, signed: '{url}{id}.{body}' }],
    ['auth.signed', { ...named, ...dated, signed: '{timestamp}.{id}{body}' }],
    ['auth.id_header', { ...named, id_header: 'x-signature' }],
    ['auth.secrets.1', { ...auth, secret_encoding: 'hex', secrets: ['0a', 'A'] }],
    // The last digit has bits that no byte has: two texts would stand for one key.
    ['auth.secrets.0', { ...auth, secret_encoding: 'base64', secrets: ['QR=='] }],
  ])('a scheme of the user’s own that contradicts itself is told at %s: %j', (key, contradictory) => {
    expect(problem({ auth: contradictory })).toMatch(new RegExp(`^${key.replaceAll('.', '\\.')}: \\S.*\\.$`));
  });

  it('an id that is signed is the one that counts', () => {
    expect(problem({ auth: named, dedupe: { header: 'X-Other-Id' } })).toMatch(/^dedupe\.header: /);
    expect(problem({ auth: named, dedupe: { header: 'x-id' } })).toBe('');
  });

  it('every key of a scheme of the user’s own says in the announced schema what it is for', () => {
    const { oneOf } = (configJsonSchema as { properties: { auth: { oneOf: { properties: object }[] } } }).properties
      .auth;
    const { properties } = oneOf[0]!;
    const plain = ['type', 'algorithm', 'encoding', 'signature_header'];
    const silent = Object.entries(properties).filter(([, of]) => !(of as { description?: string }).description);
    expect(silent.map(([name]) => name)).toEqual(plain);
    expect(Object.keys(properties)).toEqual(
      expect.arrayContaining(['signature_pair', 'timestamp_pair', 'separator', 'secret_encoding', 'id_header']),
    );
  });

  const jwt = { type: 'jwt', issuer: 'i', audience: 'a' };
  it.each([
    ['a key with a part of a private one', { auth: { ...jwt, keys: [{ kty: 'RSA', n: 'n', e: 'e', p: 'secret' }] } }],
    ['a shared key', { auth: { ...jwt, keys: [{ kty: 'OKP', k: 'secret' }] } }],
    ['a password in jwks_url', { auth: { ...jwt, jwks_url: 'https://me:secret@keys.example.com/k' } }],
    ['a user in jwks_url', { auth: { ...jwt, jwks_url: 'HTTPS://secret@keys.example.com' } }],
    ['a password in an odd jwks_url', { auth: { ...jwt, jwks_url: 'https:\\\\me:secret@keys.example.com/k' } }],
    ['a password after more slashes', { auth: { ...jwt, jwks_url: 'https:///me:secret@keys.example.com/k' } }],
    ['a password without slashes', { auth: { ...jwt, jwks_url: 'https:me:secret@keys.example.com/k' } }],
    ['a header with secrets for an ordering key', { auth, ordering_key: { header: 'AuthoriZation' } }],
    ["a vendor's signature for an ordering key", { auth, ordering_key: { header: 'x-hub-signature-256' } }],
    ['a header with secrets for an id', { auth, dedupe: { header: 'Cookie' } }],
    ['a placeholder of presets', { auth: { ...auth, signed: '{crc32}.{body}' } }],
    ['an id that lies nowhere', { auth: { ...auth, signed: '{id}.{body}' } }],
    ['an id in a header with secrets', { auth: { ...auth, signed: '{id}.{body}', id_header: 'Cookie' } }],
    ['a time in a pair, beside a signature in none', { auth: { ...timed, timestamp_pair: 't' } }],
    ['a pair without a name', { auth: { ...auth, signature_pair: '' } }],
    ['signatures that are parted by what may be of one', { auth: { ...auth, separator: '=' } }],
    ['a secret that is no hex', { auth: { ...auth, secret_encoding: 'hex', secrets: ['0a', '0'] } }],
    ['a secret that is no base64', { auth: { ...auth, secret_encoding: 'base64', secrets: ['AA==', 'AA'] } }],
    ['an encoding of secrets that is not known', { auth: { ...auth, secret_encoding: 'latin1' } }],
    ['a placeholder that is not known', { auth: { ...auth, signed: '{nope}.{body}' } }],
  ])('the announced schema refuses %s', (_, config) => {
    expect(problem(config)).not.toBe('');
    expect(problem(config)).not.toContain('secret@');
    expect(announced(config)).toBe(false);
  });

  it.each([
    { auth: { ...jwt, keys: [{ kty: 'RSA', n: 'n', e: 'e', kid: 'd', use: 'sig' }] } },
    { auth: { ...jwt, jwks_url: 'https://keys.example.com:8443/a@b?c=d@e' } },
    { auth: { ...jwt, jwks_url: 'http://[::1]' } },
    { auth: { ...auth, signed: '{"method":"{method}","x":{},"body":{body}}' } },
    { auth: { ...timed, signature_pair: 'v1', timestamp_pair: 't', separator: ';' } },
    { auth: { ...named, secret_encoding: 'base64', secrets: ['whsec_AQIDBA==', 'AQIDBA=='] } },
    { auth: { ...named, ...dated, signed: '{id}{timestamp}{body}' } },
    { auth: { ...named, ...dated, signed: '{timestamp}{id}.{body}' } },
    { auth: { ...timed, timestamp_header: 'X-Time', secret_encoding: 'hex', secrets: ['0aF0'] } },
    { auth, dedupe: { header: 'X-Authorization-Id' }, ordering_key: { header: 'X-Host' } },
  ])('the announced schema takes %j', (config) => {
    expect(problem(config)).toBe('');
    expect(announced(config)).toBe(true);
  });

  it('a secret that can not be a key of its scheme is told before it is served', () => {
    const { pem } = authority();
    const row = { sealed: null, id: 'str_x', name: 's', status: 'running', desired: 'running' };
    const config = { auth: { type: 'preset', preset: 'sendgrid', secrets: ['no public key'] } };
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
