import {
  type Check,
  type ConnectionReport,
  type ConnectionSettings,
  failedTest,
  type Outbound,
  passes,
  worksFor,
} from '@planasonix/core';
import type { Client } from 'pg';
import { checkVersion, poolerCheck, replicationCheck, serverFacts, walLevelCheck } from './preflight-server.js';
import { openSession, toStreamError } from './session.js';

const CONNECT_MS = 5000;
const STATEMENT_MS = 3000;

/** Rejects when `signal` is aborted; what was under way is ended when it arrives. */
function within(opening: Promise<Client>, signal: AbortSignal): Promise<Client> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(new Error('timeout expired'));
      opening.then((client) => client.end()).catch(() => undefined);
    };
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    opening.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

const info = (code: string, message: string): Check => ({ code, severity: 'info', message, fix: null });

/** Dials, logs in, asks. What only a stream needs is a warning here: the connection itself is fine. */
export async function testConnection(
  connection: ConnectionSettings,
  outbound: Outbound,
  signal: AbortSignal,
): Promise<ConnectionReport> {
  const begun = performance.now();
  let client: Client | null = null;
  try {
    client = await within(
      openSession(connection, outbound, {
        name: 'planasonix connection test',
        connectTimeoutMs: CONNECT_MS,
        statementTimeoutMs: STATEMENT_MS,
      }),
      signal,
    );
    const server = await serverFacts(client);
    const latencyMs = Math.round(performance.now() - begun);
    const { rows } = await client.query<{ version: string | null }>(
      'SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid() AND ssl',
    );
    const tls = rows[0]?.version;
    const version = checkVersion(server.version, server.versionText);
    const lacking = [
      ...(server.walLevel === 'logical' ? [] : [walLevelCheck(server.walLevel)]),
      ...(server.mayReplicate ? [] : [replicationCheck(server.user)]),
    ];
    const checks: Check[] = [
      info('reachable', 'The server answers.'),
      info('auth', `Logged in as ${server.user}.`),
      tls
        ? info('tls', `The connection is encrypted (${tls}).`)
        : {
            code: 'tls',
            severity: 'warning',
            message: 'The connection is not encrypted.',
            fix: 'Set sslMode to verify-full.',
          },
      version,
      ...(server.walLevel === 'logical' ? [info('wal_level', 'wal_level is logical.')] : []),
      ...(server.mayReplicate ? [info('replication', `${server.user} may replicate.`)] : []),
      ...lacking.map((check): Check => ({ ...check, severity: 'warning' })),
      ...(server.pooled ? [poolerCheck()] : []),
    ];
    const ok = passes(checks);
    return {
      ok,
      latencyMs,
      serverVersion: server.versionText,
      message: ok ? worksFor(lacking) : version.message,
      checks,
    };
  } catch (error) {
    return failedTest(toStreamError(error, 'testing the connection'));
  } finally {
    client?.end().catch(() => undefined);
  }
}
