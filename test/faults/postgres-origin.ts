/** Postgres as the server that is read. */
import type { Client } from 'pg';
import { eventually, startPostgres } from '@planasonix/testing';
import { sortable } from './log-law.js';
import type { Begun, Origin, Session, SourceForm } from './origin.js';
import { DOOMED, postgresGrammar } from './postgres-grammar.js';
import type { Row } from './rows.js';
import { ALL_TABLES, TABLES, VAST, WRITERS_MOST, type Table } from './tables.js';

export type Postgres = Awaited<ReturnType<typeof startPostgres>>;

/** TOAST values that many updates leave alone, and a table of which every column is flagged as key (trap 14). */
const MORE = `
  ALTER TABLE ${TABLES.account.name} ALTER big SET STORAGE EXTERNAL;
  ALTER TABLE ${TABLES.whole.name} REPLICA IDENTITY FULL;
  ALTER TABLE ${TABLES.whole.name} ALTER big SET STORAGE EXTERNAL;
  INSERT INTO ${TABLES.marker.name} SELECT i, 0 FROM generate_series(0, ${WRITERS_MOST}) i;
  INSERT INTO ${TABLES.bulk.name} SELECT i, md5(i::text) FROM generate_series(1, 5000) i;`;

const PAGE_ROWS = 2000;

function sessionOf(client: Client): Session {
  return {
    async query<T extends object>(sql: string, values?: readonly unknown[]): Promise<T[]> {
      return (await client.query<T>(sql, values as unknown[] | undefined)).rows;
    },
    onEnd: (tell) => void client.once('end', tell),
    end: () => client.end(),
  };
}

/** By which a stream has its slot and its publication. */
export const slotOf = (streamId: string): string => `planasonix_${streamId.replace(/^str_/, '')}`;

export class PostgresOrigin implements Origin {
  readonly app = 'postgres-cdc';
  readonly grammar = postgresGrammar;

  private constructor(readonly server: Postgres) {}

  static async start(dir?: string): Promise<PostgresOrigin> {
    const config = { wal_sender_timeout: '10s', max_wal_size: '1GB' };
    const server = await startPostgres({ ...(dir === undefined ? {} : { dir }), config });
    return new PostgresOrigin(server);
  }

  get port(): number {
    return this.server.port;
  }

  async connect(): Promise<Session> {
    return sessionOf(await this.server.connect('src'));
  }

  form(port: number): SourceForm {
    const { password } = this.server;
    const config = { host: '127.0.0.1', port, database: 'src', user: 'postgres', password, sslMode: 'disable' };
    return {
      sourceType: 'postgres_cdc',
      connection: { type: 'postgres', config },
      streamConfig: (tables) => ({ tables, heartbeat_interval: '2s' }),
    };
  }

  async makeTables(): Promise<void> {
    const admin = await this.server.connect();
    await admin.query('CREATE DATABASE src');
    await admin.end();
    const client = await this.server.connect('src');
    for (const { name, columns } of ALL_TABLES) await client.query(`CREATE TABLE ${name} (${columns})`);
    await client.query(MORE);
    await client.query(DOOMED.create);
    await client.end();
  }

  /** Pages are mostly empty: a table of few MiB is one lane. */
  async makeVast(session: Session, rows: number): Promise<void> {
    for (const sql of [
      'CREATE SCHEMA IF NOT EXISTS vast',
      `CREATE TABLE IF NOT EXISTS ${VAST.name} (${VAST.columns}) WITH (fillfactor = 20)`,
      // Changes do not say it, so rows that they make stale are to be read again.
      `ALTER TABLE ${VAST.name} ALTER big SET STORAGE EXTERNAL`,
      `INSERT INTO ${VAST.name}
         SELECT 2 * i, i, md5(i::text), CASE WHEN i % 20 = 0 THEN repeat(md5(i::text), 80) END FROM generate_series(1, ${rows}) i
         ON CONFLICT DO NOTHING`,
      `ANALYZE ${VAST.name}`,
    ])
      await session.query(sql);
  }

  async *pages(session: Session, { name }: Table): AsyncGenerator<readonly Row[]> {
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await session.query(`DECLARE pages CURSOR FOR SELECT to_jsonb(one) AS row FROM ${name} one`);
    for (let rows: readonly { row: Row }[] | null = null; rows === null || rows.length === PAGE_ROWS;) {
      rows = await session.query<{ row: Row }>(`FETCH ${PAGE_ROWS} FROM pages`);
      yield rows.map(({ row }) => row);
    }
    await session.query('COMMIT');
  }

  /** Before it is read from, a slot has confirmed the place where it begins. */
  async beginning({ streamId }: Begun): Promise<() => Promise<string>> {
    const session = await this.connect();
    const [before] = await session.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
    const look = async (): Promise<string | undefined> => {
      const [slot] = await session.query<{ lsn: string }>(
        'SELECT confirmed_flush_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = $1 AND confirmed_flush_lsn >= $2',
        [slotOf(streamId), before!.lsn],
      );
      return slot?.lsn;
    };
    return async () => {
      const lsn = await eventually('its slot begins anew', look, { timeoutMs: 90_000, everyMs: 5 });
      await session.end();
      return sortable(lsn);
    };
  }

  async left(streamId: string): Promise<readonly string[]> {
    const session = await this.connect();
    const left = await session.query<{ what: string }>(
      `SELECT 'slot' AS what FROM pg_replication_slots WHERE slot_name = $1
       UNION ALL SELECT 'publication' FROM pg_publication WHERE pubname = $1`,
      [slotOf(streamId)],
    );
    await session.end();
    return left.map(({ what }) => what);
  }

  stop(): Promise<void> {
    return this.server.stop('immediate');
  }
}
