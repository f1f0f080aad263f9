import type { SourceType } from '@planasonix/core';
import { LEASE } from '@planasonix/engine';
import { asLog, bootApp, createLogger, run } from '@planasonix/service';
import { openStore } from '@planasonix/store';
import { Gauge } from 'prom-client';
import { Connector } from './connector.js';
import { ConnectorModule } from './connector.module.js';
import { readWorkerEnv } from './env.js';

/** A renewal that comes later than this is hardly worth having. */
const LEASE_ANSWER_MS = 4_000;

/**
 * A connector app: all that its `main.ts` has to call.
 * @param name of the app in logs; default: its source type
 */
export function runConnector(sourceType: SourceType, name = sourceType.type.replaceAll('_', '-')): void {
  run(async () => {
    const env = readWorkerEnv();
    const logger = createLogger(name, env.LOG_LEVEL);
    const boot = { name, env, port: env.HEALTH_PORT, logger, redisEvents: true };
    if (process.argv.includes('--check')) return bootApp({ ...boot, module: ConnectorModule });
    const log = asLog(logger);
    const store = await openStore(env.DATABASE_URL, { log, poolSize: 6 });
    // One for each renewal that may be under way, of leases and of shares, and two for heartbeats: nothing else that is
    // asked holds them up.
    const poolSize = LEASE.underWay * (sourceType.spreads === true ? 2 : 1) + 2;
    const leases = await openStore(env.DATABASE_URL, { log, poolSize, answerMs: LEASE_ANSWER_MS });
    const connector = new Connector(sourceType, env, store, leases, log);
    new Gauge({
      name: 'planasonix_streams_held',
      help: 'Streams that this worker holds',
      collect() {
        this.set(connector.host.health().held);
      },
    });
    const app = await bootApp({
      ...boot,
      module: ConnectorModule.of(connector),
      dependencies: () => [
        {
          name: 'announced',
          check: () =>
            connector.announced
              ? Promise.resolve()
              : Promise.reject(new Error('the gateway does not know this type yet')),
        },
        {
          name: 'store',
          check: () =>
            connector.host.health().ok
              ? store.query('SELECT 1')
              : Promise.reject(new Error('leases can not be renewed')),
        },
      ],
    });
    await connector.start();
    return app;
  });
}
