import type { Clock } from '@planasonix/core';
import type { Client } from 'pg';
import { slotState } from './slot.js';

const WITHIN_MS = 5000;

/** The session that makes a slot, of a stream that is called `name` at the source. */
export const slotSession = (name: string): string => `${name} slot`;

/**
 * Ends the walsender of this stream's last owner, if it still holds the slot: a worker that is frozen or cut off keeps
 * its connection, and the lease says that it is ours now. The same for one
 * that is still at making the slot. Nobody else's is touched: it has to bear the stream's name.
 */
export async function endPredecessor(control: Client, slot: string, name: string, clock: Clock): Promise<void> {
  const ended = await control.query(
    `SELECT pg_catalog.pg_terminate_backend(r.pid) FROM pg_catalog.pg_replication_slots s
     JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = $1 AND r.application_name = ANY ($2)`,
    [slot, [name, slotSession(name)]],
  );
  if (ended.rowCount === 0) return;
  const deadline = clock.monotonic() + WITHIN_MS;
  while ((await slotState(control, slot))?.active_pid && clock.monotonic() < deadline) await clock.sleep(20);
}
