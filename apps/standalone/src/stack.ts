import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '@planasonix/testing';
import { masked, type WriteLine } from './log-lines.js';
import { supervise, type Supervised } from './supervised.js';

/** Apps that run once; every other app is a connector and runs `workers` times. */
const SINGLE = ['api-gateway', 'metrics-aggregator'];
const GATEWAY = 'api-gateway';
/** SIGTERM ends all within 15 s: the apps take 12 s at most to drain, the servers follow. */
const APP_STOP_MS = 12_500;

export interface StackOptions {
  readonly root: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly apiKey: string;
  readonly encryptionKey: string;
  readonly port: number;
  readonly workers: number;
  /** Passed on to the apps under what is made here. */
  readonly env: Readonly<Record<string, string>>;
  readonly write: WriteLine;
}

export interface Stack {
  readonly url: string;
  readonly processes: readonly Supervised[];
  /** Resolves when the gateway answers that it is ready, `false` when stopped before. */
  ready(): Promise<boolean>;
  stop(): Promise<void>;
}

/** Every app but this one, by name: a folder of `apps/` with a `src/main.ts`. */
export const builtApps = (root: string): string[] =>
  readdirSync(path.join(root, 'apps'))
    .filter((name) => name !== 'standalone' && existsSync(path.join(root, 'apps', name, 'src/main.ts')))
    .sort();

/** The environment of one app. The first key is for the gateway alone. */
export function appEnv(app: string, options: StackOptions, healthPort: number): Record<string, string> {
  const { PLANASONIX_API_KEY: _key, HEALTH_PORT: _port, ...inherited } = options.env;
  return {
    ...inherited,
    DATABASE_URL: options.databaseUrl,
    REDIS_URL: options.redisUrl,
    ENCRYPTION_KEY: options.encryptionKey,
    PORT: String(options.port),
    HEALTH_PORT: String(healthPort),
    ...(app === GATEWAY ? { PLANASONIX_API_KEY: options.apiKey } : {}),
  };
}

/** @param healthPort of an app other than the gateway. */
export function launch(app: string, name: string, options: StackOptions, healthPort: number, restarts: boolean) {
  return supervise({
    name,
    script: `dist/${app}/main.cjs`,
    cwd: options.root,
    env: appEnv(app, options, healthPort),
    write: masked(options.write, [options.apiKey, options.encryptionKey, options.databaseUrl, options.redisUrl]),
    restarts,
  });
}

export async function startStack(options: StackOptions): Promise<Stack> {
  const processes: Supervised[] = [];
  for (const app of builtApps(options.root)) {
    const count = SINGLE.includes(app) ? 1 : options.workers;
    for (let number = 1; number <= count; number++)
      processes.push(launch(app, count === 1 ? app : `${app}.${number}`, options, await freePort(), true));
  }
  const url = `http://127.0.0.1:${options.port}`;
  let stopped = false;
  return {
    url,
    processes,
    async ready() {
      while (!stopped) {
        const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5000) }).catch(() => null);
        if (answer?.ok) return true;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return false;
    },
    async stop() {
      stopped = true;
      await Promise.all(processes.map((process) => process.stop(APP_STOP_MS)));
    },
  };
}
