import { EnvError, port, readEnv } from './env.js';

const RIGHT = {
  DATABASE_URL: 'postgres://u:p@127.0.0.1:5432/meta',
  REDIS_URL: 'redis://127.0.0.1:6379',
  ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
};

const problems = (source: Record<string, string>): readonly string[] => {
  try {
    readEnv({ PORT: port(3000) }, source);
    return [];
  } catch (error) {
    return (error as EnvError).problems;
  }
};

describe('the environment', () => {
  it('has defaults for everything but the stores and the key', () => {
    expect(readEnv({ PORT: port(3000) }, RIGHT)).toMatchObject({
      ...RIGHT,
      PORT: 3000,
      HEALTH_PORT: 0,
      HOST: '127.0.0.1',
      LOG_LEVEL: 'info',
      OUTBOUND_POLICY: 'allow-private',
      ENCRYPTION_KEYS_OLD: [],
    });
  });

  it('is stricter and reachable in production, unless told otherwise', () => {
    const production = { ...RIGHT, NODE_ENV: 'production' };
    expect(readEnv({}, production)).toMatchObject({ HOST: '0.0.0.0', OUTBOUND_POLICY: 'public-only' });
    expect(readEnv({}, { ...production, HOST: '10.0.0.1', OUTBOUND_POLICY: 'allow-private' })).toMatchObject({
      HOST: '10.0.0.1',
      OUTBOUND_POLICY: 'allow-private',
    });
  });

  it('reports all problems at once, each with the name of its variable', () => {
    const found = problems({ DATABASE_URL: 'mysql://x', ENCRYPTION_KEY: 'short', PORT: '70000', LOG_LEVEL: 'loud' });
    expect(found.map((problem) => problem.split(' ')[0]).sort()).toEqual([
      'DATABASE_URL',
      'ENCRYPTION_KEY',
      'LOG_LEVEL',
      'PORT',
      'REDIS_URL',
    ]);
    expect(found.join()).toMatch(/REDIS_URL is needed/);
  });

  it.each([
    ['PORT', '3e3'],
    ['PORT', '-1'],
    ['PORT', '0x10'],
    ['DATABASE_URL', 'postgres://'],
    ['REDIS_URL', 'redis:'],
    ['REDIS_URL', 'http://x'],
    ['ENCRYPTION_KEY', Buffer.alloc(31).toString('base64')],
    ['ENCRYPTION_KEY', '!'.repeat(44)],
    ['ENCRYPTION_KEYS_OLD', 'deadbeef:AAAA'],
    ['OUTBOUND_POLICY', 'all'],
    ['METRICS_TRANSPORT', 'pigeon'],
    ['METRICS_KAFKA_BROKERS', 'one:9092,two'],
  ])('%s can not be %s', (name, value) => {
    const found = problems({ ...RIGHT, [name]: value });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(new RegExp(`^${name} (has to|can)`));
  });

  it('counters over Kafka need its brokers', () => {
    expect(problems({ ...RIGHT, METRICS_TRANSPORT: 'kafka' })).toEqual([
      expect.stringMatching(/^METRICS_KAFKA_BROKERS is needed/),
    ]);
    const env = readEnv({}, { ...RIGHT, METRICS_TRANSPORT: 'kafka', METRICS_KAFKA_BROKERS: 'one:9092, two:9092' });
    expect(env.METRICS_KAFKA_BROKERS).toEqual(['one:9092', 'two:9092']);
  });

  it('an empty variable is one that is not set', () => {
    expect(readEnv({ PORT: port(3000) }, { ...RIGHT, PORT: '', HOST: '' })).toMatchObject({
      PORT: 3000,
      HOST: '127.0.0.1',
    });
  });

  it('old keys come with or without their id', () => {
    const [one, two] = [Buffer.alloc(32, 2).toString('base64'), Buffer.alloc(32, 3).toString('base64')];
    expect(readEnv({}, { ...RIGHT, ENCRYPTION_KEYS_OLD: `0a1b2c3d:${one}, ${two}` }).ENCRYPTION_KEYS_OLD).toEqual([
      one,
      two,
    ]);
  });

  it('no message shows what was given: it may be a secret in the wrong place', () => {
    const canary = 'c4nary-7';
    const found = problems({
      DATABASE_URL: canary,
      REDIS_URL: canary,
      ENCRYPTION_KEY: canary,
      PORT: canary,
      LOG_LEVEL: canary,
      NODE_ENV: canary,
    });
    expect(found).toHaveLength(6);
    expect(found.join()).not.toContain(canary);
  });
});
