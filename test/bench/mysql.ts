/**
 * MariaDB: 600,000 rows that wait in the binlog beside `mysqlbinlog --read-from-remote-server --raw` of the same files; one
 * transaction of 1,000,000 rows; 2,000 commits a second.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createConnection, type Connection } from 'mysql2/promise';
import { eventually, mysqlBinlogProgram, startMariaDb, type Mysqld } from '@planasonix/testing';
import { logKey } from '../log.js';
import { start, until } from '../shop.js';
import { COMMITS, PER_SECOND, WARM_UP, WRITERS } from './latency.js';
import { cpuSeconds, drained, peakMiB, perMillion, round, stopwatch } from './measure.js';
import { paced } from './paced.js';
import { profileOfWorker } from './profile.js';
import { run, type Scene } from './scene.js';
import { follow, nowMs, percentiles } from './tail.js';

const ROWS = 600_000;
const PER_TRANSACTION = 100;
const IN_ONE = 1_000_000;

/** The seven columns of the other parts. */
const TABLE = `(id BIGINT PRIMARY KEY, customer INT NOT NULL, email VARCHAR(80) NOT NULL, note TEXT, amount DECIMAL(12,2) NOT NULL,
  at DATETIME(6) NOT NULL, doc JSON NOT NULL)`;

/** `count` rows after `first`, made by the server. */
const rows = (table: string, first: string, count: number): string => `
  INSERT INTO ${table} SELECT i, i % 100000, CONCAT('customer', i, '@example.com'), REPEAT(MD5(i), 3), (i % 1000000) / 100,
    TIMESTAMPADD(SECOND, i, '2026-01-01 00:00:00'),
    JSON_OBJECT('sku', MD5(i * 7), 'qty', i % 9, 'price', (i % 9999) / 100, 'tags', JSON_ARRAY('new', 'sale', i % 5))
  FROM (SELECT seq + ${first} AS i FROM seq_1_to_${count}) AS made`;

interface Setting {
  readonly scene: Scene;
  readonly server: Mysqld;
  readonly db: Connection;
  readonly connectionId: string;
}

const dial = ({ host, port, user, password }: Mysqld): Promise<Connection> =>
  createConnection({ host, port, user, password, database: 'bench', multipleStatements: true });

export async function mysql(scene: Scene): Promise<object> {
  const server = await startMariaDb({
    config: { innodb_flush_log_at_trx_commit: 0, innodb_buffer_pool_size: '512M', max_binlog_size: '1G' },
  });
  try {
    const { host, port, user, password } = server;
    const first = await createConnection({ host, port, user, password });
    await first.query('CREATE DATABASE bench CHARACTER SET utf8mb4');
    await first.end();
    const db = await dial(server);
    const settings = { name: 'mariadb', type: 'mariadb', config: { host, port, user, password, sslMode: 'disable' } };
    const { id: connectionId } = await scene.stack.api('POST', '/api/connections', settings);
    const setting: Setting = { scene, server, db, connectionId };
    const drained = await drain(setting);
    const one = await transaction(setting);
    const waited = await latency(setting);
    await db.end();
    return {
      ...{ part: 'mysql', ...drained, transaction: one, latency: waited },
      aim: '0.3 of mysqlbinlog, more than 60,000 rows/s; at most 300 MiB with a transaction of 1,000,000 rows; p99 under 25 ms',
    };
  } finally {
    await server.stop();
  }
}

async function makeStream({ scene, connectionId }: Setting, table: string): Promise<string> {
  const { stack, pipelineId } = scene;
  const config = { tables: [`bench.${table}`], snapshot: 'never' };
  const body = { name: table, sourceType: 'mysql_cdc', connectionId, pipelineId, config };
  const { id, status, text } = await stack.api('POST', '/api/streams', body);
  if (status !== 201) throw new Error(`the stream was not made: ${text}`);
  await start(stack, id, 60_000);
  return id;
}

const arrived = (scene: Scene, id: string, count: number): Promise<unknown> => {
  const client = scene.redis.client();
  return eventually('all rows are in the log', async () => (await client.xlen(logKey(id))) >= count, {
    timeoutMs: 300_000,
    everyMs: 20,
  });
};

