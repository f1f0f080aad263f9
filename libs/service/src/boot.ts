import 'reflect-metadata';
import { setTimeout as wait } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Redis } from 'ioredis';
import type { Logger as Pino } from 'pino';
import { EnvError, type ServiceEnv } from './env.js';
import { mountHealth, type Dependency } from './health.js';
import { createLogger } from './logger.js';
import { NestLog } from './nest-log.js';
import { redisMicroservice } from './redis-transport.js';

/** Time that open work gets at SIGTERM before the process ends all the same. */
const SHUTDOWN_MS = 12_000;

export interface BootOptions {
  readonly name: string;
  readonly env: ServiceEnv;
  /** A Nest module: a class, or what `forRoot` gave. */
  readonly module: Parameters<typeof NestFactory.create>[0];
  readonly port: number;
  /** Options of Fastify itself (body limit, request ids). */
  readonly fastify?: ConstructorParameters<typeof FastifyAdapter>[0];
  /** Also listens to events over Nest's Redis transport. */
  readonly redisEvents?: boolean;
  readonly logger?: Pino;
  configure?(app: NestFastifyApplication): void | Promise<void>;
  /** What readiness asks. */
  dependencies?(app: NestFastifyApplication): readonly Dependency[];
}

/**
 * Starts an app: HTTP with health and metrics, its own routes, optionally the event transport; and ends it in order.
 * `--check` on the command line only checks the configuration (the caller has read the environment by then).
 */
export async function bootApp(options: BootOptions): Promise<NestFastifyApplication> {
  const { name, env } = options;
  const logger = options.logger ?? createLogger(name, env.LOG_LEVEL);
  if (process.argv.includes('--check')) {
    process.stdout.write(`${name}: the configuration is right\n`);
    process.exit(0);
  }
  endOnFault(logger);
  const app = await NestFactory.create<NestFastifyApplication>(
    options.module,
    new FastifyAdapter({ forceCloseConnections: true, ...(options.fastify as object) }),
    {
      logger: new NestLog(logger),
      abortOnError: false,
      // The gateway reads bodies itself, so that bytes that are not JSON get our own answer.
      bodyParser: false,
    },
  );
  app.flushLogs();
  mountHealth(app, name, options.dependencies?.(app) ?? []);
  await options.configure?.(app);
  endOnSignal(app, logger);
  await app.listen(options.port, env.HOST);
  if (options.redisEvents) void listenForEvents(app, env.REDIS_URL, logger);
  logger.info({ url: await app.getUrl() }, 'listening');
  return app;
}

/** Nest's transport needs a server that is there when it begins; from then on it reconnects by itself. */
async function listenForEvents(app: NestFastifyApplication, url: string, logger: Pino): Promise<void> {
  const probe = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 500 });
  probe.on('error', () => undefined);
  await probe.ping();
  probe.disconnect();
  app.connectMicroservice(redisMicroservice(url), { inheritAppConfig: false });
  await app
    .startAllMicroservices()
    .catch((error: unknown) => logger.error({ err: error }, 'the event transport did not start'));
}

function endOnSignal(app: NestFastifyApplication, logger: Pino): void {
  let ending = false;
  const end = (signal: string) => {
    if (ending) return;
    ending = true;
    logger.info({ signal }, 'ending');
    void Promise.race([app.close(), wait(SHUTDOWN_MS, undefined, { ref: false })])
      .catch((error: unknown) => logger.error({ err: error }, 'ending met a fault'))
      .finally(() => process.exit(0));
  };
  process.once('SIGTERM', () => end('SIGTERM'));
  process.once('SIGINT', () => end('SIGINT'));
}

/** An error that nobody handles leaves a state that nobody knows: end, and let the supervisor start anew. */
function endOnFault(logger: Pino): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error }, event);
      process.exit(1);
    });
}

/** Runs `main`; a configuration that is not right is told in plain words. */
export function run(main: () => Promise<unknown>): void {
  main().catch((error: unknown) => {
    process.stderr.write(
      `${error instanceof EnvError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(1);
  });
}
