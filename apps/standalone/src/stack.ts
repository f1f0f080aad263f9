import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { EXIT_CONFIG, urlOf } from '@planasonix/core';
import { freePort } from '@planasonix/testing';
import { masked, type WriteLine } from './log-lines.js';
import { supervise, type Supervised } from './supervised.js';

/** Apps that run once; every other app is a connector and runs `workers` times. */
const SINGLE = ['api-gateway', 'metrics-aggregator'];
const GATEWAY = 'api-gateway';
/** SIGTERM ends all within 15 s: the apps take 12 s at most to drain, the servers follow. */
const APP_STOP_MS = 12_500;
/** The door opens without a connector that takes longer than this: it may be the one that never comes up. */
const CONNECTORS_MS = 20_000;
/** What one look at an app's readiness may take; a stop waits for none. */
const ANSWER_MS = 5000;
const LOOK_MS = 100;

export interface StackOptions {
  readonly root: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly apiKey: string;
  readonly encryptionKey: string;
  /** Where the apps listen, and on which port the gateway does. */
  readonly host: string;
  readonly port: number;
  readonly workers: number;
  /** Names of the connectors that run; `null`: all. */
  readonly connectors: readonly string[] | null;
  /** Passed on to the apps under what is made here. */
  readonly env: Readonly<Record<string, string>>;
  readonly write: WriteLine;
}

export interface Stack {
  readonly url: string;
  /** Resolves when the gateway answers that it is ready, `false` when stopped before. */
  ready(): Promise<boolean>;
  /** Resolves with the name of an app that does not start in this environment; it has said why. */
  readonly refused: Promise<string>;
  stop(): Promise<void>;
}

/** Every app but this one, by name: a folder of `apps/` with a `src/main.ts`. */
export const builtApps = (root: string): string[] =>
  readdirSync(path.join(root, 'apps'))
    .filter((name) => name !== 'standalone' && existsSync(path.join(root, 'apps', name, 'src/main.ts')))
    .sort();

/** Those that are to run. @throws Error naming the connectors that there are, for a name that none has */
export function chosenApps(root: string, connectors: readonly string[] | null): string[] {
  const apps = builtApps(root);
  if (connectors === null) return apps;
  const known = apps.filter((app) => !SINGLE.includes(app));
  const unknown = connectors.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`CONNECTORS: there is no "${unknown}"; there are ${known.join(', ')}.`);
  return apps.filter((app) => SINGLE.includes(app) || connectors.includes(app));
}

/** The environment of one app. The first key is for the gateway alone. */
export function appEnv(app: string, options: StackOptions, healthPort: number): Record<string, string> {
  const { PLANASONIX_API_KEY: _key, HEALTH_PORT: _port, ...inherited } = options.env;
  return {
    ...inherited,
    DATABASE_URL: options.databaseUrl,
    REDIS_URL: options.redisUrl,
    ENCRYPTION_KEY: options.encryptionKey,
    HOST: options.host,
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

/** @returns whether the app behind `url` said within `withinMs` that it is ready. */
async function readyAt(url: string, stopped: AbortSignal, withinMs = Infinity): Promise<boolean> {
  for (const until = performance.now() + withinMs; !stopped.aborted && performance.now() < until;) {
    // Not `AbortSignal.timeout` within `AbortSignal.any`: Node 20 may collect it as garbage, and then it never fires.
    const over = new AbortController();
    const end = () => over.abort();
    const timer = setTimeout(end, ANSWER_MS);
    stopped.addEventListener('abort', end);
    const answer = await fetch(`${url}/health/ready`, { signal: over.signal }).catch(() => null);
    clearTimeout(timer);
    stopped.removeEventListener('abort', end);
    if (answer?.ok) return true;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return false;
}

/** Free ports, none twice: one is free until somebody listens there. @param spokenFor those that others will have. */
export function distinctPorts(spokenFor: readonly number[], draw = freePort): () => Promise<number> {
  const given = new Set(spokenFor);
  return async () => {
    for (;;) {
      const port = await draw();
      if (given.has(port)) continue;
      given.add(port);
      return port;
    }
  };
}

/** Starts the apps; the gateway once the connectors have announced their source types, so that its first answers know them. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const processes: Supervised[] = [];
  const connectors: string[] = [];
  let refuse: (app: string) => void = () => undefined;
  const refused = new Promise<string>((resolve) => (refuse = resolve));
  const run = (...[app, name, of, port]: Parameters<typeof launch>): void => {
    const started = launch(app, name, of, port, true);
    processes.push(started);
    void started.ended.then((code) => code === EXIT_CONFIG && refuse(name));
  };
  const nextPort = distinctPorts([options.port, Number(options.env.INGEST_PORT)]);
  for (const app of chosenApps(options.root, options.connectors).filter((one) => one !== GATEWAY)) {
    const count = SINGLE.includes(app) ? 1 : options.workers;
    for (let number = 1; number <= count; number++) {
      const port = await nextPort();
      run(app, count === 1 ? app : `${app}.${number}`, options, port, true);
      if (!SINGLE.includes(app)) connectors.push(urlOf(options.host, port));
    }
  }
  const stopping = new AbortController();
  const announced = Promise.all(connectors.map((url) => readyAt(url, stopping.signal, CONNECTORS_MS)));
  const opened = announced.then(() => {
    if (!stopping.signal.aborted) run(GATEWAY, GATEWAY, options, 0, true);
  });
  const url = urlOf(options.host, options.port);
  return {
    url,
    refused,
    ready: () => opened.then(() => readyAt(url, stopping.signal)),
    async stop() {
      stopping.abort();
      await opened;
      await Promise.all(processes.map((process) => process.stop(APP_STOP_MS)));
    },
  };
}
