const NETWORK =
  /^(ECONNREFUSED|ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|EHOST|ENET|EADDRNOTAVAIL|ENOTFOUND|EAI_AGAIN|ERR_STREAM_|ERR_SOCKET_)/;
const TLS =
  /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|EPROTO)/;

/** What Node's code of a failed socket means to whoever dialled; `null`: it is not about the connection. */
export function socketFailure(code: string): 'source_unreachable' | 'tls_failed' | null {
  if (NETWORK.test(code)) return 'source_unreachable';
  return TLS.test(code) ? 'tls_failed' : null;
}
