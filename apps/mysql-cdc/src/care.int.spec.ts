import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StreamError } from '@planasonix/core';
import { eventually, tempDir, type Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { parseConfig } from './config.js';
import { rightsChecks } from './preflight-rights.js';
import { serverOf } from './server.js';
import { openSession, type Session } from './session.js';
import { mysqlCdc } from './source-type.js';
import { toStreamError } from './stream-error.js';
import { resolveTables } from './tables.js';
import { connectionOf, dial, LEGS, sessionsOf } from './trial/legs.js';
import { startKeyGiver, startRogue } from './trial/rogue.js';
import { TrialStream } from './trial/trial-stream.js';
import { Turns } from './turns.js';

const toHere = { resolve: () => Promise.resolve('127.0.0.1') };
const test = (config: object, type = 'mysql', outbound: typeof toHere = toHere) =>
  mysqlCdc.testConnection({ id: 'conn_1', type, config: { ...config } }, outbound, AbortSignal.timeout(10_000));

describe.each(LEGS)('care of $name', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let certificate = '';

  beforeAll(async () => {
    const dir = tempDir('tls');
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    const subject = ['-subj', '/CN=db.test', '-addext', 'subjectAltName=DNS:db.test', '-days', '2'];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject],
      { stdio: 'pipe' },
    );
    certificate = readFileSync(cert, 'utf8');
    server = await start({ config: { ssl_cert: cert, ssl_key: key, ssl_ca: cert } });
    db = await dial(server);
    await db.query(`CREATE DATABASE c; CREATE TABLE c.t (id INT PRIMARY KEY, v INT); CREATE TABLE c.bare (v INT) ENGINE=MyISAM;
      CREATE TABLE c.child (id INT PRIMARY KEY, t INT, FOREIGN KEY (t) REFERENCES c.t (id) ON DELETE CASCADE);
      CREATE USER cdc@'%' IDENTIFIED BY 'secret-canary'`);
  });
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  const asCdc = () => ({ ...connectionOf(server), user: 'cdc', password: 'secret-canary' });
  const stream = (config: object, connection: Readonly<Record<string, unknown>>) =>
    new TrialStream('str_care', { tables: ['c.t'], ...config }, connection, type);
  const errors = (checks: readonly { severity: string; code: string; fix: string | null }[]) =>
    checks.filter(({ severity }) => severity === 'error').map(({ code, fix }) => [code, fix]);

  it('says what is missing and how it is mended, until it passes', async () => {
    const before = await stream({}, asCdc()).check();
    // Nothing of a table may be seen by who has no right to it.
    expect(errors(before).map(([code]) => code)).toEqual(
      expect.arrayContaining(['permission_denied', 'tables_missing']),
    );
    const rights = async () => {
      const { ok, message, checks } = await test(asCdc(), type);
      return [ok, message, ...checks.flatMap(({ code, fix }) => (code === 'permission_denied' ? [fix] : []))];
    };
    expect(await rights()).toEqual([
      ...[true, expect.stringMatching(/^The connection works, but .* The user may not ask where the log ends/)],
      expect.stringMatching(/^GRANT (BINLOG MONITOR|REPLICATION CLIENT) ON \*\.\* TO 'cdc'@'%';$/),
    ]);
    for (let round = 0; round < 5; round++) {
      const fixes = errors(await stream({}, asCdc()).check()).flatMap(([, fix]) =>
        fix?.startsWith('GRANT') ? [fix] : [],
      );
      for (const fix of fixes) await db.query(fix);
      if (fixes.length === 0) await db.query("GRANT SELECT ON c.* TO cdc@'%'");
    }
    expect(errors(await stream({}, asCdc()).check())).toEqual([]);
    expect(await rights()).toEqual([true, 'The connection works.']);
    const limited = stream({}, asCdc());
    limited.start();
    await limited.begun();
    await db.query('INSERT INTO c.t VALUES (1, 1)');
    await limited.count(1);
    await limited.stop();
    await db.query('DELETE FROM c.t');
  });

  it('finds nothing wrong with tables that are altered or dropped while it looks', async () => {
    await db.query(
      'CREATE TABLE c.altered (id INT PRIMARY KEY, v INT, w INT); CREATE TABLE c.dropped (id INT PRIMARY KEY)',
    );
    const sessions = sessionsOf(server, type);
    const control = await sessions.control();
    const at = await serverOf(control);
    const config = parseConfig({ tables: ['c.altered', 'c.dropped'] });
    const tables = await resolveTables(control, at, config);
    expect(tables).toHaveLength(2);
    await db.query('ALTER TABLE c.altered DROP COLUMN v; DROP TABLE c.dropped');
    const [look, end] = [() => sessions.open('look'), (one: Session) => sessions.end(one)];
    const given = { config, control, look, end, server: at, tables, logged: true };
    expect(errors(await rightsChecks({ ...given, excludedOf: () => new Set() }))).toEqual([]);
    sessions.close();
    await db.query('DROP TABLE c.altered');
  });

  it('refuses settings under which values would be lost, with the statement that mends each', async () => {
    await db
      .query('SET GLOBAL binlog_format = MIXED, GLOBAL binlog_row_image = NOBLOB, GLOBAL binlog_row_metadata = NO_LOG')
      .catch(() =>
        db.query(
          'SET GLOBAL binlog_format = MIXED, GLOBAL binlog_row_image = NOBLOB, GLOBAL binlog_row_metadata = MINIMAL',
        ),
      );
    expect(errors(await stream({}, connectionOf(server)).check())).toEqual([
      ['binlog_format_unsupported', 'SET GLOBAL binlog_format = ROW;'],
      ['row_image_unsupported', 'SET GLOBAL binlog_row_image = FULL;'],
      ['row_image_unsupported', 'SET GLOBAL binlog_row_metadata = FULL;'],
    ]);
    await db.query('SET GLOBAL binlog_format = ROW, GLOBAL binlog_row_image = FULL, GLOBAL binlog_row_metadata = FULL');
    expect(errors(await stream({}, connectionOf(server)).check())).toEqual([]);
  });

  it('warns of tables without a key, without transactions, and of cascades that no log has', async () => {
    const checks = await stream({ tables: ['c.*'] }, connectionOf(server)).check();
    expect(errors(checks)).toEqual([]);
    const warnings = checks.filter(({ severity }) => severity === 'warning').map(({ code }) => code);
    expect(warnings).toEqual(expect.arrayContaining(['no_key', 'engine']));
    expect(warnings.includes('cascades')).toBe(type === 'mariadb');
    const hidden = stream({ exclude_columns: { 'c.t': ['id'] } }, connectionOf(server));
    expect(errors(await hidden.check()).map(([code]) => code)).toEqual(['config_invalid']);
  });

  it('warns that copies which tools make show what is kept back, until those are left out too', async () => {
    const copies = async (config: object) =>
      (await stream({ exclude_columns: { 'c.t': ['v'] }, ...config }, connectionOf(server)).check()).flatMap(
        ({ code, fix }) => (code === 'exclude_columns_copies' ? [fix] : []),
      );
    const names = ['c._t_gho', 'c._t_del', 'c._t_new', 'c._t_old'];
    expect(await copies({ tables: ['c.*'] })).toEqual([expect.stringContaining(JSON.stringify(names))]);
    expect(await copies({ tables: ['c.*'], exclude_columns: {} })).toEqual([]);
    expect(await copies({ tables: ['c.*'], exclude_tables: names })).toEqual([]);
    expect(await copies({ tables: ['c.t'] })).toEqual([]);
  });

  it('checks the name in a certificate before it sends a password', async () => {
    const to = (config: object) => test({ ...asCdc(), sslRootCert: certificate, ...config });
    expect(await to({ host: 'db.test', sslMode: 'verify-full' })).toMatchObject({ ok: true });
    expect(await to({ host: 'other.test', sslMode: 'verify-full' })).toMatchObject({
      ok: false,
      checks: [{ code: 'tls_failed' }],
    });
    expect(await to({ host: 'other.test', sslMode: 'verify-ca' })).toMatchObject({ ok: true });
    expect(await test({ ...asCdc(), host: 'db.test', sslMode: 'verify-ca' })).toMatchObject({
      ok: false,
      checks: [{ code: 'tls_failed' }],
    });
    expect(await to({ sslMode: 'verify-full' })).toMatchObject({ ok: false, checks: [{ code: 'tls_failed' }] });
    const prefer = await test({ ...asCdc(), sslMode: 'prefer' });
    expect(prefer.checks).toContainEqual(expect.objectContaining({ code: 'tls', severity: 'info' }));
  });

  it('lets nobody wait at a session that was ended', async () => {
    const connection = { id: 'conn_1', type, config: connectionOf(server) };
    const session = await openSession(connection, toHere, { name: 'test' });
    const waits = session.query('SELECT SLEEP(60)');
    const rows = (async () => {
      for await (const _ of session.rows('SELECT 1')) continue;
    })();
    session.end();
    await expect(waits).rejects.toMatchObject({ code: 'source_unreachable' });
    await expect(rows).rejects.toMatchObject({ code: 'source_unreachable' });
    await expect(session.query('SELECT 1')).rejects.toMatchObject({ code: 'source_unreachable' });
  });

  it('holds on to no connection once its session was ended, whatever the server does (Invariant 6)', async () => {
    const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
    const before = sockets();
    const connection = { id: 'conn_1', type, config: connectionOf(server) };
    const session = await openSession(connection, toHere, { name: 'test', queryTimeoutMs: 60_000 });
    process.kill(server.pid, 'SIGSTOP');
    try {
      const waits = session.query('SELECT 1');
      session.end();
      await expect(waits).rejects.toMatchObject({ code: 'source_unreachable' });
      await eventually('the connection is gone', () => sockets() <= before);
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
  });

  it('waits for no answer for longer than a question may take', async () => {
    const connection = { id: 'conn_1', type, config: connectionOf(server) };
    const session = await openSession(connection, toHere, { name: 'test', queryTimeoutMs: 3_000 });
    await expect(session.query('SELECT SLEEP(60)')).rejects.toMatchObject({ code: 'source_unreachable' });
    await expect(session.query('SELECT 1')).rejects.toMatchObject({ code: 'source_unreachable' });
    session.end();
  });

  it('lets nobody wait at a session that the server ended', async () => {
    const connection = { id: 'conn_1', type, config: connectionOf(server) };
    const session = await openSession(connection, toHere, { name: 'test' });
    const id = await session.value('SELECT CONNECTION_ID()');
    const waits = session.query('SELECT SLEEP(60)').catch((error: unknown) => toStreamError(error, 'asking'));
    await db.query(`KILL ${id}`);
    expect(await waits).toMatchObject({ code: 'source_unreachable' });
    await eventually('the session is known to be over', () =>
      session.query('SELECT 1').then(
        () => false,
        (error: unknown) => error instanceof StreamError && error.code === 'source_unreachable',
      ),
    );
    await expect(session.rows('SELECT 1').next()).rejects.toMatchObject({ code: 'source_unreachable' });
    session.end();
  });

  it('tests a connection, and tells no secret when it fails', async () => {
    expect(await test(connectionOf(server), type)).toMatchObject({
      ok: true,
      serverVersion: expect.any(String) as string,
    });
    const wrong = await test({ ...asCdc(), password: 'wrong-canary' });
    expect(wrong).toMatchObject({ ok: false, checks: [{ code: 'auth_failed' }] });
    expect(JSON.stringify(wrong)).not.toContain('wrong-canary');
    expect(await test({ ...asCdc(), port: 1 })).toMatchObject({ ok: false, checks: [{ code: 'source_unreachable' }] });
  });

  it('reads a log that is compressed, also from amid it on, and tells its lag', async () => {
    const on = type === 'mariadb'
      ? 'SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10'
      : 'SET SESSION binlog_transaction_compression = ON'; // prettier-ignore
    const open = stream({ snapshot: 'never' }, connectionOf(server));
    open.start();
    await open.begun();
    await db.query(on);
    await db.query(
      `CREATE TABLE c.wide (id INT PRIMARY KEY, v VARCHAR(2000)); INSERT INTO c.t VALUES ${Array.from({ length: 5000 }, (_, i) => `(${i + 1000}, 7)`).join(',')}; UPDATE c.t SET v = 8 WHERE v = 7`,
    );
    await open.count(10_000);
    expect(open.data().at(-1)).toMatchObject({ op: 'u', before: { id: 5999, v: 7 }, after: { id: 5999, v: 8 } });
    expect(new Set(open.events.map(({ id }) => id)).size).toBe(10_000);
    await db.query('INSERT INTO c.t VALUES (6500, 1)');
    await open.count(10_001);
    await open.stop();
    await db.query('START TRANSACTION; INSERT INTO c.t VALUES (7000, 1); DELETE FROM c.t WHERE id = 1000; COMMIT');
    expect((await open.lag()).oldestPendingMs).not.toBeNull();
    // The transaction that was read last is read again, and is the same.
    open.start();
    await open.count(10_003);
    expect(open.data().slice(-2)).toMatchObject([
      { op: 'c', after: { id: 7000 } },
      { op: 'd', before: { id: 1000 } },
    ]);
    expect(open.dropped).toBe(0);
    await open.stop();
    await db.query(on.replaceAll('= ON', '= OFF'));
  });

  if (type === 'mysql')
    it('leaves others their turn while it looks through a compressed transaction (trap 17)', async () => {
      const open = stream({ snapshot: 'never' }, connectionOf(server));
      open.start();
      await open.begun();
      await open.stop();
      await db.query(`SET SESSION binlog_transaction_compression = ON, cte_max_recursion_depth = 100000;
        CREATE TABLE c.unread (id INT);
        INSERT INTO c.unread WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT i FROM n;
        SET SESSION binlog_transaction_compression = OFF`);
      const due = jest.spyOn(Turns.prototype, 'due', 'get').mockReturnValue(true);
      const given = jest.spyOn(Turns.prototype, 'give');
      expect((await open.lag()).oldestPendingMs).toBeNull();
      // Each of its events holds 8 KiB of rows.
      expect(given.mock.calls.length).toBeGreaterThan(20);
      due.mockRestore();
      given.mockRestore();
    });

  if (type === 'mysql')
    it('hands over a compressed transaction in pieces that are bounded (trap 17)', async () => {
      const open = stream({ snapshot: 'never' }, connectionOf(server));
      let largest = 0;
      open.start();
      await open.begun();
      await db.query(`SET SESSION binlog_transaction_compression = ON, cte_max_recursion_depth = 100000;
        INSERT INTO c.t WITH RECURSIVE n (i) AS (SELECT 100001 UNION ALL SELECT i + 1 FROM n WHERE i < 180000) SELECT i, 1 FROM n`);
      await open.count(80_000);
      largest = open.largest;
      await open.stop();
      await db.query('DELETE FROM c.t WHERE id > 100000; SET SESSION binlog_transaction_compression = OFF');
      expect(largest).toBeLessThan(5000);
    });
});

