import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir as systemTmp } from 'node:os';
import { join } from 'node:path';
import { guardFolder } from './guard.js';
import { asRoot, newData } from './mysqld-data.js';
import { freePort } from './port.js';
import { type ServerProcess, spawnServer } from './process.js';

/** A program with what it must be told before everything else. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

/** What MariaDB and MySQL do each in their own way. */
export interface Flavor {
  readonly name: string;
  /** Makes the data of a new server in an empty folder; told nothing but that, and where temporary files go. */
  init(dir: string): Program;
  readonly server: Program;
  /** File of the server itself. */
  readonly binary: string;
  /** On top of what both are told. */
  readonly settings: Readonly<Record<string, string>>;
}

type Setting = string | number | true | null;

export interface MysqldOptions {
  /** Server settings on top of the defaults; `null` takes one away, `true` names one without a value: `{ binlog_format: 'STATEMENT' }`. */
  readonly config?: Readonly<Record<string, Setting>>;
}

/** A running MariaDB or MySQL; `root` may do everything, from 127.0.0.1. */
export interface Mysqld {
  readonly host: string;
  readonly port: number;
  readonly user: 'root';
  readonly password: string;
  readonly dir: string;
  readonly pid: number;
  /** Ends the server; its folder goes with it. */
  stop(): Promise<void>;
  /** SIGKILL, as in a crash. `start` brings it back with what was on disk. */
  kill(): Promise<void>;
  /** An orderly end, with its folder left. */
  shutDown(): Promise<void>;
  /** @param config on top of the one it was made with, from now on. */
  start(config?: MysqldOptions['config']): Promise<void>;
}

const PASSWORD = 'test-root';

/** For reading the log row by row. What was committed outlives a kill, and no power cut. */
const DEFAULTS: Readonly<Record<string, string | number>> = {
  log_bin: 'binlog',
  server_id: 1,
  binlog_format: 'ROW',
  binlog_row_image: 'FULL',
  binlog_row_metadata: 'FULL',
  sync_binlog: 0,
  innodb_flush_log_at_trx_commit: 2,
  innodb_buffer_pool_size: '64M',
  max_allowed_packet: '64M',
  performance_schema: 'OFF',
  skip_name_resolve: 'ON',
};

/** The greeting that the server begins with. */
const greets = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const say = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.setTimeout(2000, () => say(false));
    socket.once('error', () => say(false));
    socket.once('data', () => say(true));
  });

export async function startMysqld(flavor: Flavor, options: MysqldOptions = {}): Promise<Mysqld> {
  const dir = mkdtempSync(join(systemTmp(), `planasonix-${flavor.name}-`));
  const release = guardFolder(dir);
  const data = join(dir, 'data');
  // Of its own: a server that begins removes what it takes for leftovers there, also those of others.
  const tmpdir = `--tmpdir=${join(dir, 'tmp')}`;
  mkdirSync(join(dir, 'tmp'));
  await newData(flavor, data);
  const access = `CREATE USER IF NOT EXISTS root@'127.0.0.1';\nALTER USER root@'127.0.0.1' IDENTIFIED BY '${PASSWORD}';\nGRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n`;
  const initFile = join(dir, 'access.sql');
  writeFileSync(initFile, `SET sql_log_bin = 0;\n${access}`);
  let config: Readonly<Record<string, Setting>> = { ...DEFAULTS, ...flavor.settings, ...options.config };
  let port = await freePort();
  let server: ServerProcess | null = null;

  function args(): string[] {
    const settings = Object.entries(config).flatMap(([name, value]) =>
      value === null ? [] : [value === true ? `--${name}` : `--${name}=${value}`],
    );
    const places = [`--datadir=${data}`, `--socket=${join(dir, 's.sock')}`, `--pid-file=${join(dir, 'pid')}`, tmpdir];
    const net = ['--bind-address=127.0.0.1', `--port=${port}`];
    return [...flavor.server.args, ...asRoot(), ...places, ...net, `--init-file=${initFile}`, ...settings];
  }

  async function start(more: MysqldOptions['config'] = {}): Promise<void> {
    config = { ...config, ...more };
    const first = server === null;
    for (let attempt = 0; attempt < 20; attempt++) {
      const logFile = join(dir, 'server.log');
      const started = await spawnServer(flavor.server.command, args(), { logFile, cwd: dir, guard: 'KILL' });
      const deadline = Date.now() + 60_000;
      while (started.running && !(await greets(port))) {
        if (Date.now() > deadline) await started.end('SIGKILL');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      if (started.running) {
        server = started;
        return;
      }
      if (!/in use/.test(started.tail())) throw new Error(`${flavor.name} did not start:\n${started.tail()}`);
      if (first) port = await freePort();
      else await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${flavor.name} did not start: port ${port} is in use.`);
  }

  await start();
  return {
    host: '127.0.0.1',
    get port() {
      return port;
    },
    user: 'root',
    password: PASSWORD,
    dir,
    get pid() {
      return server!.pid;
    },
    async stop() {
      await server!.end('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
      release();
    },
    kill: () => server!.end('SIGKILL'),
    shutDown: () => server!.end('SIGTERM', 30_000),
    start,
  };
}
