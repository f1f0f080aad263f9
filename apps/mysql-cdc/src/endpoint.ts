import { isIP } from 'node:net';
import { databaseEndpoint, StreamError, type ConnectionSettings, type DatabaseEndpoint } from '@planasonix/core';
import type { SslOptions } from 'mysql2';

/** @throws StreamError `config_invalid`, `tls_failed` */
export function endpointOf(connection: ConnectionSettings): DatabaseEndpoint {
  const endpoint = databaseEndpoint(connection, 3306);
  if (endpoint.sslMode === 'verify-full' && isIP(endpoint.host) !== 0)
    throw new StreamError(
      'tls_failed',
      'sslMode verify-full checks a name, and the host of the connection is an address.',
      { hint: 'Give the host by its name, or set sslMode to verify-ca.' },
    );
  return endpoint;
}

/** `require` with an authority at hand checks against it, as `verify-ca`. */
export function tlsOf({ sslMode, sslRootCert, sslCert, sslKey }: DatabaseEndpoint): SslOptions {
  return {
    ...(sslRootCert === null ? {} : { ca: sslRootCert }),
    ...(sslCert === null ? {} : { cert: sslCert }),
    ...(sslKey === null ? {} : { key: sslKey }),
    rejectUnauthorized:
      ['verify-full', 'verify-ca'].includes(sslMode) || (sslMode === 'require' && sslRootCert !== null),
    verifyIdentity: sslMode === 'verify-full',
  };
}
