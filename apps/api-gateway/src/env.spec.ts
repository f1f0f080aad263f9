import { gatewayEnv, ingestBase } from './env.js';

const base = (more: Record<string, string>) =>
  ingestBase(
    gatewayEnv({
      DATABASE_URL: 'postgres://u@127.0.0.1/x',
      REDIS_URL: 'redis://127.0.0.1',
      ENCRYPTION_KEY: Buffer.alloc(32).toString('base64'),
      ...more,
    }),
  );

it('ingest addresses begin with INGEST_URL, else with where the door is found on this machine', () => {
  expect([
    base({}),
    base({ HOST: '::', INGEST_PORT: '3009' }),
    base({ HOST: '::1', INGEST_URL: 'https://hooks.example.com/' }),
  ]).toEqual(['http://127.0.0.1:3001', 'http://[::1]:3009', 'https://hooks.example.com']);
});
