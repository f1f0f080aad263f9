import type { Check } from '@planasonix/core';
import type { Client } from 'pg';
import { quoteIdent } from './identifier.js';
import type { PreflightInput } from './preflight.js';

/** What the server says of itself and of the session's user. */
export interface ServerFacts {
  readonly version: number;
  readonly versionText: string;
  readonly user: string;
  readonly database: string;
  readonly walLevel: string;
  readonly standby: boolean;
  readonly mayReplicate: boolean;
  readonly mayCreate: boolean;
  readonly slots: { readonly used: number; readonly max: number };
  readonly senders: { readonly used: number; readonly max: number };
  /** `-1`: slots may hold back any amount. In MB. */
  readonly slotKeepMb: number;
  /** Seconds after which an idle slot is given up; 0 never. */
  readonly slotIdleSeconds: number;
  /** Somebody between answers for the server: the session's process is not the one that was announced. */
  readonly pooled: boolean;
}

const FACTS = `
  SELECT current_setting('server_version_num') AS version, current_setting('server_version') AS text, current_user AS "user", current_database() AS database,
    current_setting('wal_level') AS wal_level, pg_is_in_recovery() AS standby, pg_backend_pid() AS pid,
    (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user)
      OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication' AND pg_has_role(current_user, oid, 'MEMBER')) AS may_replicate,
    has_database_privilege(current_database(), 'CREATE') AS may_create,
    (SELECT count(*) FROM pg_replication_slots) AS slots, current_setting('max_replication_slots') AS max_slots,
    (SELECT count(*) FROM pg_stat_replication) AS senders, current_setting('max_wal_senders') AS max_senders,
    (SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS keep,
    (SELECT setting FROM pg_settings WHERE name = 'idle_replication_slot_timeout') AS idle`;

export async function serverFacts(client: Client): Promise<ServerFacts> {
  const row = (await client.query<Record<string, string | null>>(FACTS)).rows[0]!;
  const text = (name: string): string => row[name] ?? '';
  const announced: unknown = Reflect.get(client, 'processID');
  return {
    version: Number(text('version')),
    versionText: text('text'),
    user: text('user'),
    database: text('database'),
    walLevel: text('wal_level'),
    standby: text('standby') === 't',
    mayReplicate: text('may_replicate') === 't',
    mayCreate: text('may_create') === 't',
    slots: { used: Number(text('slots')), max: Number(text('max_slots')) },
    senders: { used: Number(text('senders')), max: Number(text('max_senders')) },
    slotKeepMb: Number(row['keep'] ?? -1),
    slotIdleSeconds: Number(row['idle'] ?? 0),
    pooled: typeof announced === 'number' && announced !== Number(text('pid')),
  };
}

export const SUPPORTED = { from: 14, to: 18 } as const;

const warning = (code: string, message: string, fix: string): Check => ({ code, severity: 'warning', message, fix });

/** Whether this version can be read from. */
export function checkVersion(version: number, text: string): Check {
  const major = Math.floor(version / 10_000);
  if (major < SUPPORTED.from)
    return {
      code: 'config_invalid',
      severity: 'error',
      message: `Postgres ${text} is older than ${SUPPORTED.from}.`,
      fix: 'Upgrade the server.',
    };
  if (major > SUPPORTED.to)
    return warning(
      'server_version',
      `Postgres ${text} is newer than what this was tested with.`,
      `Use Postgres ${SUPPORTED.from} to ${SUPPORTED.to}, or upgrade Planasonix Streams.`,
    );
  return { code: 'server_version', severity: 'info', message: `Postgres ${text}.`, fix: null };
}

export const poolerCheck = (): Check =>
  warning(
    'pooler',
    'A connection pooler answers in place of the server; most carry no replication.',
    'Give the host and port of the server itself.',
  );

export const walLevelCheck = (level: string): Check => ({
  code: 'wal_level',
  severity: 'error',
  message: `wal_level is ${level}; logical replication needs logical.`,
  fix: "ALTER SYSTEM SET wal_level = 'logical'; -- then restart the server",
});

export const replicationCheck = (user: string): Check => ({
  code: 'permission_denied',
  severity: 'error',
  message: `The user ${user} may not replicate.`,
  fix: `ALTER ROLE ${quoteIdent(user)} REPLICATION; -- on Amazon RDS: GRANT rds_replication TO ${quoteIdent(user)};`,
});

const full = (what: string, setting: string, { used, max }: { used: number; max: number }): Check => ({
  code: 'too_many_connections',
  severity: 'error',
  message: `All ${max} ${what} are in use.`,
  fix: `ALTER SYSTEM SET ${setting} = ${used + 10}; -- then restart the server`,
});

/** The server's settings and the user's rights, apart from those on tables. */
export async function checkServer({ client, config, slotName }: PreflightInput, server: ServerFacts): Promise<Check[]> {
  const { rows } = await client.query<{ active: string }>(
    'SELECT active FROM pg_catalog.pg_replication_slots WHERE slot_name = $1',
    [slotName],
  );
  const [slot] = rows;
  const checks: Check[] = [checkVersion(server.version, server.versionText)];
  // Which server it is, is asked in the replication protocol, also where rows are all that is read.
  if (!server.mayReplicate) checks.push(replicationCheck(server.user));
  // Rows alone need neither slot nor publication.
  if (config.snapshot === 'only') return checks;
  if (server.walLevel !== 'logical') checks.push(walLevelCheck(server.walLevel));
  if (server.standby && server.version < 160_000)
    checks.push({
      code: 'config_invalid',
      severity: 'error',
      message: 'The connection leads to a standby; before Postgres 16 only a primary can be read from.',
      fix: 'Give the host of the primary.',
    });
  if (server.pooled) checks.push(poolerCheck());
  if (slot === undefined && server.slots.used >= server.slots.max)
    checks.push(full('replication slots', 'max_replication_slots', server.slots));
  if (slot?.active !== 't' && server.senders.used >= server.senders.max)
    checks.push(full('WAL senders', 'max_wal_senders', server.senders));
  if (server.slotKeepMb >= 0)
    checks.push(
      warning(
        'slot_may_be_lost',
        `max_slot_wal_keep_size is ${server.slotKeepMb} MB: a stream that is paused or slow for longer loses its place.`,
        'ALTER SYSTEM SET max_slot_wal_keep_size = -1; SELECT pg_reload_conf();',
      ),
    );
  if (server.slotIdleSeconds > 0)
    checks.push(
      warning(
        'slot_may_be_lost',
        `idle_replication_slot_timeout is ${server.slotIdleSeconds} s: a stream that is stopped for longer loses its place.`,
        'ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();',
      ),
    );
  return checks;
}
