import { StreamError } from './errors.js';
import type { ConnectionSettings } from './source.js';

const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** Where the connection of a database leads, and how it is protected. */
export interface DatabaseEndpoint {
  readonly host: string;
  readonly port: number;
  /** `null`: none is named. */
  readonly database: string | null;
  readonly user: string;
  readonly password: string;
  readonly sslMode: SslMode;
  /** PEM, as the next two. */
  readonly sslRootCert: string | null;
  readonly sslCert: string | null;
  readonly sslKey: string | null;
}

/** Keys in either casing. @throws StreamError `config_invalid` */
export function databaseEndpoint({ config }: ConnectionSettings, defaultPort: number): DatabaseEndpoint {
  const value = (key: string): unknown => config[key] ?? config[key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)];
  const text = (key: string): string => {
    const found = value(key);
    if (typeof found === 'string' && found !== '') return found;
    throw new StreamError('config_invalid', `The connection has no ${key}.`, { hint: 'Correct the connection.' });
  };
  const optional = (key: string): string | null => (value(key) ? text(key) : null);
  const sslMode = SSL_MODES.find((mode) => mode === (value('sslMode') ?? 'prefer'));
  const port = Number(value('port') ?? defaultPort);
  if (sslMode === undefined || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new StreamError('config_invalid', `The connection has no proper ${sslMode ? 'port' : 'sslMode'}.`);
  return {
    ...{ host: text('host'), port, database: optional('database'), user: text('user'), sslMode },
    ...{ password: optional('password') ?? '', sslRootCert: optional('sslRootCert') },
    ...{ sslCert: optional('sslCert'), sslKey: optional('sslKey') },
  };
}

/** Whether nobody can stand in between: what is said to an address of this kind does not leave the machine. */
export const staysHere = (address: string): boolean => /^(?:::ffff:)?127\.|^::1$/i.test(address);
