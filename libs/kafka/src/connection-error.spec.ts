import { STREAM_ERRORS } from '@planasonix/core';
import { KafkaError, toStreamError } from './index.js';

describe('what a broker answers', () => {
  it.each([
    [18, 'RECORD_LIST_TOO_LARGE', 'message_too_large'],
    [19, 'NOT_ENOUGH_REPLICAS', 'source_unreachable'],
    [20, 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'source_unreachable'],
    [32, 'INVALID_TIMESTAMP', 'source_unreachable'],
    [38, 'INVALID_REPLICATION_FACTOR', 'source_unreachable'],
    [44, 'POLICY_VIOLATION', 'config_invalid'],
    [50, 'INVALID_TRANSACTION_TIMEOUT', 'config_invalid'],
    [51, 'CONCURRENT_TRANSACTIONS', 'source_unreachable'],
    [6, 'NOT_LEADER_OR_FOLLOWER', 'source_unreachable'],
    [29, 'TOPIC_AUTHORIZATION_FAILED', 'permission_denied'],
    [58, 'SASL_AUTHENTICATION_FAILED', 'auth_failed'],
    // Of a later Kafka: it may go away.
    [999, 'error 999', 'internal'],
  ] as const)('%i is %s, and means %s', (code, name, means) => {
    const error = new KafkaError(code, 'doing it');
    expect(error.message).toBe(`doing it: ${name}`);
    expect(toStreamError(error, 'trying')).toMatchObject({ code: means, recourse: STREAM_ERRORS[means].recourse });
  });

  it('a certificate that is not trusted is mended by what a connection to Kafka has', () => {
    const cause = Object.assign(new Error('self-signed certificate'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
    expect(toStreamError(new Error('Connection error', { cause }), 'dialling')).toMatchObject({
      ...{ code: 'tls_failed', hint: 'Check tls and sslRootCert of the connection.' },
    });
  });
});
