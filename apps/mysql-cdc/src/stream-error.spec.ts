import { toStreamError } from './stream-error.js';

const failure = (message: string, more: object): Error => Object.assign(new Error(message), more);

describe('what the driver says without a number of the server', () => {
  it.each([
    ['source_unreachable', failure("Can't add new command when connection is in closed state", { fatal: true })],
    ['source_unreachable', failure('Packets out of order', { fatal: true, code: 'PROTOCOL_PACKETS_OUT_OF_ORDER' })],
    ['source_unreachable', failure('Unexpected packet', { fatal: true, code: 'HANDSHAKE_UNKNOWN_ERROR' })],
    ['source_unreachable', failure('Connection lost', { fatal: true, code: 'PROTOCOL_CONNECTION_LOST' })],
    ['auth_failed', failure('Server requests authentication using unknown plugin dialog. See', {})],
    ['auth_failed', failure('plaintext', { fatal: true, code: 'MYSQL_CLEAR_PASSWORD_NOT_ENABLED' })],
    ['tls_failed', failure('no TLS', { fatal: true, code: 'HANDSHAKE_NO_SSL_SUPPORT' })],
    ['internal', failure('a fault of ours', {})],
    ['internal', Object.assign(new TypeError('a fault of ours that the driver met'), { fatal: true })],
    ['internal', failure('an unknown one of the server', { errno: 4711, code: 'ER_UNKNOWN', fatal: true })],
  ])('is %s', (code, error) => {
    expect(toStreamError(error, 'reading')).toMatchObject({ code });
  });

  it('asks again where the server could not read its log, as of one that is reset under the reader (trap 20)', () => {
    const ofLog = (text: string) => toStreamError(failure(text, { errno: 1236 }), 'reading');
    const reset = "I/O error reading log event; the first event 'binlog.000001' at 292158";
    expect(ofLog(reset)).toMatchObject({ code: 'source_unreachable', recourse: 'retry' });
    expect(ofLog('bogus data in log event')).toMatchObject({ code: 'event_unsupported', recourse: 'fatal' });
  });

  it('tells to look at host and port where what answers is no such server, not where the connection was cut', () => {
    const hint = (code: string) => toStreamError(failure('Unexpected packet', { fatal: true, code }), 'reading').hint;
    expect(hint('HANDSHAKE_UNKNOWN_ERROR')).toContain('a server of MySQL');
    expect(hint('PROTOCOL_SEQUENCE_TIMEOUT')).not.toContain('a server of MySQL');
  });

  it('passes on no more of what a server says than a line, without escapes', () => {
    const denied = failure(`\u001b[2J\n${'x'.repeat(3_000_000)}`, { errno: 1045 });
    expect(toStreamError(denied, 'connecting').message).toBe(`Failed while connecting: [2J ${'x'.repeat(296)}….`);
  });

  it('says the number alone of what is not known: its text may be a value', () => {
    const error = failure("Duplicate entry 'a secret' for key", { errno: 4711 });
    expect(toStreamError(error, 'reading').message).toBe('Failed while reading (error 4711).');
  });
});
