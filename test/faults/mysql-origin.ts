/** MariaDB, or MySQL, as the server that is read. */
import { cpSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { eventually, startMariaDb, startMySql, type Mysqld } from '@planasonix/testing';
import { createConnection } from 'mysql2/promise';
import { placeOfGtids } from './log-law.js';
import { mysqlGrammar } from './mysql-grammar.js';
import type { Begun, Grammar, Origin, Session, SourceForm } from './origin.js';
import type { Row } from './rows.js';
import { ALL_TABLES, TABLES, VAST, WRITERS_MOST, type Table } from './tables.js';

export type MySqlKind = 'mariadb' | 'mysql';

/** Who reads: one that has the rights which the preflight asks for, and no right to a connection that others are refused. */
export const READER = 'reader';
const PASSWORD = 'of the reader';

/** In what the two differ. */
interface Dialect {
  readonly start: (config: Readonly<Record<string, string | number>>) => Promise<Mysqld>;
  /** Expression of what is committed. */
  readonly gtids: string;
  readonly rights: string;
  readonly follow: (primary: Mysqld) => string;
  readonly standAlone: string;
  readonly stopReceiving: string;
  /** Asks for one row with `done`. */
  readonly level: string;
  readonly reset: string;
  /** Its next transaction is behind what it `had`, of which it `has` some, or all, now. */
  readonly advance: (had: string, has: string) => string;
}

/** The log of a replica has all that it replicates. */
const REPLICA = 'REPLICATION SLAVE, REPLICATION CLIENT';
const last = (gtids: string): number => Number(/(\d+)$/.exec(gtids)?.[1] ?? 0);
/** Of the server that wrote last. */
const newest = (gtids: string): string =>
  gtids
    .split(/,\s*/)
    .sort((a, b) => (placeOfGtids(a) < placeOfGtids(b) ? -1 : 1))
    .at(-1)!;
/** Numbers that a server leaves out, behind those that another one gave. */
const FURTHER = 10;

const MARIADB: Dialect = {
  start: (config) => startMariaDb({ config: { log_slave_updates: 'ON', ...config } }),
  gtids: '@@GLOBAL.gtid_binlog_pos',
  rights: `SELECT, ${REPLICA}, REPLICATION MASTER ADMIN, SLAVE MONITOR`,
  follow: ({ host, port, user, password }) =>
    `CHANGE MASTER TO MASTER_HOST = '${host}', MASTER_PORT = ${port}, MASTER_USER = '${user}', MASTER_PASSWORD = '${password}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1; START SLAVE`,
  standAlone: 'STOP SLAVE; RESET SLAVE ALL',
  stopReceiving: 'STOP SLAVE IO_THREAD',
  level: 'SELECT MASTER_GTID_WAIT(?, 60) = 0 AS done',
  reset: 'RESET MASTER',
  advance: (had) => `SET gtid_seq_no = ${last(had) + FURTHER}; CREATE DATABASE IF NOT EXISTS further`,
};

const MYSQL: Dialect = {
  start: (config) => startMySql({ config }),
  gtids: '@@GLOBAL.gtid_executed',
  rights: `SELECT, ${REPLICA}, LOCK TABLES, XA_RECOVER_ADMIN`,
  follow: ({ host, port, user, password }) =>
    `CHANGE REPLICATION SOURCE TO SOURCE_HOST = '${host}', SOURCE_PORT = ${port}, SOURCE_USER = '${user}', SOURCE_PASSWORD = '${password}', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1; START REPLICA`,
  standAlone: 'STOP REPLICA; RESET REPLICA ALL',
  stopReceiving: 'STOP REPLICA IO_THREAD',
  level: 'SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 60) = 0 AS done',
  reset: 'RESET BINARY LOGS AND GTIDS',
  // It would give its next transactions the lowest numbers that are free.
  advance: (had, has) => {
    const server = newest(had);
    const [id] = server.split(':') as [string];
    const own = has.split(/,\s*/).find((one) => one.startsWith(id)) ?? '';
    return `SET GLOBAL gtid_purged = '+${id}:${last(own) + 1}-${last(server) + FURTHER}'`;
  },
};

const PAGE_ROWS = 2000;

export class MySqlOrigin implements Origin {
  readonly app = 'mysql-cdc';
  readonly grammar: Grammar;
  #serverId = 1;

  private constructor(
    private readonly kind: MySqlKind,
    private readonly dialect: Dialect,
    public server: Mysqld,
  ) {
    this.grammar = mysqlGrammar(dialect.gtids);
  }

  static async start(kind: MySqlKind): Promise<MySqlOrigin> {
    const dialect = kind === 'mariadb' ? MARIADB : MYSQL;
    return new MySqlOrigin(kind, dialect, await dialect.start({}));
  }

  get port(): number {
    return this.server.port;
  }

  connect(): Promise<Session> {
    return sessionOf(this.server);
  }

  form(port: number): SourceForm {
    const config = { host: '127.0.0.1', port, user: READER, password: PASSWORD, sslMode: 'prefer' };
    return {
      sourceType: 'mysql_cdc',
      connection: { type: this.kind, config },
      streamConfig: (tables) => ({ tables }),
    };
  }

  async makeTables(): Promise<void> {
    const writers = Array.from({ length: WRITERS_MOST + 1 }, (_, i) => `(${i}, 0)`);
    const bulk = Array.from({ length: 5000 }, (_, i) => `(${i + 1}, 'first of ${i + 1}')`);
    await this.run(
      `CREATE USER ${READER}@'%' IDENTIFIED BY '${PASSWORD}'`,
      `GRANT ${this.dialect.rights} ON *.* TO ${READER}@'%'`,
      'CREATE DATABASE public CHARACTER SET utf8mb4',
      ...ALL_TABLES.map(({ name, columns }) => `CREATE TABLE ${name} (${columns})`),
      `INSERT INTO ${TABLES.marker.name} VALUES ${writers.join(', ')}`,
      `INSERT INTO ${TABLES.bulk.name} VALUES ${bulk.join(', ')}`,
    );
  }

  async makeVast(session: Session, rows: number): Promise<void> {
    const all = Array.from({ length: rows }, (_, i) => `(${2 * i + 2}, ${i + 1}, 'word ${i} ${'of many '.repeat(3)}')`);
    await session.query('CREATE DATABASE IF NOT EXISTS vast');
    await session.query(`CREATE TABLE IF NOT EXISTS ${VAST.name} (${VAST.columns})`);
    await session.query(`INSERT IGNORE INTO ${VAST.name} (id, v, words) VALUES ${all.join(', ')}`);
  }

  async *pages(session: Session, { name, key }: Table): AsyncGenerator<readonly Row[]> {
    await session.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await session.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
    const order = key.map((column) => `"${column}"`).join(', ');
    for (let from = 0; ; from += PAGE_ROWS) {
      const rows = await session.query(`SELECT * FROM ${name} ORDER BY ${order} LIMIT ${PAGE_ROWS} OFFSET ${from}`);
      yield rows;
      if (rows.length < PAGE_ROWS) break;
    }
    await session.query('COMMIT');
  }

  /** A beginning is noted before anything that was read from there, with a number of its own. */
  async beginning(scene: Begun): Promise<() => Promise<string>> {
    const noted = async (): Promise<{ attempt: number; gtids: string | null; gtid: string | null } | null> => {
      const [row] = await scene.storeQuery<{ position: string }>(
        "SELECT position FROM stream_positions WHERE stream_id = $1 AND partition = ''",
        [scene.streamId],
      );
      return row === undefined ? null : (JSON.parse(row.position) as Awaited<ReturnType<typeof noted>>);
    };
    const before = (await noted())?.attempt ?? 0;
    return async () => {
      const begun = async () => {
        const now = await noted();
        return now !== null && now.attempt > before ? now : null;
      };
      const { gtids, gtid } = await eventually('it begins anew', begun, { timeoutMs: 90_000, everyMs: 5 });
      return placeOfGtids(gtids ?? gtid ?? '');
    };
  }

  /** Nothing is made there. */
  left(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }

  stop(): Promise<void> {
    return this.server.stop();
  }

  /** One after the other. @returns the rows of the last one */
  async run<T extends object = Row>(...statements: readonly string[]): Promise<T[]> {
    const session = await this.connect();
    try {
      let rows: T[] = [];
      for (const sql of statements) rows = await session.query<T>(sql);
      return rows;
    } finally {
      await session.end();
    }
  }

  /** All but the newest file of the log is gone. */
  async purge(): Promise<void> {
    await eventually(
      'the log is purged',
      async () => {
        await this.run('FLUSH BINARY LOGS');
        const files = await this.run<{ Log_name: string }>('SHOW BINARY LOGS');
        await this.run(`PURGE BINARY LOGS TO '${files.at(-1)!.Log_name}'`);
        return (await this.run('SHOW BINARY LOGS')).length === 1;
      },
      { timeoutMs: 60_000, everyMs: 100 },
    );
  }

  private async gtids(): Promise<string> {
    const [row] = await this.run<{ gtids: string }>(`SELECT ${this.dialect.gtids} AS gtids`);
    return row!.gtids.replace(/\s/g, '');
  }

  /** The log begins anew, with nothing of before; while nobody writes. GTIDs go on, so that the battery can tell what was when. */
  async resetLog(): Promise<void> {
    const gtids = await this.gtids();
    await this.run(
      this.dialect.reset,
      this.kind === 'mariadb' ? `SET GLOBAL gtid_binlog_state = '${gtids}'` : `SET GLOBAL gtid_purged = '${gtids}'`,
    );
  }

  /** Keeps a copy of its data. @returns what puts that in their place, while nobody writes */
  async backUp(): Promise<() => Promise<void>> {
    const data = path.join(this.server.dir, 'data');
    const copy = `${data}.copy`;
    await this.server.shutDown();
    cpSync(data, copy, { recursive: true });
    await this.server.start();
    return async () => {
      const had = await this.gtids();
      await this.server.kill();
      rmSync(data, { recursive: true });
      renameSync(copy, data);
      await this.server.start();
      await this.run(this.dialect.advance(had, await this.gtids()));
    };
  }

  /** A replica that has everything, made from the whole log. */
  async replica(): Promise<Replica> {
    this.#serverId += 1;
    const server = await this.dialect.start({ server_id: this.#serverId });
    const session = await sessionOf(server);
    await session.query(this.dialect.follow(this.server));
    const level = async (): Promise<void> => {
      const [row] = await session.query<{ done: number }>(this.dialect.level, [await this.gtids()]);
      if (row?.done !== 1) throw new Error('The replica did not come level.');
    };
    await level();
    return {
      level,
      stopReceiving: () => session.query(this.dialect.stopReceiving),
      promote: async () => {
        const primary = this.server;
        const gtids = await this.gtids();
        await primary.kill();
        await session.query(this.dialect.standAlone);
        this.server = server;
        // Servers of MySQL count apart.
        if (this.kind === 'mariadb') await session.query(this.dialect.advance(gtids, gtids));
        await session.end();
        await primary.stop();
      },
    };
  }
}

export interface Replica {
  level(): Promise<void>;
  stopReceiving(): Promise<unknown>;
  /** The primary is killed, and this is what is written to and read from now on; while nobody writes. */
  promote(): Promise<void>;
}

async function sessionOf({ host, port, user, password }: Mysqld): Promise<Session> {
  const connection = await createConnection({
    ...{ host, port, user, password },
    ...{ multipleStatements: true, charset: 'utf8mb4_general_ci', connectTimeout: 5000 },
    // Rows that a statement found as they should be are not counted: they are not in the log either.
    flags: ['-FOUND_ROWS'],
  });
  connection.on('error', () => undefined);
  await connection.query(
    "SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES'); SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
  );
  return {
    async query<T extends object>(sql: string, values?: readonly unknown[]): Promise<T[]> {
      const [found] = await connection.query(sql, values as unknown[] | undefined);
      if (!Array.isArray(found)) return [];
      // Of several statements each has its own, of one the rows are these.
      const results: unknown[] = found;
      const several = results.some((one) => Array.isArray(one) || isHeader(one));
      return ((several ? results.findLast(Array.isArray) : results) ?? []) as T[];
    },
    onEnd(tell) {
      connection.once('error', tell);
      connection.once('end', tell);
    },
    end: () => connection.end().catch(() => connection.destroy()),
  };
}

const isHeader = (one: unknown): boolean =>
  typeof one === 'object' && one !== null && one.constructor.name === 'ResultSetHeader';
