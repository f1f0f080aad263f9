import { statSync } from 'node:fs';
import path from 'node:path';
import { tempDir } from '@planasonix/testing';
import { readLaunchEnv } from './env.js';
import { newApiKey, newEncryptionKey, openState } from './state.js';

describe('local state', () => {
  it('makes a secret once and keeps it for the owner alone', () => {
    const root = tempDir('state');
    const first = openState(root).secret('api-key', newApiKey);
    expect(first.made).toBe(true);
    expect(first.value).toMatch(/^plnx_live_[\w-]{43}$/);
    expect(openState(root).secret('api-key', newApiKey)).toEqual({ value: first.value, made: false });
    expect(statSync(path.join(root, '.planasonix/api-key')).mode & 0o777).toBe(0o600);
    expect(Buffer.from(newEncryptionKey(), 'base64')).toHaveLength(32);
  });

  it('remembers ports', () => {
    const root = tempDir('state');
    expect(openState(root).port('redis')).toBeNull();
    openState(root).rememberPort('redis', 1234);
    openState(root).rememberPort('postgres', 1235);
    expect([openState(root).port('redis'), openState(root).port('postgres')]).toEqual([1234, 1235]);
  });
});

describe('the launcher’s environment', () => {
  it('has defaults, and takes an empty variable as none', () => {
    expect(readLaunchEnv({ DATABASE_URL: '' })).toMatchObject({
      databaseUrl: null,
      redisUrl: null,
      host: '127.0.0.1',
      port: 3000,
      ingestPort: 3001,
      workers: 1,
      underNpm: false,
    });
  });

  it('refuses a HOST that is no address, as some shells and compilers set it', () => {
    expect(() => readLaunchEnv({ HOST: 'x86_64-conda-linux-gnu' })).toThrow(
      'HOST is the address to listen on, and "x86_64-conda-linux-gnu" is none: unset it, or HOST=127.0.0.1',
    );
    expect(readLaunchEnv({ HOST: '::1' }).host).toBe('::1');
  });

  it('names everything that is wrong at once', () => {
    const wrong = { PORT: '70000', WORKERS: 'many', ENCRYPTION_KEY: 'c2hvcnQ=' };
    expect(() => readLaunchEnv(wrong)).toThrow(/PORT[^]*WORKERS[^]*ENCRYPTION_KEY|ENCRYPTION_KEY[^]*PORT[^]*WORKERS/);
  });
});