describe('a server that asks for files (trap 21)', () => {
  it('gets nothing', async () => {
    const file = join(tempDir('rogue'), 'canary');
    writeFileSync(file, 'file-canary');
    const rogue = await startRogue(file);
    const config = { host: '127.0.0.1', port: rogue.port, user: 'cdc', password: 'x', sslMode: 'disable' };
    expect((await test(config)).ok).toBe(false);
    expect(rogue.asked()).toBeGreaterThan(0);
    expect(rogue.offered()).toBe(false);
    expect(rogue.heard().includes('file-canary')).toBe(false);
    rogue.close();
  });
});

describe.each(['caching_sha2_password', 'sha256_password'] as const)('a server without TLS that wants %s', (plugin) => {
  it('is given the password only where somebody asked to go without TLS', async () => {
    const rogue = await startKeyGiver(plugin);
    // Another name for this machine, which is not known for it.
    const aside = { resolve: () => Promise.resolve('0.0.0.0') };
    const config = { host: '127.0.0.1', port: rogue.port, user: 'cdc', password: 'secret-canary' };
    const preferred = await test(config, 'mysql', aside);
    expect(preferred).toMatchObject({
      ok: false,
      checks: [{ code: 'tls_failed', fix: expect.stringContaining('sslMode') }],
    });
    expect(rogue.passwords()).toEqual([]);
    await test({ ...config, sslMode: 'disable' }, 'mysql', aside);
    expect(rogue.passwords()).toEqual(['secret-canary\0']);
    // Nobody stands in between.
    await test(config);
    expect(rogue.passwords()).toHaveLength(2);
    rogue.close();
  });
});
