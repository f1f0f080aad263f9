import type { Check, StreamErrorCode } from '@planasonix/core';
import { failed, info, warned } from './finding.js';
import { leftOut } from './log-filters.js';
import type { MySqlPosition } from './position.js';
import { logged, MEANWHILE, mayAsk, SILENT, upstreams, upstreamsGrant } from './replicated.js';
import { keptSeconds } from './retention.js';
import { variable, type Server } from './server.js';
import type { Session } from './session.js';
import { sameServer } from './successor.js';
import type { SourceTable } from './tables.js';

/** The first versions that write full metadata, without which names of columns would be a guess (trap 20). */
const OLDEST = { mariadb: 100_500, mysql: 80_000 } as const;
const DAY_S = 86_400;

export function versionCheck({ flavor, version, number }: Server): Check {
  const name = flavor === 'mariadb' ? 'MariaDB' : 'MySQL';
  if (number >= OLDEST[flavor]) return info('version', `${name} ${version}.`);
  const needed = flavor === 'mariadb' ? 'MariaDB 10.5' : 'MySQL 8.0';
  return failed(
    'config_invalid',
    `${name} ${version} does not write the names of columns into its log.`,
    `Upgrade to ${needed} or later.`,
  );
}

interface Wanted {
  readonly name: string;
  /** Empty: any that the server knows. */
  readonly value: RegExp;
  readonly code: StreamErrorCode;
  readonly fix: string;
}

const SETTINGS: readonly Wanted[] = [
  {
    ...{ name: 'log_bin', value: /^(ON|1)$/, code: 'binlog_format_unsupported' },
    fix: SILENT.fix,
  },
  { name: 'binlog_format', value: /^ROW$/, code: 'binlog_format_unsupported', fix: 'SET GLOBAL binlog_format = ROW;' },
  {
    name: 'binlog_row_image',
    value: /^FULL$/,
    code: 'row_image_unsupported',
    fix: 'SET GLOBAL binlog_row_image = FULL;',
  },
  {
    ...{ name: 'binlog_row_metadata', value: /^FULL$/, code: 'row_image_unsupported' },
    fix: 'SET GLOBAL binlog_row_metadata = FULL;',
  },
  {
    ...{ name: 'binlog_row_value_options', value: /^$/, code: 'event_unsupported' },
    fix: "SET GLOBAL binlog_row_value_options = '';",
  },
];

/** @param tables that are asked for @param had those of which a stream that goes on has read changes */
export async function preflightServer(
  session: Session,
  server: Server,
  tables: readonly SourceTable[] = [],
  had: readonly SourceTable[] = [],
): Promise<Check[]> {
  const checks: Check[] = [];
  for (const { name, value, code, fix } of SETTINGS) {
    const found = await variable(session, name);
    // A server that does not know a setting does not do what it asks for, or always does.
    if (found === null) continue;
    if (value.test(found.toUpperCase())) checks.push(info(name, `${name} is ${found || 'empty'}.`));
    else checks.push(failed(code, `${name} is ${found}.`, fix));
  }
  checks.push(
    ...(await retention(session)),
    ...(await gtids(session, server)),
    ...(await timeZone(session)),
    ...(await leftOut(session, server, tables, had)).map(({ code, message, fix }) => failed(code, message, fix)),
  );
  return checks;
}

/**
 * What a server has from others and does not log never comes, and nobody would say so (trap 19).
 * @param before where the stream goes on from: what was not logged since is missing also once the server logs again
 *   (Invariant 2), and a decision is asked for, with the code that reading would meet
 */
export async function replicatedCheck(
  session: Session,
  server: Server,
  before: MySqlPosition | null = null,
): Promise<Check> {
  const found = await logged(session, server);
  if (found === 'all') return info('replicated', 'The log has what comes from other servers, if any does.');
  if (typeof found === 'object') {
    if (before === null && found === SILENT) return info('replicated', 'There is no log that anything could be in.');
    if (before === null) return failed('binlog_format_unsupported', found.message, found.fix);
    const code = sameServer(server, before) ? 'offset_gap' : 'source_identity_changed';
    return failed(code, found.message, found.fix + MEANWHILE);
  }
  return warned(
    'replicated',
    'The server does not log what it replicates (log_replica_updates, log_slave_updates), and the user may not ask whether it does: if it is a replica, its changes do not come.',
    await upstreamsGrant(session, server),
  );
}

/** Between two servers there is always a moment: whoever may not ask for it takes each replica for one that lags. */
export async function upstreamsCheck(session: Session, server: Server): Promise<Check[]> {
  if (mayAsk(await upstreams(session, server))) return [];
  const lost =
    'The user may not ask how far the server replicates: a stream that moves here from another server waits for what was read there also where it never comes.';
  return [warned('replication_status', lost, await upstreamsGrant(session, server))];
}

/** A stream that rests longer than the server keeps its log has lost its place. */
async function retention(session: Session): Promise<Check[]> {
  const kept = await keptSeconds(session);
  if (kept === null) return [info('retention', 'The server keeps its log until somebody throws it away.')];
  if (kept >= DAY_S) return [info('retention', `The server keeps its log for ${Math.round(kept / 3600)} hours.`)];
  const message = `The server keeps its log for ${kept} s only: a stream that rests longer loses its place.`;
  // MariaDB knows it from 10.6 on.
  const countsSeconds = (await variable(session, 'binlog_expire_logs_seconds')) !== null;
  const fix = countsSeconds ? 'binlog_expire_logs_seconds = 604800' : 'expire_logs_days = 7';
  return [warned('retention', message, `SET GLOBAL ${fix};`)];
}

async function gtids(session: Session, { flavor }: Server): Promise<Check[]> {
  if (flavor === 'mariadb') return [info('gtid_mode', 'Transactions have GTIDs.')];
  const mode = await variable(session, 'gtid_mode');
  if (mode === 'ON') return [info('gtid_mode', 'Transactions have GTIDs.')];
  const message =
    'Transactions have no GTIDs: events have none, no other server can be gone on with, and reading rows takes locks.';
  return [{ ...info('gtid_mode', message), fix: gtidFix(mode) }];
}

/** A server goes from OFF to ON one step at a time. */
const GTID_STEPS = ['OFF', 'OFF_PERMISSIVE', 'ON_PERMISSIVE', 'ON'];

function gtidFix(mode: string | null): string {
  const steps = GTID_STEPS.slice(GTID_STEPS.indexOf(mode ?? 'OFF') + 1);
  const statements = ['enforce_gtid_consistency = ON', ...steps.map((step) => `gtid_mode = ${step}`)];
  return statements.map((one) => `SET PERSIST ${one};`).join(' ');
}

/** Sessions of ours are in UTC. */
async function timeZone(session: Session): Promise<Check[]> {
  const zone = (await variable(session, 'time_zone')) ?? 'SYSTEM';
  const named = zone === 'SYSTEM' ? `SYSTEM (${(await variable(session, 'system_time_zone')) ?? 'unknown'})` : zone;
  return [
    info(
      'time_zone',
      `The server's time zone is ${named}: TIMESTAMP is told in UTC whatever it is, DATETIME as stored.`,
    ),
  ];
}
