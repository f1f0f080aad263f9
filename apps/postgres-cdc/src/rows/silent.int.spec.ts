import { eventually, startPostgres, type Postgres } from '@planasonix/testing';
import { TrialStream } from '../trial/trial-stream.js';

jest.setTimeout(120_000);

const ROWS = 20_000;

/** With `logical_messages: false` a stream only reads: the server's own WAL is the witness. */
describe('what a stream writes at its source', () => {
  let server: Postgres;
  const readings: TrialStream[] = [];

  beforeAll(async () => {
    // Nobody else writes: what the WAL grows by is ours.
    server = await startPostgres({ version: 17, config: { autovacuum: 'off', checkpoint_timeout: '1h' } });
  });
  afterEach(async () => {
    for (const one of readings.splice(0)) await one.stop();
  });
  afterAll(() => server?.stop('immediate'));

  /** Reads all rows through a slot and a publication that were there before, and goes on for a while. */
  async function wrote(name: string, config: object): Promise<{ bytes: number; messages: number }> {
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
    const bytes = (await end()) - before;
    const { rows } = await client.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', 'pub', 'messages', 'true')
       WHERE substr(data, 1, 1) = 'M'`,
      [`witness_${name}`],
    );
    await client.end();
    return { bytes, messages: rows[0]!.n };
  }

  it('logical messages and nothing else, and with `logical_messages: false` nothing at all', async () => {
    const silent = await wrote('silent', { logical_messages: false });
    expect(silent.messages).toBe(0);
    // The server's own list of running transactions, every 15 s.
    expect(silent.bytes).toBeLessThan(2_000);
    const loud = await wrote('loud', {});
    expect(loud.messages).toBeGreaterThan(5);
    expect(loud.bytes).toBeGreaterThan(2 * silent.bytes);
  });
});
