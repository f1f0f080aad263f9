import {
  type Check,
  type ConnectionReport,
  type ConnectionSettings,
  failedTest,
  type Outbound,
  passes,
  worksFor,
} from '@planasonix/core';
import { info } from './finding.js';
import { logRights } from './log-rights.js';
import { PLAIN } from './preflight.js';
import { preflightServer, replicatedCheck, versionCheck } from './preflight-server.js';
import { serverOf, userOf } from './server.js';
import { openSession, type Session } from './session.js';
import { toStreamError } from './stream-error.js';

const CONNECT_MS = 5000;
const QUERY_MS = 3000;

/** Rejects when `signal` is aborted; what was under way is ended when it arrives. */
function within(opening: Promise<Session>, signal: AbortSignal): Promise<Session> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(Object.assign(new Error('the server does not answer'), { code: 'ETIMEDOUT' }));
      opening.then((session) => session.end()).catch(() => undefined);
    };
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    opening.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** Dials, logs in, asks. What only a stream needs is a warning here: the connection itself is fine. */
export async function testConnection(
  connection: ConnectionSettings,
  outbound: Outbound,
  signal: AbortSignal,
): Promise<ConnectionReport> {
  const begun = performance.now();
  let session: Session | null = null;
  try {
    const options = { name: 'planasonix connection test', connectTimeoutMs: CONNECT_MS, queryTimeoutMs: QUERY_MS };
    const open = () => within(openSession(connection, outbound, options), signal);
    session = await open();
    const server = await serverOf(session);
    const latencyMs = Math.round(performance.now() - begun);
    const [cipher] = await session.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'");
    const version = versionCheck(server);
    const settings = await preflightServer(session, server);
    const rights = passes(settings)
      ? await logRights({
          ...{ control: session, server, look: open, end: (looking) => looking.end() },
        })
      : [];
    const forStreams = [...settings, await replicatedCheck(session, server), ...rights];
    const checks: Check[] = [
      info('reachable', 'The server answers.'),
      info('auth', `Logged in as ${(await userOf(session)).name}.`),
      cipher?.['Value'] ? info('tls', `The connection is encrypted (${cipher['Value']}).`) : PLAIN,
      version,
      ...forStreams.map((check): Check => (check.severity === 'error' ? { ...check, severity: 'warning' } : check)),
    ];
    const ok = passes(checks);
    return {
      ok,
      latencyMs,
      serverVersion: server.version,
      message: ok ? worksFor(forStreams.filter(({ severity }) => severity === 'error')) : version.message,
      checks,
    };
  } catch (error) {
    return failedTest(toStreamError(error, 'testing the connection'));
  } finally {
    session?.end();
  }
}
