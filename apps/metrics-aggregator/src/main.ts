import { MetricsStore } from '@planasonix/metrics';
import { asLog, bootApp, createLogger, run } from '@planasonix/service';
import { MetricsSnapshotStore, openStore, SecretBox, StreamStore } from '@planasonix/store';
import { Redis } from 'ioredis';
import { AggregatorModule } from './aggregator.module.js';
import { readAggregatorEnv } from './env.js';
import { StreamCensus } from './stream-census.js';

const NAME = 'metrics-aggregator';

run(async () => {
  const env = readAggregatorEnv();
  const logger = createLogger(NAME, env.LOG_LEVEL);
  const boot = { name: NAME, env, port: env.HEALTH_PORT, logger, redisEvents: true };
  if (process.argv.includes('--check')) return bootApp({ ...boot, module: AggregatorModule });
  const store = await openStore(env.DATABASE_URL, { log: asLog(logger), poolSize: 3 });
  const redis = new Redis(env.REDIS_URL, { maxRetriesPerRequest: 1, enableOfflineQueue: false });
  redis.on('error', () => undefined);
  const streams = new StreamStore(store, new SecretBox(env.ENCRYPTION_KEY, env.ENCRYPTION_KEYS_OLD));
  return bootApp({
    ...boot,
    module: AggregatorModule.of({
      metrics: new MetricsStore(redis),
      census: new StreamCensus(streams),
      snapshots: new MetricsSnapshotStore(store),
    }),
    dependencies: () => [
      { name: 'redis', check: () => redis.ping() },
      { name: 'store', check: () => store.query('SELECT 1') },
    ],
  });
});
