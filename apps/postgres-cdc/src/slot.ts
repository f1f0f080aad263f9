import { StreamError } from '@planasonix/core';
import type { Client } from 'pg';
import { parseLsn } from './decode/index.js';
import { quoteIdent, quoteLiteral } from './identifier.js';
import type { PgPosition, ServerIdentity } from './position.js';

/** Why a slot was invalidated, as far as its version says. */
interface Invalidation {
  /** From 17 on. */
  readonly invalidation_reason?: string | null;
  /** From 16 on, as JSON or as text. 16 says so of every slot that was invalidated, later ones of those on a standby alone. */
  readonly conflicting?: boolean | string | null;
  /** Cleared where WAL was removed, and for nothing else. */
  readonly restart_lsn: string | null;
}

export interface SlotState extends Invalidation {
  readonly plugin: string | null;
  readonly database: string | null;
  readonly active_pid: string | null;
  readonly confirmed_flush_lsn: string | null;
  readonly wal_status: string | null;
}

/** Every value as text, `null` where there is no such slot. */
export async function slotState(client: Client, slot: string): Promise<SlotState | null> {
  const { rows } = await client.query<SlotState>(
    `SELECT plugin, database, active_pid, restart_lsn, confirmed_flush_lsn, wal_status, to_jsonb(s) ->> 'invalidation_reason' AS invalidation_reason,
       to_jsonb(s) ->> 'conflicting' AS conflicting FROM pg_catalog.pg_replication_slots s WHERE slot_name = $1`,
    [slot],
  );
  return rows[0] ?? null;
}

/** Identity of the server; `client` speaks the replication protocol. */
export async function identify(client: Client): Promise<ServerIdentity> {
  const { rows } = await client.query<{ systemid: string; timeline: string }>('IDENTIFY_SYSTEM');
  return { system_id: rows[0]!.systemid, timeline: Number(rows[0]!.timeline) };
}

/** How far the WAL goes that a walsender may have sent. A standby that starts again may have gone further before. */
export async function walFlushed(client: Client): Promise<bigint> {
  const { rows } = await client.query<{ lsn: string }>(
    `SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
       ELSE pg_catalog.pg_current_wal_flush_lsn() END)::text AS lsn`,
  );
  return parseLsn(rows[0]!.lsn);
}

/** How far WAL was written or is about to be: what commits from now on lies behind that place. */
export async function walEnd(client: Client): Promise<bigint> {
  const { rows } = await client.query<{ lsn: string }>(
    `SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
       ELSE pg_catalog.pg_current_wal_insert_lsn() END)::text AS lsn`,
  );
  return parseLsn(rows[0]!.lsn);
}

/** `idle_timeout`; `null`: the version does not say. */
export const whyInvalidated = ({
  invalidation_reason: reason,
  conflicting,
  restart_lsn: restart,
}: Invalidation): string | null =>
  reason ?? (String(conflicting) === 'true' && restart !== null ? 'conflict with recovery' : null);

/** Of those that the server names; others are told by their name alone. */
const INVALIDATIONS: Readonly<Record<string, string>> = {
  wal_removed: 'the server has removed WAL that it needed',
  rows_removed: 'the primary has removed rows of its catalogs that it needed',
  wal_level_insufficient: 'wal_level is not logical any more at the primary',
  idle_timeout: 'nobody has read it for as long as idle_replication_slot_timeout says',
};

/**
 * @param why see `whyInvalidated`
 * @param own the stream made it, and may drop it when it is started anew.
 */
export const invalidated = (slot: string, why: string | null, own = true): StreamError =>
  new StreamError(
    'slot_lost',
    `The replication slot ${slot} was invalidated${told(why)}.`,
    own
      ? {}
      : {
          hint: `${droppingSql(slot)} Then start with {"onLostPosition":"resnapshot"} or "skip": the stream makes a slot of that name.`,
        },
  );

function told(why: string | null): string {
  if (why === null) return `: ${INVALIDATIONS['wal_removed']}`;
  const text = INVALIDATIONS[why];
  return ` (${why})${text === undefined ? '' : `: ${text}`}`;
}

/** For a user, whose slot it is. */
export const droppingSql = (slot: string): string => `SELECT pg_drop_replication_slot(${quoteLiteral(slot)});`;

/**
 * Whether the slot still has everything after `position`. A slot that is ahead gives no error by itself, only missing
 * rows: so it is compared before anything is read (Invariant 2, traps 5, 6, 9).
 */
