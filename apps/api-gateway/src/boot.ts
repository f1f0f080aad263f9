import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { asLog, bootApp, createLogger } from '@planasonix/service';
import { composeGateway } from './composition.js';
import { RouteTable } from './contract/route-table.js';
import type { GatewayEnv } from './env.js';
import { GatewayModule } from './gateway.module.js';
import { ApiErrorFilter } from './http/api-error.filter.js';
import { requestLog } from './http/request-log.js';
import { fastifyOptions, serve } from './http/serve.js';

const NAME = 'api-gateway';

/** Boots the gateway. Resolves when it listens. */
export async function boot(env: GatewayEnv): Promise<NestFastifyApplication> {
  const logger = createLogger(NAME, env.LOG_LEVEL);
  const log = requestLog(asLog(logger));
  const gateway = await composeGateway(env, log);
  const made = await gateway.keys.ensureFirst(env.PLANASONIX_API_KEY ?? null);
  // Shown this once, to whoever starts it; it is stored nowhere and stands in no log line.
  if (made !== null) process.stdout.write(`The first API key, shown this once: ${made}\n`);
  // Without the limits nothing is created: have them before the first request, if Redis is there.
  await gateway.limits.connect();
  const routes = new RouteTable();
  const filter = new ApiErrorFilter(routes, log);
  const app = await bootApp({
    name: NAME,
    env,
    logger,
    module: GatewayModule.over(gateway, filter),
    port: env.PORT,
    fastify: fastifyOptions(filter, gateway.limits) as never,
    configure: (nest) => serve(nest, gateway, routes),
    // Without Redis reads answer and commands are kept: that is no reason to take this gateway out of service.
    dependencies: () => [{ name: 'postgres', check: () => gateway.store.query('SELECT 1') }],
  }).catch(async (error: unknown) => {
    await gateway.close();
    throw error;
  });
  gateway.start();
  return app;
}
