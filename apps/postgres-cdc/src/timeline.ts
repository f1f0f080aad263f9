import { StreamError } from '@planasonix/core';
import type { Client } from 'pg';
import { lsnText, orderLsn, parseLsn } from './decode/index.js';
import { quoteIdent } from './identifier.js';
import { sameServer, type PgPosition, type ServerIdentity } from './position.js';

/** Where each ancestor of a timeline was left: timeline → the last place that both have in common. */
export type Branches = ReadonlyMap<number, bigint>;

/** @param text of a history file: one line per ancestor, `1\t0/3000148\tno recovery target specified`. */
export function parseHistory(text: string): Branches {
  const branches = new Map<number, bigint>();
  for (const line of text.split('\n')) {
    const found = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/i.exec(line);
    if (found) branches.set(Number(found[1]), parseLsn(found[2]!));
  }
  return branches;
}

/** A slot as its server tells of it after a promotion. */
export interface CarriedSlot {
  readonly failover: boolean;
  /** It came from the last primary; one that was made here knows nothing of what we have read. */
  readonly synced: boolean;
}

/**
 * Whether reading may go on from `position` on another timeline of the same server: only where the slot came over from
 * the last primary and the log lies before the place where the histories part. Beyond it, what is in the log never
 * happened here, and what happened here instead would be missing (Invariant 2, trap 6).
 *
 * @param order the highest one in the log: where that holds a part of a transaction, it is beyond the position
 * @throws StreamError with the reason
 */
export function carriesOn(
  position: PgPosition,
  order: string | null,
  server: ServerIdentity,
  branches: Branches,
  slot: CarriedSlot | null,
): void {
  const other = (message: string): StreamError => new StreamError('source_identity_changed', message);
  const promoted = `The server is on timeline ${server.timeline}, the position on ${position.timeline}`;
  const branch = branches.get(position.timeline);
  if (branch === undefined) throw other(`${promoted}, which is not one of its ancestors.`);
  if (slot === null)
    throw new StreamError(
      'slot_lost',
      `${promoted}: a standby was promoted that had no copy of the replication slot ${position.slot}.`,
    );
  if (!slot.failover || !slot.synced)
    throw other(`${promoted}, and the replication slot ${position.slot} there did not come from the last primary.`);
  if (parseLsn(position.lsn) > branch)
    throw other(
      `${promoted}: the histories part at ${lsnText(branch)}, and the log is at ${position.lsn} already. What lies between never reached the standby that was promoted.`,
    );
  // A position is behind its commit record, an order names where that begins: there is nothing of it before the branch.
  const last = order === null ? null : orderLsn(order);
  if (last !== null && last >= branch)
    throw other(
      `${promoted}: the histories part at ${lsnText(branch)}, and the log holds a part of the transaction that was committed at ${lsnText(last)}. It never reached the standby that was promoted.`,
    );
}

const CARRIED = `
  SELECT coalesce((to_jsonb(s) ->> 'failover')::boolean, false) AS failover, coalesce((to_jsonb(s) ->> 'synced')::boolean, false) AS synced
  FROM pg_catalog.pg_replication_slots s WHERE slot_name = $1`;

async function historyOf(replication: Client, timeline: number): Promise<string> {
  try {
    const { rows } = await replication.query<{ content: string }>(`TIMELINE_HISTORY ${timeline}`);
    return rows[0]!.content;
  } catch (error) {
    // A server that was not promoted but put together from copies may lack the file: then nothing is proved.
    if ((error as { code?: string }).code !== '58P01') throw error;
    return '';
  }
}

/**
 * The position as this server knows it: with its timeline, where a standby was promoted and that is proved to be safe.
 *
 * @param order the highest one in the log
 * @param replication speaks the replication protocol
 * @throws StreamError `source_identity_changed`, `slot_lost`
 */
export async function settleHistory(
  position: PgPosition,
  order: string | null,
  server: ServerIdentity,
  of: { readonly replication: Client; readonly control: Client; readonly failover: boolean },
): Promise<PgPosition> {
  const promoted = position.system_id === server.system_id && position.timeline !== server.timeline;
  // A snapshot's end needs no slot, and goes on nowhere.
  if (!promoted || !of.failover || position.phase !== 'stream') {
    sameServer(position, server);
    return position;
  }
  const history = await historyOf(of.replication, server.timeline);
  const slots = await of.control.query<{ failover: string; synced: string }>(CARRIED, [position.slot]);
  const [slot] = slots.rows;
  carriesOn(
    position,
    order,
    server,
    parseHistory(history),
    slot === undefined ? null : { failover: slot.failover === 't', synced: slot.synced === 't' },
  );
  return { ...position, timeline: server.timeline };
}

/** Whether a slot that the stream made is one for failover as the user wants it; changes it where it is not. */
export async function settleFailover(
  of: { readonly replication: Client; readonly control: Client },
  name: string,
  wanted: boolean,
): Promise<void> {
  const { rows } = await of.control.query<{ failover: string | null }>(
    `SELECT to_jsonb(s) ->> 'failover' AS failover FROM pg_catalog.pg_replication_slots s WHERE slot_name = $1`,
    [name],
  );
  const [row] = rows;
  // Before 17 there is no such column, and nothing to change.
  if (row === undefined || row.failover === null || row.failover === String(wanted)) return;
  await of.replication.query(`ALTER_REPLICATION_SLOT ${quoteIdent(name)} (FAILOVER ${wanted})`);
}
