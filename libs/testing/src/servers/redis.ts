import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis as Client, type RedisOptions as ClientOptions } from 'ioredis';
import { mendAof } from './aof.js';
import { guardFolder } from './guard.js';
import { freePort } from './port.js';
import { type ServerProcess, spawnServer } from './process.js';
import { redisServer } from './redis-file.js';

export interface RedisOptions {
  /** On top of the defaults: `['--appendfsync', 'everysec']`. */
  readonly args?: readonly string[];
  /** A folder that stays. Default: a temporary one that goes with the server. */
  readonly dir?: string;
  /** Default: any free one. */
  readonly port?: number;
  /** `false`: its file is left as a kill left it, as where nobody looks after it. Default: `mendAof`. */
  readonly mends?: boolean;
}

export interface Redis {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly dir: string;
  readonly pid: number;
  /** A connection, ended by `stop` at the latest. */
  client(options?: ClientOptions): Client;
  /** Ends the server; a temporary folder goes with it. */
  stop(): Promise<void>;
  /** SIGKILL, as in a crash. `start` brings it back with what was on disk. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** A log fills an AOF of 64 MB, Redis' own limit for its first rewrite, in a second. */
const DEFAULTS = [
  '--appendonly',
  'yes',
  '--appendfsync',
  'always',
  '--save',
  '',
  '--maxmemory-policy',
  'noeviction',
  '--auto-aof-rewrite-min-size',
  '1gb',
];

/** A plain socket: a client library would go on trying, or hold a timer. */
const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const say = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.setTimeout(2000, () => say(false));
    socket.once('error', () => say(false));
    socket.once('data', (answer) => say(answer.toString().startsWith('+PONG')));
    socket.write('PING\r\n');
  });

export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  const binary = redisServer();
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'planasonix-redis-'));
  mkdirSync(dir, { recursive: true });
  const release = options.dir ? () => undefined : guardFolder(dir);
  let port = options.port ?? (await freePort());
  let server: ServerProcess | null = null;
  const clients = new Set<Client>();

  function client(extra: ClientOptions = {}): Client {
    const made = new Client({ host: '127.0.0.1', port, maxRetriesPerRequest: null, disconnectTimeout: 100, ...extra });
    // A server that is killed under a client is what many tests are about.
    made.on('error', () => undefined);
    clients.add(made);
    return made;
  }

  async function start(): Promise<void> {
    if (options.mends !== false) mendAof(dir);
    for (let attempt = 0; attempt < 20; attempt++) {
      const args = [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--dir',
        dir,
        '--daemonize',
        'no',
        ...DEFAULTS,
        ...(options.args ?? []),
      ];
      const started = await spawnServer(binary, args, { logFile: join(dir, 'server.log'), cwd: dir, guard: 'TERM' });
      const deadline = Date.now() + 60_000;
      while (started.running && !(await answers(port))) {
        if (Date.now() > deadline) {
          await started.end('SIGKILL');
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      if (started.running) {
        server = started;
        return;
      }
      if (!/in use/.test(started.tail())) throw new Error(`redis-server did not start:\n${started.tail()}`);
      if (options.port === undefined && !server) port = await freePort();
      else await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`redis-server did not start: port ${port} is in use.`);
  }

  await start();
  return {
    host: '127.0.0.1',
    get port() {
      return port;
    },
    get url() {
      return `redis://127.0.0.1:${port}`;
    },
    dir,
    get pid() {
      return server!.pid;
    },
    client,
    async stop() {
      for (const one of clients) one.disconnect();
      clients.clear();
      await server!.end('SIGTERM');
      if (options.dir) return;
      rmSync(dir, { recursive: true, force: true });
      release();
    },
    kill: () => server!.end('SIGKILL'),
    start,
  };
}
