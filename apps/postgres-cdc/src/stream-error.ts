import { socketFailure, StreamError, toldText, type StreamErrorCode } from '@planasonix/core';
import { CleartextRefused } from './plain-login.js';

/** What the driver and the server put on their errors. */
interface Fault {
  readonly code: string;
  readonly routine: string;
  readonly message: string;
}

type Verdict = readonly [code: StreamErrorCode, hint?: string];

const POOLER =
  'A connection pooler stands in between; it carries no replication. Give the host and port of the server itself.';

const IN_CLEAR =
  'Let the server take TLS, and set sslMode to verify-full; or use scram-sha-256. Where the network between is trusted: sslMode disable.';

const BROKEN_OFF =
  'The server broke a query off for another transaction; it is tried again. Where a standby does so often: hot_standby_feedback, or a longer max_standby_streaming_delay.';

/** SQLSTATEs that say all by themselves. */
const STATES: Readonly<Record<string, Verdict>> = {
  '28P01': ['auth_failed'],
  '28000': ['auth_failed', 'Correct the user of the connection, or let it in with a line in pg_hba.conf.'],
  '3D000': ['config_invalid', 'Correct the database of the connection.'],
  '25006': [
    'permission_denied',
    'The server is a standby, or read-only. What POST …/check shows is to be made at its primary; or give the host of the primary.',
  ],
  '42501': ['permission_denied'],
  '42P01': ['tables_missing'],
  '3F000': ['tables_missing'],
  '53300': ['too_many_connections'],
  '53400': ['too_many_connections', 'Raise max_replication_slots at the source, or drop slots that nobody needs.'],
  '55006': ['slot_active'],
  '57014': ['source_unreachable', 'The server broke a query off because it took too long; it is tried again.'],
  '55P03': [
    'source_unreachable',
    'Somebody keeps a table, or an index of it, locked (ALTER, VACUUM FULL, REINDEX); it is tried again.',
  ],
  '40001': ['source_unreachable', BROKEN_OFF],
  '40P01': ['source_unreachable', BROKEN_OFF],
  '58P01': ['slot_lost'],
  // Only a pooler refuses what the driver says at the start.
  '08P01': ['config_invalid', POOLER],
};

/** Texts of the driver, which has no codes for these, in English always. */
const TEXTS: readonly (readonly [RegExp, Verdict])[] = [
  [/does not support SSL connections|establishing an SSL connection/, ['tls_failed']],
  [/^SASL|client password must be/, ['auth_failed']],
  [
    /Connection terminated|timeout expired|Query read timeout|not queryable|Client was closed|Client has encountered/,
    ['source_unreachable'],
  ],
];

const DENIED_FUNCTION = /^permission denied for function (\w+)$/;

/** Some revoke from all what every session asks. */
function deniedFunction({ code, message }: Fault): Verdict | null {
  const [, name] = (code === '42501' && DENIED_FUNCTION.exec(message)) || [];
  if (name === undefined) return null;
  return ['permission_denied', `GRANT EXECUTE ON FUNCTION pg_catalog.${name} TO the user of the connection.`];
}

/** 42704 and 55000 mean several things; the routine of the server that said so, or what was being done, tells. */
function byContext({ code, routine, message }: Fault, doing: string): Verdict | null {
  const where = `${routine} ${message} ${doing}`;
  if (code === '42704') {
    if (/publication/i.test(routine) || /publication "/.test(message)) return ['publication_missing'];
    if (/slot/i.test(routine) || /replication slot "/.test(message)) return ['slot_lost'];
    return /publication/i.test(doing) ? ['publication_missing'] : /slot/i.test(doing) ? ['slot_lost'] : null;
  }
  if (code !== '55000') return null;
  if (/recovery|standby/i.test(message))
    return [
      'config_invalid',
      'The connection leads to a standby. Give the primary, or a standby of Postgres 16 or later.',
    ];
  if (/wal_level/.test(message) || /CheckLogicalDecodingRequirements/.test(routine)) return ['wal_level'];
  if (/not created in this database|physical replication slot/.test(message))
    return ['config_invalid', 'Name another slot in slot_name.'];
  return /slot|decoding/i.test(where) ? ['slot_lost'] : null;
}

function judge(fault: Fault, doing: string): Verdict | null {
  const { code, message } = fault;
  const named = deniedFunction(fault) ?? STATES[code] ?? byContext(fault, doing);
  if (named) return named;
  if (/^(08|57P)...?$/.test(code)) return ['source_unreachable'];
  const ofSocket = socketFailure(code);
  if (ofSocket !== null) return [ofSocket];
  return TEXTS.find(([text]) => text.test(message))?.[1] ?? null;
}

const textOf = (error: object, key: string): string => {
  const value: unknown = Reflect.get(error, key);
  return typeof value === 'string' ? value : '';
};

const SQLSTATE = /^[0-9A-Z]{5}$/;

/**
 * The one place that knows the driver's and the server's errors. The server's text is passed on where it speaks of
 * names and settings alone; of an unknown failure only the SQLSTATE, for its text could hold a row's value.
 *
 * @param doing what was tried, for the message: `reading`, `creating the publication`.
 */
export function toStreamError(error: unknown, doing: string): StreamError {
  if (error instanceof StreamError) return error;
  if (typeof error !== 'object' || error === null) return new StreamError('internal', `Failed while ${doing}.`);
  if (error instanceof CleartextRefused)
    return new StreamError('tls_failed', `Failed while ${doing}: ${error.message}.`, { hint: IN_CLEAR, cause: error });
  const fault: Fault = {
    code: textOf(error, 'code'),
    routine: textOf(error, 'routine'),
    message: textOf(error, 'message'),
  };
  const verdict = judge(fault, doing);
  if (verdict !== null) {
    const [code, hint] = verdict;
    return new StreamError(code, `Failed while ${doing}: ${toldText(fault.message)}.`.replace(/\.\.$/, '.'), {
      ...(hint === undefined ? {} : { hint }),
      cause: error,
    });
  }
  const what = SQLSTATE.test(fault.code) ? `SQLSTATE ${fault.code}` : toldText(textOf(error, 'name')) || 'unknown';
  return new StreamError('internal', `Failed while ${doing} (${what}).`, { cause: error });
}

/** A slot can't be read past a place at which its publication was not there, also where there is one again (trap 10). */
export const unreadable = (error: StreamError): StreamError =>
  error.code === 'publication_missing'
    ? new StreamError('slot_lost', `The publication was dropped; the slot can't be read past that. ${error.message}`, {
        hint: 'The slot is there, the publication was dropped: make it again if it is yours, then start with {"onLostPosition":"resnapshot"} or "skip".',
      })
    : error;
