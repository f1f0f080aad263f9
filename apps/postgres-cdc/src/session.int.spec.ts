import { startProxy, type PostgresVersion } from '@planasonix/testing';
import pg from 'pg';
import { testConnection } from './connection-test.js';
import { ControlUnderTest, outbound } from './control-under-test.js';
import { clientConfig } from './session.js';

describe.each([14, 18] as const)('sessions at Postgres %i', (version: PostgresVersion) => {
  let under: ControlUnderTest;
  const connection = (more?: object) => under.connection(more);
  const open = (...args: Parameters<ControlUnderTest['open']>) => under.open(...args);

  beforeAll(async () => {
    under = await ControlUnderTest.start(version);
  });
  afterAll(() => under?.stop());

  it('give the text that the server sent, under settings that no role can change (trap 15)', async () => {
    const admin = await under.server.connect();
    await admin.query(
      `ALTER ROLE postgres SET datestyle = 'German'; ALTER ROLE postgres SET timezone = 'Asia/Tokyo'; ALTER ROLE postgres SET bytea_output = 'escape';
       ALTER ROLE postgres SET statement_timeout = '7s'; ALTER ROLE postgres SET search_path = 'shop'; ALTER ROLE postgres SET idle_session_timeout = '9s'`,
    );
    const session = await open('pinned');
    const { rows } = await session.query(
      `SELECT '2024-01-02 03:04:05.678901+00'::timestamptz AS t, '\\x00ff'::bytea AS b, 0.1::float8 + 0.2 AS f, true AS y, '[1.10]'::json AS j, current_setting('search_path') AS path,
       current_setting('statement_timeout') AS timeout, current_setting('idle_session_timeout') AS idle,
       current_setting('tcp_keepalives_idle') AS alive, current_setting('tcp_keepalives_count') AS asked`,
    );
    expect(rows).toEqual([
      {
        ...{ t: '2024-01-02 03:04:05.678901+00', b: '\\x00ff', f: '0.30000000000000004', y: 't', j: '[1.10]' },
        ...{ path: '', timeout: '0', idle: '0', alive: '10', asked: '3' },
      },
    ]);
    await admin.query('ALTER ROLE postgres RESET ALL');
  });

  it('speak the replication protocol, also by the data for the replication library', async () => {
    const replication = await open('r', {}, true);
    expect((await replication.query('IDENTIFY_SYSTEM')).rows[0].dbname).toBe('postgres');
    const other = new pg.Client(await clientConfig(connection(), outbound, { name: 'planasonix_x' }));
    await other.connect();
    expect((await other.query('SHOW datestyle')).rows[0].DateStyle).toMatch(/^ISO/);
    await other.end();
  });

  it('say what to grant where a function that each of them asks was revoked', async () => {
    const admin = await under.server.connect();
    const of = 'EXECUTE ON FUNCTION pg_postmaster_start_time()';
    await admin.query(`CREATE ROLE narrow LOGIN PASSWORD 'narrow'; REVOKE ${of} FROM PUBLIC`);
    await expect(open('narrow', { user: 'narrow', password: 'narrow' })).rejects.toMatchObject({
      ...{ code: 'permission_denied', hint: expect.stringContaining('pg_catalog.pg_postmaster_start_time TO') },
    });
    await admin.query('GRANT EXECUTE ON FUNCTION pg_catalog.pg_postmaster_start_time TO narrow');
    await (await open('granted', { user: 'narrow', password: 'narrow' })).end();
    await admin.query(`GRANT ${of} TO PUBLIC`);
  });

  it('say what is wrong, and never the password', async () => {
    const failure = (more: object) => open('x', more).then(String, (error: unknown) => error);
    for (const [more, code] of [
      [{ password: 'canary-7' }, 'auth_failed'],
      [{ password: undefined }, 'auth_failed'],
      [{ database: 'nowhere' }, 'config_invalid'],
      [{ sslMode: 'require' }, 'tls_failed'],
      [{ ssl_mode: 'verify-full' }, 'tls_failed'],
      [{ sslMode: 'bogus' }, 'config_invalid'],
      [{ port: 1 }, 'source_unreachable'],
    ] as const) {
      const error = await failure(more);
      expect(error).toMatchObject({ code });
      expect(JSON.stringify([error, String(error)])).not.toContain('canary-7');
    }
  });

  it('outlive a server that goes away: the next query says so', async () => {
    const proxy = await startProxy({ targetPort: under.server.port });
    const session = await open('x', { port: proxy.port });
    proxy.cut();
    await expect(session.query('SELECT 1')).rejects.toThrow();
    await proxy.stop();
  });

  it('a connection test tells what it found, or why it could not', async () => {
    const report = await testConnection(connection(), outbound, AbortSignal.timeout(8000));
    expect(report).toMatchObject({ ok: true, serverVersion: expect.stringMatching(new RegExp(`^${version}\\.`)) });
    expect(report.checks.find((check) => check.code === 'tls')).toMatchObject({ severity: 'warning' });
    expect(report.message).toBe('The connection works.');
    await (await open('x')).query("CREATE ROLE reader LOGIN PASSWORD 'canary-9'");
    const reader = connection({ user: 'reader', password: 'canary-9' });
    expect(await testConnection(reader, outbound, AbortSignal.timeout(8000))).toMatchObject({
      ok: true,
      message: 'The connection works, but no changes can be read over it: The user reader may not replicate.',
      checks: expect.arrayContaining([expect.objectContaining({ code: 'permission_denied', severity: 'warning' })]),
    });
    const refused = await testConnection(connection({ password: 'canary-8' }), outbound, AbortSignal.timeout(8000));
    expect(refused).toMatchObject({ ok: false, latencyMs: null, checks: [{ code: 'auth_failed' }] });
    expect(JSON.stringify(refused)).not.toContain('canary-8');
  });
});
