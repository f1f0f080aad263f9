import { isIP } from 'node:net';
import { StreamError, type ConnectionSettings } from '@planasonix/core';
import type { SslOptions } from 'mysql2';

const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** Where a connection leads, and how it is protected. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly database: string | null;
  readonly user: string;
  readonly password: string;
  readonly sslMode: SslMode;
  readonly sslRootCert: string | null;
  readonly sslCert: string | null;
  readonly sslKey: string | null;
}

/** @throws StreamError `config_invalid` */
export function endpointOf({ config }: ConnectionSettings): Endpoint {
  const value = (key: string): unknown => config[key] ?? config[key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)];
  const text = (key: string): string => {
    const found = value(key);
    if (typeof found === 'string' && found !== '') return found;
    throw new StreamError('config_invalid', `The connection has no ${key}.`, { hint: 'Correct the connection.' });
  };
  const optional = (key: string): string | null => (value(key) ? text(key) : null);
  const sslMode = SSL_MODES.find((mode) => mode === (value('sslMode') ?? 'prefer'));
  const port = Number(value('port') ?? 3306);
  if (sslMode === undefined || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new StreamError('config_invalid', `The connection has no proper ${sslMode ? 'port' : 'sslMode'}.`);
  const host = text('host');
  if (sslMode === 'verify-full' && isIP(host) !== 0)
    throw new StreamError(
      'tls_failed',
      'sslMode verify-full checks a name, and the host of the connection is an address.',
      {
        hint: 'Give the host by its name, or set sslMode to verify-ca.',
      },
    );
  return {
    ...{ host, port, database: optional('database'), user: text('user'), sslMode },
    ...{ password: optional('password') ?? '', sslRootCert: optional('sslRootCert') },
    ...{ sslCert: optional('sslCert'), sslKey: optional('sslKey') },
  };
}

/** `require` with an authority at hand checks against it, as `verify-ca`. */
export function tlsOf({ sslMode, sslRootCert, sslCert, sslKey }: Endpoint): SslOptions {
  return {
    ...(sslRootCert === null ? {} : { ca: sslRootCert }),
    ...(sslCert === null ? {} : { cert: sslCert }),
    ...(sslKey === null ? {} : { key: sslKey }),
    rejectUnauthorized:
      ['verify-full', 'verify-ca'].includes(sslMode) || (sslMode === 'require' && sslRootCert !== null),
    verifyIdentity: sslMode === 'verify-full',
  };
}