export function holds(slot: SlotState | null, name: string, position: PgPosition, own = true): void {
  if (slot === null) throw new StreamError('slot_lost', `The replication slot ${name} is gone.`);
  if (slot.wal_status === 'lost') throw invalidated(name, whyInvalidated(slot), own);
  usable(slot, name);
  if (slot.confirmed_flush_lsn !== null && parseLsn(slot.confirmed_flush_lsn) > parseLsn(position.lsn))
    throw new StreamError(
      'offset_gap',
      `The replication slot ${name} is at ${slot.confirmed_flush_lsn}, ahead of the log at ${position.lsn}: what lies between is not in the log.`,
    );
}

/** A slot that was found, whoever made it. */
export function usable(slot: SlotState, name: string): void {
  if (slot.plugin !== 'pgoutput')
    throw new StreamError('config_invalid', `The replication slot ${name} is of plugin ${slot.plugin}, not pgoutput.`, {
      hint: 'Name another slot in slot_name.',
    });
}

/** Creating a slot waits for every transaction that is open; this long, then it says who blocks (trap 10). */
const CREATE_MS = 30_000;

export interface CreatedSlot {
  readonly consistentPoint: bigint;
  /** Name of the exported snapshot; valid while `replication` runs nothing else. */
  readonly snapshot: string;
}

/** Creates the slot, exporting the snapshot that belongs to its beginning. */
export async function createSlot(
  replication: Client,
  control: Client,
  name: string,
  failover = false,
  withinMs = CREATE_MS,
): Promise<CreatedSlot> {
  let timer: NodeJS.Timeout | undefined;
  let gaveUp = false;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      gaveUp = true;
      void givenUp(replication, control, name).then(reject, reject);
    }, withinMs);
  });
  const created = replication.query<{ consistent_point: string; snapshot_name: string }>(
    `CREATE_REPLICATION_SLOT ${quoteIdent(name)} LOGICAL pgoutput ${failover ? "(SNAPSHOT 'export', FAILOVER)" : 'EXPORT_SNAPSHOT'}`,
  );
  try {
    // Giving up ends the backend: that error, or a slot that was just made, is not what the caller has to hear.
    const { rows } = await Promise.race([created.finally(() => (gaveUp ? late : undefined)), late]);
    return { consistentPoint: parseLsn(rows[0]!.consistent_point), snapshot: rows[0]!.snapshot_name };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Says who is waited for. The server goes on waiting when only the connection is cut, and holds the half-made slot: so
 * the backend is ended.
 */
async function givenUp(replication: Client, control: Client, name: string): Promise<StreamError> {
  const who = await blockers(control);
  const { rows } = await control.query<{ standby: string }>('SELECT pg_catalog.pg_is_in_recovery()::text AS standby');
  const { processID } = replication as unknown as { readonly processID: number };
  await control.query('SELECT pg_catalog.pg_terminate_backend($1)', [processID]);
  return new StreamError('source_unreachable', `Creating the slot ${name} waits for open transactions: ${who}.`, {
    hint:
      rows[0]!.standby === 'true'
        ? 'A standby learns from its primary which transactions run: SELECT pg_log_standby_snapshot() there, or end them; the stream tries again by itself.'
        : 'End those transactions; the stream tries again by itself.',
  });
}

async function blockers(control: Client): Promise<string> {
  const { rows } = await control.query<{ pid: string; age: string; who: string }>(
    `SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::int AS age, coalesce(nullif(application_name, ''), usename::text, 'unknown') AS who
     FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid() ORDER BY xact_start LIMIT 5`,
  );
  const prepared = await control.query<{ gid: string }>('SELECT gid FROM pg_catalog.pg_prepared_xacts LIMIT 5');
  const named = [
    ...rows.map((row) => `pid ${row.pid} (${row.who}, open for ${row.age} s)`),
    ...prepared.rows.map((row) => `prepared transaction ${row.gid}`),
  ];
  return named.length === 0 ? 'none that this user may see' : named.join(', ');
}

/** Drops a slot of ours; one that is gone is dropped. */
export async function dropSlot(control: Client, name: string): Promise<void> {
  await control.query(
    'SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1',
    [name],
  );
}

/** What reading has to know of the server. */
export async function serverOf(
  control: Client,
): Promise<{ version: number; database: string; walSenderTimeoutMs: number }> {
  const { rows } = await control.query<{ version: string; database: string; timeout: string }>(
    `SELECT current_setting('server_version_num') AS version, current_database() AS database, (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout') AS timeout`,
  );
  return {
    version: Number(rows[0]!.version),
    database: rows[0]!.database,
    walSenderTimeoutMs: Number(rows[0]!.timeout),
  };
}
