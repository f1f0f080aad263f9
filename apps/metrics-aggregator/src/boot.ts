import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { MetricsStore } from '@planasonix/metrics';
import { asLog, bootApp, countersMicroservice, createLogger } from '@planasonix/service';
import { MetricsSnapshotStore, openStore, SecretBox, StreamStore } from '@planasonix/store';
import { Redis } from 'ioredis';
import { AggregatorModule } from './aggregator.module.js';
import type { AggregatorEnv } from './env.js';
import { StreamCensus } from './stream-census.js';

export const NAME = 'metrics-aggregator';

/** What can't be written now is made good by the next report: nothing waits in a queue (Invariant 6). */
function countersRedis(url: string): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    connectTimeout: 1500,
    commandTimeout: 2000,
    // Commands that time out leave their connection as it is, and one that the network has swallowed stays so for ever.
    socketTimeout: 5000,
    retryStrategy: (times) => Math.min(50 * 2 ** times, 1000),
  });
  redis.on('error', () => undefined);
  return redis;
}

/** Waits for Postgres; Redis may come later. Any number of instances may run. */
export async function boot(env: AggregatorEnv): Promise<NestFastifyApplication> {
  const logger = createLogger(NAME, env.LOG_LEVEL);
  const store = await openStore(env.DATABASE_URL, { log: asLog(logger), poolSize: 3 });
  const redis = countersRedis(env.REDIS_URL);
  const close = async () => {
    redis.disconnect();
    await store.destroy();
  };
  const streams = new StreamStore(store, new SecretBox(env.ENCRYPTION_KEY, env.ENCRYPTION_KEYS_OLD));
  return bootApp({
    name: NAME,
    env,
    logger,
    port: env.HEALTH_PORT,
    events: countersMicroservice(env, asLog(logger)),
    module: AggregatorModule.of({
      metrics: new MetricsStore(redis),
      census: new StreamCensus(streams),
      snapshots: new MetricsSnapshotStore(store),
      close,
    }),
    dependencies: () => [
      { name: 'redis', check: () => redis.ping() },
      { name: 'store', check: () => store.query('SELECT 1') },
    ],
  }).catch(async (error: unknown) => {
    await close();
    throw error;
  });
}
