import { socketFailure, StreamError, toldText, type StreamErrorCode } from '@planasonix/core';
import { PlainLoginRefused } from './plain-login.js';

type Verdict = readonly [code: StreamErrorCode, hint?: string];

const RESET =
  'Its log was reset, cut off by a crash, or it is another server. Start with {"onLostPosition":"resnapshot"} or "skip".';

/** Errors of the servers by number: MariaDB and MySQL share these. */
const ERRORS: Readonly<Record<number, Verdict>> = {
  1040: ['too_many_connections', 'Raise max_connections at the source.'],
  1203: ['too_many_connections', 'Raise max_user_connections of the user at the source.'],
  1226: ['too_many_connections', 'Raise the limits of the user at the source.'],
  1044: ['permission_denied'],
  1045: ['auth_failed'],
  1698: ['auth_failed', 'The user logs in by something other than a password. Give it one.'],
  1049: ['config_invalid', 'Correct the database of the connection.'],
  1130: ['auth_failed', 'The server lets nobody in from the address of the workers: add the host to the user.'],
  1142: ['permission_denied'],
  1143: ['permission_denied'],
  1227: ['permission_denied'],
  1251: [
    'auth_failed',
    'The server asks for a way of logging in that is not known here: use caching_sha2_password or mysql_native_password.',
  ],
  1524: ['auth_failed', 'The server lacks the plugin by which this user logs in.'],
  1820: ['auth_failed', 'The password of the user has expired.'],
  1862: ['auth_failed', 'The password of the user has expired.'],
  1146: ['tables_missing'],
  3159: ['tls_failed', 'The server takes encrypted connections alone: set sslMode to require or more.'],
  1412: ['snapshot_failed'],
  1205: ['snapshot_failed', 'Somebody holds a lock that the snapshot waits for; it is tried again.'],
  1213: ['snapshot_failed'],
};

/** `ER_NO_SUCH_TABLE`; `ER_BAD_DB_ERROR`, which is MySQL's answer where the whole schema is gone. */
const GONE: readonly unknown[] = [1146, 1049];
/** A view over what is not there, or of a user who is not. */
const BROKEN_VIEW: readonly unknown[] = [1356, 1449];

/** Whether what has that name is a view that shows nothing: its name may have been a table's. */
export const isBrokenView = (error: unknown): boolean => BROKEN_VIEW.includes((error as { errno?: unknown }).errno);

/** Whether the server says that a table is not there. */
export const isGone = (error: unknown): boolean => GONE.includes((error as { errno?: unknown }).errno);

/** Of the driver. */
const OVER = 'PROTOCOL_CONNECTION_LOST';
const HANDSHAKE = /^HANDSHAKE_(NO_SSL_SUPPORT|SSL_ERROR)/;
const LOGIN = /^(AUTH_SWITCH_PLUGIN_ERROR|MYSQL_CLEAR_PASSWORD_NOT_ENABLED)$/;
/** What came was not of the protocol: a connection that was cut amid an answer, or … */
const GARBLED = /^PROTOCOL_/;
/** … another kind of server. */
const FOREIGN = 'HANDSHAKE_UNKNOWN_ERROR';
const FOREIGN_LOGIN: Verdict = ['auth_failed', 'The server asks for a way of logging in that is not allowed here.'];

const PLAIN_LOGIN: Verdict = [
  'tls_failed',
  'Let the server take TLS, and set sslMode to verify-full. Where the network between is trusted: sslMode disable.',
];

/** 1236 is all that a server says of its log; the rest is in its text, in English always. */
function ofLog(message: string): Verdict {
  if (/first log file|purged|could not find/i.test(message)) return ['log_purged'];
  if (/> file size|impossible position/i.test(message)) return ['source_identity_changed', RESET];
  if (/same server_(uu)?id/i.test(message))
    return ['source_unreachable', 'Another reader has the same server_id: leave server_id out, or give a free one.'];
  // So says MySQL of a file that is thrown away under it, too: whoever asks again hears which of both it was.
  if (/i\/o error/i.test(message))
    return ['source_unreachable', 'The server can not read its own log here: see to its disk. It is tried again.'];
  return ['event_unsupported', 'The server can not read its own log here.'];
}

function judge(error: object): Verdict | null {
  if (error instanceof PlainLoginRefused) return PLAIN_LOGIN;
  const code: unknown = Reflect.get(error, 'code');
  const errno: unknown = Reflect.get(error, 'errno');
  const message = error instanceof Error ? error.message : '';
  if (errno === 1236) return ofLog(message);
  if (typeof errno === 'number' && ERRORS[errno] !== undefined) return ERRORS[errno];
  // The server is going down, or has ended the session.
  if (errno === 1053 || errno === 1927 || errno === 4031 || errno === 1317 || errno === 1159)
    return ['source_unreachable'];
  if (typeof code !== 'string') {
    if (/requests authentication using unknown plugin/.test(message)) return FOREIGN_LOGIN;
    // Asked for over a connection that is over. The driver calls faults of ours fatal, too, where it was it that called us.
    return /connection is in closed state$/.test(message) ? ['source_unreachable'] : null;
  }
  const ofSocket = code === OVER ? 'source_unreachable' : HANDSHAKE.test(code) ? 'tls_failed' : socketFailure(code);
  if (ofSocket !== null) return [ofSocket];
  if (GARBLED.test(code)) return ['source_unreachable'];
  if (code === FOREIGN)
    return ['source_unreachable', 'See whether host and port are those of a server of MySQL or MariaDB.'];
  return LOGIN.test(code) ? FOREIGN_LOGIN : null;
}

/** Whether a failure is one of the server, of the user's rights or of the connection, whatever statement met it. */
export const isKnown = (error: unknown): boolean =>
  error instanceof StreamError || (typeof error === 'object' && error !== null && judge(error) !== null);

/** What the server says speaks of names and settings alone; of an unknown failure only the number is passed on. */
export function toStreamError(error: unknown, doing: string): StreamError {
  if (error instanceof StreamError) return error;
  if (typeof error !== 'object' || error === null) return new StreamError('internal', `Failed while ${doing}.`);
  const verdict = judge(error);
  const text = error instanceof Error ? error.message : '';
  if (verdict !== null) {
    const [code, hint] = verdict;
    return new StreamError(code, `Failed while ${doing}: ${toldText(text)}.`.replace(/\.\.$/, '.'), {
      ...(hint === undefined ? {} : { hint }),
      cause: error,
    });
  }
  const errno: unknown = Reflect.get(error, 'errno');
  const what = typeof errno === 'number' ? `error ${errno}` : error instanceof Error ? error.name : 'unknown';
  return new StreamError('internal', `Failed while ${doing} (${what}).`, { cause: error });
}
