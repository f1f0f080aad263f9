import { socketFailure, STREAM_ERRORS, StreamError, toldText, type StreamErrorCode } from '@planasonix/core';

/** An answer of a broker that is not success. Codes are those of the protocol. */
export class KafkaError extends Error {
  constructor(
    readonly code: number,
    readonly about: string,
  ) {
    super(`${about}: ${KAFKA_CODES[code] ?? `error ${code}`}`);
    this.name = 'KafkaError';
  }
}

/** Names of the codes that we meet; each other one is told by its number. */
const KAFKA_CODES: Readonly<Record<number, string>> = {
  [-1]: 'UNKNOWN_SERVER_ERROR',
  1: 'OFFSET_OUT_OF_RANGE',
  2: 'CORRUPT_MESSAGE',
  3: 'UNKNOWN_TOPIC_OR_PARTITION',
  5: 'LEADER_NOT_AVAILABLE',
  6: 'NOT_LEADER_OR_FOLLOWER',
  7: 'REQUEST_TIMED_OUT',
  9: 'REPLICA_NOT_AVAILABLE',
  10: 'MESSAGE_TOO_LARGE',
  13: 'NETWORK_EXCEPTION',
  14: 'COORDINATOR_LOAD_IN_PROGRESS',
  15: 'COORDINATOR_NOT_AVAILABLE',
  16: 'NOT_COORDINATOR',
  18: 'RECORD_LIST_TOO_LARGE',
  19: 'NOT_ENOUGH_REPLICAS',
  20: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  25: 'UNKNOWN_MEMBER_ID',
  29: 'TOPIC_AUTHORIZATION_FAILED',
  30: 'GROUP_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
  32: 'INVALID_TIMESTAMP',
  33: 'UNSUPPORTED_SASL_MECHANISM',
  34: 'ILLEGAL_SASL_STATE',
  35: 'UNSUPPORTED_VERSION',
  38: 'INVALID_REPLICATION_FACTOR',
  44: 'POLICY_VIOLATION',
  45: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
  47: 'INVALID_PRODUCER_EPOCH',
  48: 'INVALID_TXN_STATE',
  50: 'INVALID_TRANSACTION_TIMEOUT',
  51: 'CONCURRENT_TRANSACTIONS',
  53: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  56: 'KAFKA_STORAGE_ERROR',
  58: 'SASL_AUTHENTICATION_FAILED',
  68: 'NON_EMPTY_GROUP',
  69: 'GROUP_ID_NOT_FOUND',
  74: 'FENCED_LEADER_EPOCH',
  75: 'UNKNOWN_LEADER_EPOCH',
  78: 'OFFSET_NOT_AVAILABLE',
  87: 'INVALID_RECORD',
  90: 'PRODUCER_FENCED',
  100: 'UNKNOWN_TOPIC_ID',
  103: 'INCONSISTENT_TOPIC_ID',
};

/** Another broker has it now, or will have it soon: look at the metadata and ask again. */
export const MOVED: ReadonlySet<number> = new Set([5, 6, 7, 9, 13, 14, 15, 16, 56, 74, 75, 78]);

/**
 * The same request may succeed later, with nothing changed in it: replicas that come back, markers that are still being
 * written, clocks that are set.
 */
const LATER: ReadonlySet<number> = new Set([19, 20, 32, 38, 51]);
const TOO_LARGE: ReadonlySet<number> = new Set([10, 18]);
/** A rule of the cluster's, which no repetition changes. */
const AGAINST_RULES: ReadonlySet<number> = new Set([44, 50]);
const LOGINS: ReadonlySet<number> = new Set([33, 34, 58]);
/** Asked to log somebody in where nobody does. */
const NO_LOGIN = 34;
const DENIED: ReadonlySet<number> = new Set([29, 30, 31, 53]);
/** Of kafkajs; it has no codes for these. All are about the connection. */
const OUTAGES = /^KafkaJS(Connection|ConnectionClosed|RequestTimeout|BrokerNotFound|NoBrokerAvailable|LockTimeout)/;

const field = (error: object, name: string): unknown => Reflect.get(error, name);

/** What kafkajs wraps is what happened: `retriable` of the wrapping says nothing. */
function innermost(error: object): object {
  let at = error;
  for (let depth = 0; depth < 5; depth++) {
    const cause = field(at, 'cause');
    if (typeof cause !== 'object' || cause === null) break;
    at = cause;
  }
  return at;
}

function codeOf(error: object): StreamErrorCode | null {
  const code = field(error, 'code');
  const name = String(field(error, 'name'));
  if (typeof code === 'number') {
    if (DENIED.has(code)) return 'permission_denied';
    if (LOGINS.has(code)) return 'auth_failed';
    if (TOO_LARGE.has(code)) return 'message_too_large';
    if (AGAINST_RULES.has(code)) return 'config_invalid';
    return MOVED.has(code) || LATER.has(code) ? 'source_unreachable' : null;
  }
  if (typeof code === 'string') {
    if (code in STREAM_ERRORS) return code as StreamErrorCode;
    const ofSocket = socketFailure(code);
    if (ofSocket !== null) return ofSocket;
  }
  if (name.startsWith('KafkaJSSASLAuthentication')) return 'auth_failed';
  return OUTAGES.test(name) ? 'source_unreachable' : null;
}

const messageOf = (error: object): string => {
  const message = field(error, 'message');
  return typeof message === 'string'
    ? toldText(message)
        .replace(/^Connection error: /, '')
        .replace(/\.$/, '')
    : '';
};

export const UNKNOWN_LEADER_EPOCH = 75;
/** Whoever was asked who leads, or whoever leads as far as that one knows, has not heard of the newest leader. */
export const OLD_METADATA: ReadonlySet<number> = new Set([74, UNKNOWN_LEADER_EPOCH]);

/** @param name of the partition */
export const lagging = (name: string): StreamError =>
  new StreamError('source_unreachable', `The brokers do not know of the newest leader that is known of ${name}.`, {
    hint: 'A broker that was away learns of it by itself. Where the cluster was put back to an earlier state, stop the stream and set its position (PUT …/position).',
  });

/**
 * The one place that knows the errors of driver and broker.
 * @param doing what was tried, for the message: `reading`, `asking for the topics`
 */
export function toStreamError(error: unknown, doing: string): StreamError {
  if (error instanceof StreamError) return error;
  if (typeof error !== 'object' || error === null) return new StreamError('internal', `Failed while ${doing}.`);
  const found = innermost(error);
  const code = codeOf(found) ?? codeOf(error);
  if (code === null)
    return new StreamError('internal', `Failed while ${doing}: ${messageOf(found)}.`, { cause: error });
  if (code === 'auth_failed' && field(found, 'code') === NO_LOGIN)
    return new StreamError(code, `The broker takes no user and password at this address (${doing}).`, {
      hint: 'Leave sasl out of the connection, or give the port of a listener with SASL.',
      cause: error,
    });
  if (code === 'auth_failed')
    return new StreamError(code, `The broker refuses user and password (${doing}).`, { cause: error });
  const hint = code === 'tls_failed' ? 'Check tls and sslRootCert of the connection.' : undefined;
  return new StreamError(code, `Failed while ${doing}: ${messageOf(found)}.`, { cause: error, ...(hint && { hint }) });
}
