import { freePort } from '@planasonix/testing';
import { readLaunchEnv, type LaunchEnv } from './env.js';
import { portIsFree } from './port.js';
import { openServers } from './servers.js';
import { endAsked } from './signals.js';
import { builtApps, chosenApps, launch, startStack, type StackOptions } from './stack.js';
import { newApiKey, newEncryptionKey, openState } from './state.js';

const say = (line: string) => void process.stdout.write(`${line}\n`);

interface FirstKey {
  readonly value: string;
  readonly made: boolean;
  /** By the user, in the environment. */
  readonly given: boolean;
}

/** `npm start`: the whole system on this machine. @returns the exit code. */
export async function start(root: string): Promise<number> {
  const env = readLaunchEnv();
  const asked = endAsked(env.underNpm);
  await refuseTakenPorts(env, chosenApps(root, env.connectors));
  const { options, stop, key } = await prepare(root, env);
  try {
    const stack = await startStack(options);
    const ready = stack.ready().then((up) => {
      if (!up) return;
      say(`Planasonix Streams is ready: ${stack.url} (documentation: ${stack.url}/api/docs)`);
      showKey(key);
    });
    const refused = stack.refused.then((app) => ({ why: `${app} does not start in this environment`, code: 1 }));
    const { why, code } = await Promise.race([asked.then((signal) => ({ why: signal, code: 0 })), refused]);
    say(`standalone | ending (${why}) …`);
    await stack.stop();
    await ready;
    return code;
  } finally {
    await stop();
  }
}

/** An app that can't have its port waits for it in silence. @throws Error naming the variable to set. */
export async function refuseTakenPorts(
  { host, port, ingestPort }: Pick<LaunchEnv, 'host' | 'port' | 'ingestPort'>,
  apps: readonly string[],
): Promise<void> {
  const wanted = { PORT: port, ...(apps.includes('webhook-ingest') ? { INGEST_PORT: ingestPort } : {}) };
  for (const [name, number] of Object.entries(wanted))
    if (!(await portIsFree(number, host))) throw new Error(`Port ${number} is in use: set ${name} to another one.`);
}

/** The first key is printed once, when it is made; one that the user has given never. */
function showKey({ value, made, given }: FirstKey): void {
  if (made) say(`API key, shown this once: ${value} (kept in .planasonix/api-key)`);
  else if (!given) say('The API key is in .planasonix/api-key.');
}

/** `npx nx serve <app>`: one app, over the servers of a running `start` or `serve`, or its own. */
export async function serve(root: string, app: string | undefined): Promise<number> {
  const apps = builtApps(root);
  if (!app || !apps.includes(app)) throw new Error(`serve: name an app: ${apps.join(', ')}.`);
  const env = readLaunchEnv();
  const asked = endAsked(env.underNpm);
  const { options, stop, key } = await prepare(root, env);
  showKey(key);
  const given = Number(env.inherited.HEALTH_PORT ?? 0);
  const process = launch(app, app, options, given || (await freePort()), false);
  const code = await Promise.race([asked.then(() => null), process.ended]);
  if (code === null) await process.stop(12_500);
  await stop();
  return code ?? 0;
}

async function prepare(root: string, env: LaunchEnv) {
  const state = openState(root);
  const key: FirstKey = env.apiKey
    ? { value: env.apiKey, made: false, given: true }
    : { ...state.secret('api-key', newApiKey), given: false };
  const servers = await openServers(state, env, (line) => say(`standalone | ${line}`));
  const options: StackOptions = {
    root,
    databaseUrl: servers.databaseUrl,
    redisUrl: servers.redisUrl,
    apiKey: key.value,
    encryptionKey: env.encryptionKey ?? state.secret('encryption-key', newEncryptionKey).value,
    host: env.host,
    port: env.port,
    workers: env.workers,
    connectors: env.connectors,
    env: env.inherited,
    write: say,
  };
  return { options, key, stop: () => servers.stop() };
}
