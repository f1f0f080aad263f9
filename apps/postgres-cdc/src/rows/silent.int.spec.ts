import { eventually, startPostgres, type Postgres } from '@planasonix/testing';
import type { Client } from 'pg';
import { TrialStream } from '../trial/trial-stream.js';

jest.setTimeout(120_000);

const ROWS = 20_000;
/** No writes: the list of running transactions; what whoever reads a page clears away; the end of a transaction, whatever it wrote. */
const NO_WRITES = ['Standby RUNNING_XACTS', 'Heap2 PRUNE_ON_ACCESS', 'XLOG FPI_FOR_HINT', 'Transaction COMMIT'];

/** With `logical_messages: false` a stream only reads: the server's own WAL is the witness. */
describe('what a stream writes at its source', () => {
  let server: Postgres;
  /** In another database: what it needs of its own is not seen by the streams. */
  let inspector: Client;
  const readings: TrialStream[] = [];

  beforeAll(async () => {
    // Nobody else writes: what the WAL grows by is ours.
    server = await startPostgres({ version: 17, config: { autovacuum: 'off', checkpoint_timeout: '1h' } });
    inspector = await server.connect();
    await inspector.query('CREATE EXTENSION pg_walinspect');
  });
  afterEach(async () => {
    for (const one of readings.splice(0)) await one.stop();
  });
  afterAll(() => server?.stop('immediate'));

  /** Reads all rows through a slot and a publication that were there before, and goes on for a while. */
  async function wrote(
    name: string,
    config: object,
  ): Promise<{ bytes: number; messages: number; kinds: readonly string[] }> {
    const admin = await server.connect();
    await admin.query(`CREATE DATABASE ${name}`);
    await admin.end();
    const client = await server.connect(name);
    await client.query(`CREATE TABLE t (id int PRIMARY KEY, v text);
      INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, ${ROWS}) i;
      CREATE PUBLICATION pub FOR TABLE t`);
    await client.query(`SELECT pg_create_logical_replication_slot(s, 'pgoutput') FROM (VALUES ('${name}'), ('witness_${name}')) AS of(s)`); // prettier-ignore
    for (const statement of ['VACUUM FREEZE ANALYZE t', 'CHECKPOINT']) await client.query(statement);
    const end = async (): Promise<number> => {
      const { rows } = await client.query<{ at: string }>(`SELECT pg_current_wal_insert_lsn() - '0/0' AS at`);
      return Number(rows[0]!.at);
    };
    const before = await end();
    /** Kinds of records that were written since, up to `to`. */
    const written = async (to: number): Promise<string[]> => {
      // The inspector refuses where there are none.
      if (to === before) return [];
      await eventually('it can be read', async () => {
        const flushed = `SELECT pg_current_wal_flush_lsn() - '0/0' >= $1::numeric AS there`;
        return (await inspector.query<{ there: boolean }>(flushed, [to])).rows[0]!.there;
      });
      const { rows } = await inspector.query<{ kind: string }>(
        `SELECT DISTINCT concat_ws(' ', resource_manager, record_type) AS kind
         FROM pg_get_wal_records_info('0/0'::pg_lsn + $1::numeric, '0/0'::pg_lsn + $2::numeric)`,
        [before, to],
      );
      return rows.map(({ kind }) => kind).filter((kind) => !NO_WRITES.includes(kind));
    };
    const one = new TrialStream(
      `str_${name}`,
      { tables: ['public.t'], publication: 'pub', slot_name: name, heartbeat_interval: '200ms', ...config },
      { port: server.port, password: server.password, database: name },
    );
    readings.push(one);
    one.start();
    await one.rowsDone(90_000);
    expect(one.events.filter((event) => event.subject === 'public.t')).toHaveLength(ROWS);
    // Ten heartbeats.
    const since = performance.now();
    await eventually('it goes on for a while', () => performance.now() - since > 2_000);
    const after = await end();
    const kinds = await written(after);
    const { rows } = await client.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', 'pub', 'messages', 'true')
       WHERE substr(data, 1, 1) = 'M'`,
      [`witness_${name}`],
    );
    await client.end();
    return { bytes: after - before, messages: rows[0]!.n, kinds };
  }

  it('logical messages and nothing else, and with `logical_messages: false` nothing at all', async () => {
    const silent = await wrote('silent', { logical_messages: false });
    expect(silent.messages).toBe(0);
    expect(silent.kinds).toEqual([]);
    // The server's own list of running transactions, every 15 s.
    expect(silent.bytes).toBeLessThan(2_000);
    const loud = await wrote('loud', {});
    expect(loud.messages).toBeGreaterThan(5);
    expect(loud.kinds).toEqual(['LogicalMessage MESSAGE']);
  });
});
