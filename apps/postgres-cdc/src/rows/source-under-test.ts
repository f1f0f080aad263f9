/** One server for a spec, a database for each of its tests, and what is asked of a reading at its end. */
import { eventually, startPostgres, type Postgres, type PostgresVersion } from '@planasonix/testing';
import type { Client } from 'pg';
import { openSession } from '../session.js';
import { TrialStream } from '../trial/trial-stream.js';

export interface Database {
  readonly name: string;
  readonly client: Client;
  session(): Promise<Client>;
  /** As the connector opens its own. */
  ours(): Promise<Client>;
}

/** To be called at the top of a spec, or of a `describe`: starts the server before its tests, and ends readings after each. */
export function sourceUnderTest(version: PostgresVersion = 17) {
  let server: Postgres;
  let admin: Client;
  let databases = 0;
  const readings: TrialStream[] = [];
  const opened: Client[] = [];
  beforeAll(async () => {
    const config = { wal_sender_timeout: '10s', max_replication_slots: '40', max_prepared_transactions: '4' };
    server = await startPostgres({ version, config });
    admin = await server.connect();
  }, 60_000);
  afterEach(async () => {
    for (const one of readings.splice(0)) await one.stop();
    for (const one of opened.splice(0)) await one.end();
  });
  afterAll(async () => server?.stop('immediate'));
  /** Settings of the server. Each of its processes sees them when it comes to it. */
  const system = async (...statements: readonly string[]): Promise<void> => {
    for (const statement of statements) await admin.query(`ALTER SYSTEM ${statement}`);
    await admin.query('SELECT pg_reload_conf()');
  };
  return {
    system,
    /** From here on commits wait for a standby that never comes, until the setting is reset. */
    holdCommits: async (): Promise<void> => {
      await system("SET synchronous_standby_names = 'nobody'");
      const one = await server.connect();
      opened.push(one);
      const { rows } = await one.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await eventually('commits wait', async () => {
        let over = false;
        const commit = one.query("SELECT pg_logical_emit_message(true, 'held', '')").finally(() => (over = true));
        const waits = async () =>
          (await admin.query("SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'", [rows[0]!.pid]))
            .rowCount === 1;
        const held = await eventually('it waits or is over', async () => ((await waits()) ? 'waits' : over && 'over'));
        // Its commit is there, and waits no more.
        if (held === 'waits') await admin.query('SELECT pg_cancel_backend($1)', [rows[0]!.pid]);
        await commit;
        return held === 'waits';
      });
    },
    /** A database of its own, so that no stream sees another's tables. */
    fresh: async (setup: string): Promise<Database> => {
      const name = `db${++databases}`;
      await admin.query(`CREATE DATABASE ${name}`);
      const session = () => server.connect(name);
      const client = await session();
      await client.query(setup);
      const ours = async (): Promise<Client> => {
        const { port, password } = server;
        const config = { host: '127.0.0.1', port, database: name, user: 'postgres', password, sslMode: 'disable' };
        const outbound = { resolve: (host: string) => Promise.resolve(host) };
        const one = await openSession({ id: 'conn_1', type: 'postgres', config }, outbound, { name: 'rows' });
        opened.push(one);
        return one;
      };
      return { name, client, session, ours };
    },
    /** @param login default: the server's superuser */
    reading: (db: Pick<Database, 'name'>, config: object, login?: { user: string; password: string }): TrialStream => {
      const at = { port: server.port, password: server.password, database: db.name, ...login };
      const one = new TrialStream(`str_${db.name}`, { heartbeat_interval: '200ms', ...config }, at);
      readings.push(one);
      return one;
    },
  };
}

/** The server's own words for the rows of a table, by key. */
async function truth(client: Client, table: string, key: string): Promise<Map<string, unknown>> {
  const { rows } = await client.query<{ key: string; row: unknown }>(
    `SELECT json_build_object(${key})::jsonb::text AS key, to_jsonb(t) AS row FROM ${table} t`,
  );
  return new Map(rows.map(({ key: text, row }) => [text, row]));
}

/** @param key as `json_build_object` takes it. @param subject of its events, where that is not the name as SQL has it */
export async function expectEqual(
  one: TrialStream,
  client: Client,
  table: string,
  key: string,
  subject = table,
): Promise<void> {
  const expected = await truth(client, table, key);
  const got = new Map(
    [...one.fold()]
      .filter(([at]) => at.startsWith(`${subject} `))
      .map(([at, row]) => [JSON.stringify(JSON.parse(at.slice(subject.length + 1))), row]),
  );
  const canonical = new Map([...expected].map(([at, row]) => [JSON.stringify(JSON.parse(at)), row]));
  for (const [at, row] of canonical)
    if (JSON.stringify(sorted(got.get(at))) !== JSON.stringify(sorted(row)))
      expect({ at, row: got.get(at) }).toEqual({ at, row });
  expect(got.size).toBe(canonical.size);
}
const sorted = (row: unknown) =>
  row ? Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))) : row;

/** Marks the end of what was written, and waits until the log has it. */
export async function settle(one: TrialStream, client: Client): Promise<void> {
  const mark = `mark-${Math.random().toString(36).slice(2)}`;
  await client.query('INSERT INTO marks VALUES ($1)', [mark]);
  await one.seen(mark);
}

/** Per key, the version that each event tells: rows or changes, it never goes back (trap 13). */
export function expectNeverBack(one: TrialStream, table: string): void {
  const last = new Map<string, number>();
  for (const event of one.events) {
    if (event.subject !== table) continue;
    const { op, after } = JSON.parse(event.data.toString()) as { op: string; after: { v: number } | null };
    if (op === 't') last.clear();
    if (after === null) continue;
    const before = last.get(event.partitionkey) ?? -1;
    if (after.v < before)
      throw new Error(`${event.partitionkey}: ${op} ${event.id} tells version ${after.v} after ${before}`);
    last.set(event.partitionkey, after.v);
  }
}

export function expectUniqueIds(one: TrialStream): void {
  const ids = one.events.map((event) => event.id);
  expect(new Set(ids).size).toBe(ids.length);
}

/** Rows of `LEDGER`; their keys are ten times their number. */
export const ROWS = 40_000;
export const LEDGER = `CREATE TABLE marks (m text PRIMARY KEY);
  CREATE SEQUENCE versions;
  CREATE TABLE ledger (id bigint PRIMARY KEY, v bigint NOT NULL, note text, big text);
  ALTER TABLE ledger ALTER big SET STORAGE EXTERNAL;
  INSERT INTO ledger SELECT i * 10, nextval('versions'), 'first', CASE WHEN i % 50 = 0 THEN repeat(md5(i::text), 100) END FROM generate_series(1, ${ROWS}) i;
  ANALYZE ledger`;
