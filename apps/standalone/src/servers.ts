import { createConnection } from 'node:net';
import pg from 'pg';
import { freePort, startPostgres, startRedis } from '@planasonix/testing';
import type { LaunchEnv } from './env.js';
import { type LocalState, newPassword } from './state.js';

/** The servers that the apps need: those that the user named, or our own in `.planasonix/`. */
export interface Servers {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Ends those that this process started. */
  stop(): Promise<void>;
}

/** One of our own servers, which several launchers on this machine may share (`start` beside `serve`). */
interface OwnServer {
  readonly name: string;
  isUp(port: number): Promise<boolean>;
  start(port: number): Promise<{ stop(): Promise<void> }>;
}

/** So long a server of ours may take to answer a look, ms. */
const LOOK_MS = 2_000;

const connects = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    const say = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.setTimeout(LOOK_MS, () => say(false));
    socket.once('error', () => say(false));
    socket.once('connect', () => say(true));
  });

const postgres = (state: LocalState, password: string): OwnServer => ({
  name: 'postgres',
  async isUp(port) {
    const client = new pg.Client({
      ...{ host: '127.0.0.1', port, password, user: 'postgres', database: 'postgres' },
      // Whoever takes connections there and says nothing is not it, or is of no use.
      connectionTimeoutMillis: LOOK_MS,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return true;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => undefined);
    }
  },
  start: (port) => startPostgres({ dir: state.postgresDir(), port, password, config: { fsync: 'on' } }),
});

const redis = (state: LocalState): OwnServer => ({
  name: 'redis',
  isUp: (port) =>
    new Promise((resolve) => {
      const socket = createConnection({ port, host: '127.0.0.1' }, () => socket.write('CONFIG GET dir\r\n'));
      const say = (yes: boolean) => {
        socket.destroy();
        resolve(yes);
      };
      socket.setTimeout(LOOK_MS, () => say(false));
      socket.once('error', () => say(false));
      // Another Redis at this port is not ours.
      socket.once('data', (answer) => say(answer.toString().includes(state.redisDir())));
    }),
  start: (port) => startRedis({ dir: state.redisDir(), port }),
});

/** Uses the server if it runs already, starts it if not, and brings it back when it ends. */
async function hold(server: OwnServer, state: LocalState, say: (line: string) => void) {
  let mine: { stop(): Promise<void> } | null = null;
  let port = state.port(server.name) ?? (await freePort());
  if (!(await server.isUp(port))) {
    if (await connects(port)) port = await freePort();
    mine = await server.start(port);
  }
  state.rememberPort(server.name, port);

  let ended = false;
  let looking: Promise<void> = Promise.resolve();
  async function look(): Promise<void> {
    if (ended || (await server.isUp(port)) || ended) return;
    say(`${server.name} has ended; it is started again.`);
    try {
      mine = await server.start(port);
    } catch (error) {
      // Another launcher may have been quicker; the next look tells.
      if (!(await server.isUp(port))) say(`${server.name}: ${(error as Error).message}`);
    }
  }
  const timer = setInterval(() => {
    looking = looking.then(look);
  }, 2000);
  return {
    port,
    async stop() {
      ended = true;
      clearInterval(timer);
      await looking;
      await mine?.stop();
    },
  };
}

export async function openServers(state: LocalState, env: LaunchEnv, say: (line: string) => void): Promise<Servers> {
  const password = env.databaseUrl ? '' : state.secret('postgres-password', newPassword).value;
  const opened = await Promise.allSettled([
    env.databaseUrl ? Promise.resolve(null) : hold(postgres(state, password), state, say),
    env.redisUrl ? Promise.resolve(null) : hold(redis(state), state, say),
  ]);
  const held = opened.map((result) => (result.status === 'fulfilled' ? result.value : null));
  const stop = async () => {
    await Promise.allSettled(held.map(async (server) => server?.stop()));
  };
  for (const result of opened)
    if (result.status === 'rejected') {
      await stop();
      throw result.reason;
    }
  return {
    databaseUrl: env.databaseUrl ?? `postgresql://postgres:${password}@127.0.0.1:${held[0]!.port}/postgres`,
    redisUrl: env.redisUrl ?? `redis://127.0.0.1:${held[1]!.port}`,
    stop,
  };
}
