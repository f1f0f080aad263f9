import { StreamError, type StreamErrorCode } from '@planasonix/core';
import { userOf, variable, type Server } from './server.js';
import { answerTo, type Row, type Session } from './session.js';

/** Why the log lacks changes, and what is done about it. */
export interface Unlogged {
  readonly message: string;
  readonly fix: string;
}

/** No log at all. */
export const SILENT: Unlogged = {
  message: 'The server writes no binlog (log_bin).',
  fix: 'Set log_bin = binlog and a server_id in the configuration of the server and restart it.',
};
const REPLICA: Unlogged = {
  message: 'The server is a replica that does not log what it replicates (log_replica_updates, log_slave_updates).',
  fix: 'Restart it with log_replica_updates = ON (in MariaDB log_slave_updates), or, once it is promoted, let it forget its primary (RESET REPLICA ALL).',
};
/** Of which SHOW … STATUS says nothing. */
const NODE: Unlogged = {
  message: 'The server is a node of a Galera cluster (wsrep_on) that does not log what comes from the other nodes.',
  fix: 'Restart it with log_slave_updates = ON (in versions on MySQL log_replica_updates).',
};

/** Of a stream that goes on: the end of a hint. */
export const MEANWHILE =
  ' What was changed since the stream read last may be missing: then start with {"onLostPosition":"resnapshot"}.';

/** Whether the log has what is changed here and what comes from other servers: `all` of it, or not; `unknown`: the server does not tell this user. */
export async function logged(session: Session, server: Server): Promise<'all' | 'unknown' | Unlogged> {
  if (/^(OFF|0)$/.test((await variable(session, 'log_bin')) ?? '')) return SILENT;
  const logs = (await variable(session, 'log_replica_updates')) ?? (await variable(session, 'log_slave_updates'));
  if (logs === 'ON') return 'all';
  if ((await variable(session, 'wsrep_on')) === 'ON') return NODE;
  const from = await upstreams(session, server);
  return from instanceof StreamError ? 'unknown' : from.length === 0 ? 'all' : REPLICA;
}

/**
 * Its log would stay silent. Where the user may not ask, the preflight warns.
 * @param after what is to be done behind the fix @throws StreamError of `code`
 */
export async function refuseUnlogged(
  session: Session,
  server: Server,
  code: StreamErrorCode,
  after = '',
): Promise<void> {
  const found = await logged(session, server);
  if (typeof found === 'object') throw new StreamError(code, found.message, { hint: found.fix + after });
}

/** From where and how far the server replicates, or why it does not say that. */
export const upstreams = (session: Session, { flavor, number }: Server): Promise<readonly Row[] | StreamError> =>
  answerTo(
    session,
    flavor === 'mariadb' ? 'SHOW ALL SLAVES STATUS' : number >= 80_022 ? 'SHOW REPLICA STATUS' : 'SHOW SLAVE STATUS',
  );

/** Whether it is not for a right that `upstreams` has no answer. */
export const mayAsk = (answer: readonly Row[] | StreamError): boolean =>
  !(answer instanceof StreamError && answer.code === 'permission_denied');

/** What lets the user ask for `upstreams`; MariaDB has changed its mind twice. */
export async function upstreamsGrant(session: Session, { flavor, number }: Server): Promise<string> {
  const [client, admin, monitor] = ['REPLICATION CLIENT', 'REPLICATION SLAVE ADMIN', 'SLAVE MONITOR'];
  const right = flavor === 'mysql' || number < 100_502 ? client : number < 100_508 ? admin : monitor;
  return `GRANT ${right} ON *.* TO ${(await userOf(session)).to};`;
}