async function drain(setting: Setting): Promise<object> {
  const { scene, server, db } = setting;
  const { stack, redis } = scene;
  await db.query(`CREATE TABLE drain ${TABLE}`);
  const id = await makeStream(setting, 'drain');
  await stack.api('POST', `/api/streams/${id}/stop`);
  await db.query('FLUSH BINARY LOGS');
  const [[from]] = (await db.query('SHOW MASTER STATUS')) as unknown as [[{ File: string }]];
  await db.query(`CREATE PROCEDURE fill() BEGIN DECLARE at BIGINT DEFAULT 0; WHILE at < ${ROWS} DO
    START TRANSACTION; ${rows('drain', 'at', PER_TRANSACTION)}; COMMIT; SET at = at + ${PER_TRANSACTION}; END WHILE; END`);
  await db.query('CALL fill()');
  const reference = await readBinlog(server, from.File);

  const worker = stack.pids('mysql-cdc');
  const watch = stopwatch({ worker, redis: [redis.pid], server: [server.pid] });
  await stack.api('POST', `/api/streams/${id}/start`);
  await until(stack, id, 'running', 60_000);
  const profile = profileOfWorker(worker[0]);
  await arrived(scene, id, ROWS);
  const { seconds, cpu } = watch.read();
  const where = await profile();
  const bytes = Number(await redis.client().hget(logKey(id).replace(':events:', ':log:'), 'bytes'));
  const found = drained(ROWS, { seconds, bytes, worker }, reference);
  await stack.api('DELETE', `/api/streams/${id}?purge=true`);
  return {
    ...{ rows: ROWS, reference: 'mysqlbinlog --read-from-remote-server --raw, into a file in memory' },
    ...found,
    cpu_s_per_million: perMillion(cpu, ROWS),
    reference_client_cpu_s_per_million: round((reference.cpu / ROWS) * 1e6, 2),
    ...where,
  };
}

/** Copies the binlog from a file on to its end, as the server hands it out. */
async function readBinlog(
  { host, port, user, password }: Mysqld,
  from: string,
): Promise<{ readonly seconds: number; readonly cpu: number }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'planasonix-binlog-'));
  let cpu = 0;
  let watch: NodeJS.Timeout | undefined;
  try {
    const args = ['--no-defaults', `--host=${host}`, `--port=${port}`, `--user=${user}`, `--password=${password}`];
    const raw = ['--read-from-remote-server', '--raw', '--to-last-log', `--result-file=${folder}/`, from];
    const seconds = await run(
      mysqlBinlogProgram(),
      [...args, ...raw],
      (pid) => (watch = setInterval(() => (cpu = Math.max(cpu, cpuSeconds(pid))), 5)),
    );
    return { seconds, cpu };
  } finally {
    clearInterval(watch);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function transaction(setting: Setting): Promise<object> {
  const { scene, db } = setting;
  await db.query(`CREATE TABLE big ${TABLE}`);
  const id = await makeStream(setting, 'big');
  await db.query(rows('big', '0', IN_ONE));
  const began = performance.now();
  await arrived(scene, id, IN_ONE);
  const seconds = (performance.now() - began) / 1000;
  const peak = Math.max(...scene.stack.pids('mysql-cdc').map(peakMiB));
  await scene.stack.api('DELETE', `/api/streams/${id}?purge=true`);
  return { rows: IN_ONE, rows_per_s: round(IN_ONE / seconds, 0), worker_peak_mib: round(peak) };
}

/** From the answer to the commit: MariaDB's binlog has whole seconds. */
async function latency(setting: Setting): Promise<object> {
  const { scene, server, db } = setting;
  await db.query(`CREATE TABLE latency ${TABLE}`);
  const id = await makeStream(setting, 'latency');
  const answered = new Float64Array(COMMITS + 1);
  const read = new Float64Array(COMMITS + 1);
  const followed = follow(scene.redis.client(), logKey(id), COMMITS, (field, now) => {
    const { id: n } = JSON.parse(field('partitionkey')) as { id: number };
    return (read[n] = now);
  });
  const sessions = await Promise.all(Array.from({ length: WRITERS }, () => dial(server)));
  const wrote = await paced(sessions, { perSecond: PER_SECOND, total: COMMITS }, async (session, n) => {
    await session.execute(
      `INSERT INTO latency VALUES (?, 1, 'someone@example.com', REPEAT('x', 100), 1.25, NOW(6), '{"sku":"abc","qty":3}')`,
      [n],
    );
    answered[n] = nowMs();
  });
  await followed;
  await Promise.all(sessions.map((session) => session.end()));
  await scene.stack.api('DELETE', `/api/streams/${id}?purge=true`);
  // What was read before its writer had the answer waited for nothing.
  const delays = Array.from({ length: COMMITS - WARM_UP }, (_, i) =>
    Math.max(0, read[WARM_UP + 1 + i]! - answered[WARM_UP + 1 + i]!),
  );
  return { commits_per_s: round(COMMITS / wrote, 0), ...percentiles(delays), from: "the commit's answer" };
}
