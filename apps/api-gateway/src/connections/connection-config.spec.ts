import { weakerProtection } from './connection-config.js';

const scram = { sasl: { mechanism: 'scram-sha-512', username: 'u' } };
const plain = { sasl: { mechanism: 'plain', username: 'u' } };

describe('what a masked secret is not sent over', () => {
  it.each([
    ['a lower mode', { sslMode: 'require' }, { sslMode: 'prefer' }, 'ssl_mode'],
    ['no TLS', { tls: true }, { tls: false }, 'tls'],
    ['no authority', { sslMode: 'require', sslRootCert: 'A' }, { sslMode: 'require' }, 'ssl_root_cert'],
    [
      'another authority',
      { sslMode: 'verify-full', sslRootCert: 'A' },
      { sslMode: 'verify-full', sslRootCert: 'B' },
      'ssl_root_cert',
    ],
    [
      'one in place of those of the system',
      { sslMode: 'verify-full' },
      { sslMode: 'verify-full', sslRootCert: 'B' },
      'ssl_root_cert',
    ],
    ['another authority of brokers', { tls: true, sslRootCert: 'A' }, { tls: true, sslRootCert: 'B' }, 'ssl_root_cert'],
    ['the password in the clear', { tls: false, ...scram }, { tls: false, ...plain }, 'sasl.mechanism'],
    ['the password itself', { tls: true, ...scram }, { tls: true, ...plain }, 'sasl.mechanism'],
  ])('%s', (_, before, after, field) => expect(weakerProtection(before, after)).toBe(field));

  it.each([
    [
      { sslMode: 'require', sslRootCert: 'A' },
      { sslMode: 'verify-full', sslRootCert: 'A' },
    ],
    [
      { tls: false, ...plain },
      { tls: true, ...scram },
    ],
    [
      { tls: true, ...scram },
      { tls: true, sasl: { mechanism: 'scram-sha-256', username: 'v' } },
    ],
    [
      { tls: true, ...plain },
      { tls: true, ...plain },
    ],
    [{ database: 'a' }, { database: 'b' }],
    // Nobody's word was taken before.
    [{ sslMode: 'prefer' }, { sslMode: 'verify-full', sslRootCert: 'A' }],
    [{ sslMode: 'require' }, { sslMode: 'require', sslRootCert: 'A' }],
    [
      { sslMode: 'verify-full', sslRootCert: '' },
      { sslMode: 'verify-full', sslRootCert: null },
    ],
  ])('but over the same, and what is stronger: %j → %j', (before, after) =>
    expect(weakerProtection(before, after)).toBeNull(),
  );
});
