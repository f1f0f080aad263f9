import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import {
  type ConnectionSettings,
  databaseEndpoint,
  type DatabaseEndpoint,
  type Outbound,
  staysHere,
  StreamError,
} from '@planasonix/core';
import pg, { type Client, type ClientConfig } from 'pg';
import { INSTANCE, noteInstance } from './instance.js';
import { silentConnection } from './plain-login.js';
import { toStreamError } from './stream-error.js';

export { toStreamError } from './stream-error.js';

type Endpoint = DatabaseEndpoint & { readonly database: string };

export interface SessionOptions {
  /** Speaks the replication protocol, within the database. */
  readonly replication?: boolean;
  /** `application_name` at the server. */
  readonly name: string;
  /** Also bounds the wait for an answer of a server that is gone. Default: none, for queries that take hours. */
  readonly statementTimeoutMs?: number;
  /** Default 10 s. */
  readonly connectTimeoutMs?: number;
}

/**
 * What the text of a value depends on (trap 15), pinned against what server, database or role have set; likewise what
 * could end a long snapshot. With `row_security` off a policy that would hide rows is an error, never a silent gap.
 */
const PINNED: Readonly<Record<string, string>> = {
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  extra_float_digits: '3',
  bytea_output: 'hex',
  client_encoding: 'UTF8',
  // Names of relations and types stand in values, too (`regclass`).
  search_path: '',
  row_security: 'off',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  // A worker that is gone without a farewell must not keep a snapshot, a lock or a slot for the two hours after which TCP asks.
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '10',
  tcp_keepalives_count: '3',
};

/**
 * For sessions whose queries may take hours: the server looks whether anybody still waits, which it would else notice once it
 * has something to send. Not every system that it runs on can tell it that.
 */
const LOOKS = "SELECT pg_catalog.set_config('client_connection_check_interval', '1s', false)";

/** Settings of later versions that could end a long session can't be named at the start where they are unknown. */
const FIRST = `
  SELECT ${INSTANCE} AS instance,
    (SELECT count(pg_catalog.set_config(name, '0', false)) FROM pg_catalog.pg_settings
     WHERE name IN ('transaction_timeout', 'idle_session_timeout') AND setting <> '0') AS pinned`;

const CONNECT_MS = 10_000;
const KEEPALIVE_MS = 10_000;
/** Whether a server took TLS under `prefer`, as the last session found. */
const tookTls = new WeakMap<ConnectionSettings, boolean>();

/** The wire's text, for every type: parsing loses microseconds, digits and infinities (trap 15). */
const types = { getTypeParser: () => (value: string) => value };

function endpoint(connection: ConnectionSettings): Endpoint {
  const { database, ...to } = databaseEndpoint(connection, 5432);
  if (database !== null) return { ...to, database };
  throw new StreamError('config_invalid', 'The connection has no database.', { hint: 'Correct the connection.' });
}

/** As libpq does it: `require` with an authority at hand checks against it, as `verify-ca`. */
function tls({ host, sslMode, sslRootCert, sslCert, sslKey }: Endpoint): ConnectionOptions {
  const full = sslMode === 'verify-full';
  return {
    // The address is dialled, the name is checked.
    ...(isIP(host) === 0 ? { servername: host, host } : {}),
    ...(sslRootCert === null ? {} : { ca: sslRootCert }),
    ...(sslCert === null ? {} : { cert: sslCert }),
    ...(sslKey === null ? {} : { key: sslKey }),
    rejectUnauthorized: full || sslMode === 'verify-ca' || (sslMode === 'require' && sslRootCert !== null),
    ...(full ? {} : { checkServerIdentity: () => undefined }),
  };
}

/** Every value is given, so that nothing of the worker's own environment (`PGPASSWORD`, `PGOPTIONS`) gets in. */
function dialling(to: Endpoint, address: string, secure: boolean, session: SessionOptions): ClientConfig {
  const { replication = false, name, statementTimeoutMs = 0, connectTimeoutMs = CONNECT_MS } = session;
  const settings = { ...PINNED, statement_timeout: String(statementTimeoutMs) };
  return {
    ...{ host: address, port: to.port, database: to.database, user: to.user, password: () => to.password },
    ssl: secure ? tls(to) : false,
    ...(secure || to.sslMode === 'disable' || staysHere(address) ? {} : { connection: silentConnection(KEEPALIVE_MS) }),
    ...{ sslnegotiation: 'postgres', keepAlive: true, keepAliveInitialDelayMillis: KEEPALIVE_MS },
    application_name: name,
    connectionTimeoutMillis: connectTimeoutMs,
    ...(statementTimeoutMs > 0 ? { query_timeout: statementTimeoutMs + 2000 } : {}),
    options: Object.entries(settings)
      .map(([setting, value]) => `-c ${setting}=${value}`)
      .join(' '),
    types,
    ...(replication ? { replication: 'database' } : {}),
  };
}

async function dial(config: ClientConfig): Promise<Client> {
  const client = new pg.Client(config);
  // A connection that breaks while idle must not end the process; its next query says what happened.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    client.end().catch(() => undefined);
    throw error;
  }
}

const lacksTls = (error: unknown): boolean =>
  error instanceof Error && /does not support SSL connections/.test(error.message);

/**
 * Opens a session. The host is resolved and judged each time, and the address that was judged is dialled (trap 34).
 * Every value comes back as the text that the server sent.
 *
 * @throws StreamError
 */
export async function openSession(
  connection: ConnectionSettings,
  outbound: Outbound,
  options: SessionOptions,
): Promise<Client> {
  const to = endpoint(connection);
  const address = await outbound.resolve(to.host, to.port, to.database);
  const attempt = (secure: boolean) => dial(dialling(to, address, secure, options));
  try {
    const client = await attempt(to.sslMode !== 'disable').catch((error: unknown) => {
      if (to.sslMode === 'prefer' && lacksTls(error)) return attempt(false);
      throw error;
    });
    tookTls.set(connection, Boolean(client.ssl));
    if (options.replication === true) return client;
    const { rows } = await client.query<{ instance: string }>(FIRST);
    noteInstance(client, rows[0]!.instance);
    if (options.statementTimeoutMs === undefined) await client.query(LOOKS).catch(() => undefined);
    return client;
  } catch (error) {
    throw toStreamError(error, 'connecting');
  }
}

/** The same dialling for a replication connection that somebody else opens. */
export async function clientConfig(
  connection: ConnectionSettings,
  outbound: Outbound,
  { name }: { readonly name: string },
): Promise<ClientConfig> {
  const to = endpoint(connection);
  if (to.sslMode === 'prefer' && !tookTls.has(connection))
    await (await openSession(connection, outbound, { name })).end();
  const secure = to.sslMode === 'prefer' ? tookTls.get(connection) === true : to.sslMode !== 'disable';
  return dialling(to, await outbound.resolve(to.host, to.port, to.database), secure, { name, replication: true });
}
