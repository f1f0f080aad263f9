import 'reflect-metadata';
import { setTimeout as wait } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger as Pino } from 'pino';
import { EXIT_CONFIG } from '@planasonix/core';
import { EnvError, type ServiceEnv } from './env.js';
import { mountHealth, type Dependency } from './health.js';
import { watchRequests } from './http-log.js';
import { createLogger } from './logger.js';
import { NestLog } from './nest-log.js';
import { plainText } from './redaction.js';
import { redisMicroservice } from './redis-transport.js';

/** Time that open work gets at SIGTERM before the process ends all the same. */
const SHUTDOWN_MS = 12_000;
/** Requests that are being answered get this much of it: a command waits 5 s for its worker. */
const ANSWERS_MS = 5500;

export interface BootOptions {
  readonly name: string;
  readonly env: ServiceEnv;
  /** A Nest module: a class, or what `forRoot` gave. */
  readonly module: Parameters<typeof NestFactory.create>[0];
  readonly port: number;
  /** Options of Fastify itself (body limit, request ids). */
  readonly fastify?: ConstructorParameters<typeof FastifyAdapter>[0];
  /** Also listens to events over Nest's Redis transport. Redis may be down: it is listened to once it comes. */
  readonly redisEvents?: boolean;
  /** Listens to events over this transport. It may be down: it is listened to once it comes. */
  readonly events?: MicroserviceOptions;
  readonly logger?: Pino;
  configure?(app: NestFastifyApplication): void | Promise<void>;
  /** What readiness asks. */
  dependencies?(app: NestFastifyApplication): readonly Dependency[];
}

/** `--check` on the command line: the environment has been read and is right; say so and end. Connects to nothing. */
export function endAfterCheck(name: string): void {
  if (!process.argv.includes('--check')) return;
  process.stdout.write(`${name}: the configuration is right\n`);
  process.exit(0);
}

/** Starts an app: HTTP with health and metrics, its own routes, optionally the event transport; and ends it in order. */
export async function bootApp(options: BootOptions): Promise<NestFastifyApplication> {
  const { name, env } = options;
  endAfterCheck(name);
  const logger = options.logger ?? createLogger(name, env.LOG_LEVEL);
  endOnFault(logger);
  const app = await NestFactory.create<NestFastifyApplication>(
    options.module,
    new FastifyAdapter({ forceCloseConnections: 'idle', ...(options.fastify as object) }),
    {
      logger: new NestLog(logger),
      abortOnError: false,
      // The gateway reads bodies itself, so that bytes that are not JSON get our own answer.
      bodyParser: false,
    },
  );
  app.flushLogs();
  boundAnswers(app);
  watchRequests(app, name, logger);
  mountHealth(app, name, options.dependencies?.(app) ?? []);
  await options.configure?.(app);
  endOnSignal(app, logger);
  const events = options.events ?? (options.redisEvents ? redisMicroservice(env.REDIS_URL) : null);
  if (events !== null) {
    app.connectMicroservice(events, { inheritAppConfig: false });
    await app.startAllMicroservices();
  }
  await app.listen(options.port, env.HOST);
  logger.info({ url: await app.getUrl() }, 'listening');
  return app;
}

/** At the end, requests that are under way are answered, but not waited for without a bound. */
function boundAnswers(app: NestFastifyApplication): void {
  const http = app.getHttpAdapter().getInstance();
  http.addHook('preClose', (done) => {
    // A connection that a client keeps alive would be waited for, though its answer has been given.
    const tidy = setInterval(() => http.server.closeIdleConnections(), 50).unref();
    const last = setTimeout(() => http.server.closeAllConnections(), ANSWERS_MS).unref();
    http.server.once('close', () => {
      clearInterval(tidy);
      clearTimeout(last);
    });
    done();
  });
}

function endOnSignal(app: NestFastifyApplication, logger: Pino): void {
  let ending = false;
  const end = (signal: string) => {
    // The terminal and the supervisor may both say it; once is enough.
    if (ending) return;
    ending = true;
    logger.info({ signal }, 'ending');
    void Promise.race([app.close().then(() => 'ended'), wait(SHUTDOWN_MS, 'late')])
      .then((how) => how === 'late' && logger.error({ ms: SHUTDOWN_MS }, 'not everything ended in time'))
      .catch((error: unknown) => logger.error({ err: error }, 'ending met a fault'))
      .finally(() => process.exit(0));
  };
  process.on('SIGTERM', () => end('SIGTERM'));
  process.on('SIGINT', () => end('SIGINT'));
}

/** An error that nobody handles leaves a state that nobody knows: end, and let the supervisor start anew. */
function endOnFault(logger: Pino): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error }, event);
      process.exit(1);
    });
}

/** Runs `main`; a configuration that is not right is told in plain words, anything else without secrets. */
export function run(main: () => Promise<unknown>): void {
  Promise.resolve()
    .then(main)
    .catch((error: unknown) => {
      const told = error instanceof Error ? (error.stack ?? error.message) : String(error);
      process.stderr.write(`${error instanceof EnvError ? error.message : plainText(told)}\n`);
      process.exit(error instanceof EnvError ? EXIT_CONFIG : 1);
    });
}
