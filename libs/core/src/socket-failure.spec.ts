import { socketFailure } from './socket-failure.js';

describe('the code of a failed socket', () => {
  it.each(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETDOWN', 'ENOTFOUND', 'EAI_AGAIN'])(
    '%s says that nobody answers there',
    (code) => expect(socketFailure(code)).toBe('source_unreachable'),
  );

  it.each([
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'CERT_HAS_EXPIRED',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'ERR_SSL_WRONG_VERSION_NUMBER',
  ])('%s says that whoever answers cannot be trusted', (code) => expect(socketFailure(code)).toBe('tls_failed'));

  it.each(['ENOENT', '28P01', 'ER_ACCESS_DENIED_ERROR', ''])('%p is not about the connection', (code) => {
    expect(socketFailure(code)).toBeNull();
  });
});
