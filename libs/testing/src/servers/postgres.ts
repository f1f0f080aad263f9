import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { openTmp, postgresAccount } from './account.js';
import { guardFolder } from './guard.js';
import { freePort } from './port.js';
import { copyCluster, initCluster } from './postgres-data.js';
import { DEFAULT_POSTGRES, postgresFiles, postgresRelease, type PostgresVersion } from './postgres-files.js';
import { type ServerProcess, spawnServer } from './process.js';

export type StopMode = 'smart' | 'fast' | 'immediate';
const STOP_SIGNALS: Readonly<Record<StopMode, NodeJS.Signals>> = {
  smart: 'SIGTERM',
  fast: 'SIGINT',
  immediate: 'SIGQUIT',
};

export interface PostgresOptions {
  /** Major version; default 17. The others are on Linux x64 only. */
  readonly version?: PostgresVersion;
  /** Settings on top of the defaults (`wal_level=logical`, `fsync=off`, …). */
  readonly config?: Readonly<Record<string, string>>;
  /** Of the superuser `postgres`; default `postgres`. */
  readonly password?: string;
  /** A folder that stays, for a server that keeps its data. Default: a temporary one that goes with the server. */
  readonly dir?: string;
  /** Default: any free one. */
  readonly port?: number;
}

export interface Postgres {
  readonly host: string;
  readonly port: number;
  readonly password: string;
  /** URL of the superuser for a database; default `postgres`. */
  url(database?: string): string;
  readonly adminUrl: string;
  /** Data folder. */
  readonly dir: string;
  /** Of the postmaster; changes with a restart. */
  readonly pid: number;
  /** A connected client, ended by `stop` at the latest. */
  connect(database?: string): Promise<pg.Client>;
  /** Ends the server (default `fast`); a temporary data folder goes with it. */
  stop(mode?: StopMode): Promise<void>;
  /** Ends the server and keeps its data: `start()` brings it back. */
  halt(mode?: StopMode): Promise<void>;
  /** Ends and starts it on the same port with the same data, optionally with other settings. */
  restart(mode?: StopMode, config?: Readonly<Record<string, string>>): Promise<void>;
  /** SIGKILL, as in a crash. `start` brings it back. */
  kill(): Promise<void>;
  /** After `kill`. */
  start(): Promise<void>;
}

const DEFAULTS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  wal_level: 'logical',
  max_wal_senders: '40',
  max_replication_slots: '40',
  max_connections: '300',
  fsync: 'off',
  synchronous_commit: 'on',
  timezone: 'UTC',
  // English texts in the log, whatever the machine speaks.
  lc_messages: 'C',
};

export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const account = postgresAccount();
  const version = options.version ?? DEFAULT_POSTGRES;
  const files = postgresFiles(version, account);
  const own = (path: string) => {
    if (process.getuid?.() === 0) chownSync(path, account.uid, account.gid);
  };
  const folder = options.dir ?? mkdtempSync(join(openTmp(account), 'planasonix-pg-'));
  if (options.dir) mkdirSync(folder, { recursive: true });
  const release = options.dir ? () => undefined : guardFolder(folder);
  own(folder);
  chmodSync(folder, 0o700);
  const data = join(folder, 'data');
  const password = options.password ?? 'postgres';

  if (!existsSync(data)) {
    // Made under another name and renamed: a folder that is there is whole, whenever we were ended.
    const fresh = join(folder, 'data.new');
    rmSync(fresh, { recursive: true, force: true });
    const cluster = { files, account, password };
    // What stays is made by the server's own program alone.
    if (options.dir) await initCluster(cluster, fresh);
    else await copyCluster(cluster, postgresRelease(version), fresh);
    renameSync(fresh, data);
  }

  let config = { ...DEFAULTS, ...options.config };
  let port = options.port ?? (await freePort());
  let server: ServerProcess;
  const clients = new Set<pg.Client>();
  const url = (database = 'postgres') =>
    `postgresql://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/${encodeURIComponent(database)}`;

  async function connect(database?: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url(database) });
    // A server that is stopped under a client is what many tests are about; the next query says so.
    client.on('error', () => undefined);
    client.once('end', () => clients.delete(client));
    await client.connect();
    clients.add(client);
    return client;
  }

  /** One try; `null` when the server ended before it answered. */
  async function launch(): Promise<ServerProcess | null> {
    const settings = Object.entries({ ...config, port: String(port) }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ]);
    const started = await spawnServer(join(files, 'bin/postgres'), ['-D', data, ...settings], {
      logFile: join(folder, 'server.log'),
      cwd: '/',
      account,
      guard: 'QUIT',
    });
    const deadline = Date.now() + 60_000;
    while (started.running) {
      try {
        await (await connect()).end();
        return started;
      } catch (error) {
        if (Date.now() > deadline) {
          await started.end('SIGQUIT');
          throw new Error(`Postgres did not answer within 60 s: ${(error as Error).message}\n${started.tail()}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    lastWords = started.tail();
    return null;
  }

  let lastWords = '';
  async function start(): Promise<void> {
    // A port may be taken between the look and the start; after a kill the old backends take a moment to go.
    for (let attempt = 0; attempt < 100; attempt++) {
      const started = await launch();
      if (started) {
        server = started;
        return;
      }
      if (/Address already in use/.test(lastWords) && options.port === undefined && !server) port = await freePort();
      else if (/still in use|Address already in use|lock file/.test(lastWords))
        await new Promise((resolve) => setTimeout(resolve, 50));
      else break;
    }
    throw new Error(`Postgres did not start:\n${lastWords}`);
  }

  async function end(mode: StopMode): Promise<void> {
    await Promise.allSettled([...clients].map((client) => client.end()));
    await server.end(STOP_SIGNALS[mode], mode === 'smart' ? 60_000 : 15_000);
  }

  server = undefined as unknown as ServerProcess;
  await start();
  return {
    host: '127.0.0.1',
    get port() {
      return port;
    },
    password,
    url,
    get adminUrl() {
      return url();
    },
    dir: data,
    get pid() {
      return server.pid;
    },
    connect,
    async stop(mode = 'fast') {
      await end(mode);
      if (options.dir) return;
      rmSync(folder, { recursive: true, force: true });
      release();
    },
    halt: (mode = 'immediate') => end(mode),
    async restart(mode = 'fast', changed = {}) {
      await end(mode);
      config = { ...config, ...changed };
      await start();
    },
    kill: () => server.end('SIGKILL'),
    start,
  };
}
