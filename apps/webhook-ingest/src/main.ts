import { asLog, bootApp, createLogger, run } from '@planasonix/service';
import { openStore } from '@planasonix/store';
import { WebhookIngest } from './app.js';
import { readIngestEnv } from './env.js';
import { IngestModule } from './ingest.module.js';

const NAME = 'webhook-ingest';

run(async () => {
  const env = readIngestEnv();
  const logger = createLogger(NAME, env.LOG_LEVEL);
  const boot = { name: NAME, env, port: env.HEALTH_PORT, logger, redisEvents: true };
  if (process.argv.includes('--check')) return bootApp({ ...boot, module: IngestModule });
  const log = asLog(logger);
  const store = await openStore(env.DATABASE_URL, { log, poolSize: 6 });
  const ingest = new WebhookIngest(env, store, log);
  const app = await bootApp({
    ...boot,
    module: IngestModule.of(ingest),
    dependencies: () => [
      {
        name: 'announced',
        check: () =>
          ingest.announced ? Promise.resolve() : Promise.reject(new Error('the gateway does not know this type yet')),
      },
      {
        name: 'store',
        check: () => (ingest.isFresh() ? Promise.resolve() : Promise.reject(new Error('the store does not answer'))),
      },
    ],
  });
  await ingest.start();
  return app;
});
