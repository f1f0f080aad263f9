import { localBase, publicBase, readIngestEnv, tlsFiles } from './env.js';

const env = (more: Record<string, string>) =>
  readIngestEnv({
    DATABASE_URL: 'postgres://u@127.0.0.1/x',
    REDIS_URL: 'redis://127.0.0.1',
    ENCRYPTION_KEY: Buffer.alloc(32).toString('base64'),
    ...more,
  });

it('senders are given INGEST_URL, else where this instance is found on its machine', () => {
  expect([localBase(env({})), publicBase(env({ HOST: '::', INGEST_PORT: '3009' }))]).toEqual([
    'http://127.0.0.1:3001',
    'http://[::1]:3009',
  ]);
  const given = env({ HOST: '::1', INGEST_URL: 'https://hooks.example.com/' });
  expect([localBase(given), publicBase(given)]).toEqual(['http://[::1]:3001', 'https://hooks.example.com']);
});

it('proxies that are trusted are addresses and networks', () => {
  expect(env({}).INGEST_TRUSTED_PROXIES).toEqual([]);
  const given = env({ INGEST_TRUSTED_PROXIES: '10.0.0.7, fd00::/8,' });
  expect(given.INGEST_TRUSTED_PROXIES).toEqual(['10.0.0.7', 'fd00::/8']);
  expect(() => env({ INGEST_TRUSTED_PROXIES: 'my-proxy' })).toThrow('INGEST_TRUSTED_PROXIES has to be addresses');
});

it('TLS at the door takes both files, and the address that senders dial', () => {
  const files = { INGEST_TLS_CERT_FILE: '/tls/cert.pem', INGEST_TLS_KEY_FILE: '/tls/key.pem' };
  const given = env({ ...files, INGEST_URL: 'https://hooks.example.com' });
  expect([tlsFiles(given), localBase(given)]).toEqual([
    { cert: '/tls/cert.pem', key: '/tls/key.pem' },
    'https://127.0.0.1:3001',
  ]);
  expect(tlsFiles(env({}))).toBeNull();
  expect(() => env({ INGEST_TLS_CERT_FILE: '/tls/cert.pem' })).toThrow('needed together');
  for (const given of [files, { ...files, INGEST_URL: 'http://hooks.example.com' }])
    expect(() => env(given)).toThrow('INGEST_URL has to be the https:// address');
});
