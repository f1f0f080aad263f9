import type { Clock, ReleaseReport } from '@planasonix/core';
import type { Client } from 'pg';
import { lsnText } from './decode/index.js';
import { endPredecessor } from './predecessor.js';
import type { SlotCare } from './slot-care.js';
import { toStreamError } from './stream-error.js';

export interface LetGoInput {
  readonly client: Client;
  /** One that the stream made. */
  readonly slot: string;
  /** Where its WAL began when it was judged. One of the same name that was made since begins later, and stays. */
  readonly upTo: bigint;
  /** Name of the stream's own reader: that one is ended, anybody else's is not. */
  readonly applicationName: string;
  readonly clock: Clock;
}

/**
 * Looks again, and gives the slot up if it still is over its budget and the user wants that.
 * @throws StreamError where the server can't be asked
 */
export async function letGo(
  care: SlotCare,
  session: () => Promise<Client>,
  of: Pick<LetGoInput, 'slot' | 'applicationName' | 'clock'>,
  signal: AbortSignal,
): Promise<ReleaseReport> {
  try {
    const client = await session();
    await care.look();
    const { restart: upTo, toBeGivenUp } = care;
    if (!toBeGivenUp || upTo === null) return { released: [], remaining: [] };
    // With the time that is given for it the lease may be over, and the reader another's.
    signal.throwIfAborted();
    return await letGoOfSlot({ client, upTo, ...of });
  } catch (error) {
    throw toStreamError(error, 'giving up the slot');
  }
}

/**
 * Drops a slot that holds back too much, so that the disk of its server does not fill. Judged and dropped in one
 * statement: whoever was frozen in between and wakes up late drops nothing that was made since (Invariant 3).
 */
export async function letGoOfSlot({ client, slot, upTo, applicationName, clock }: LetGoInput): Promise<ReleaseReport> {
  const what = `slot ${slot}`;
  await endPredecessor(client, slot, applicationName, clock);
  const still = 'FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND restart_lsn <= $2::pg_lsn';
  const about = [slot, lsnText(upTo)];
  await client.query(`SELECT pg_catalog.pg_drop_replication_slot(slot_name) ${still} AND NOT active`, about);
  const { rows } = await client.query<{ active_pid: string | null; judged: boolean | null }>(
    'SELECT active_pid, restart_lsn <= $2::pg_lsn AS judged FROM pg_catalog.pg_replication_slots WHERE slot_name = $1',
    about,
  );
  const [left] = rows;
  if (left === undefined) return { released: [what], remaining: [] };
  // It has moved on or was invalidated, or another has its name: nothing of what was judged is held back any more.
  if (!left.judged) return { released: [], remaining: [] };
  return { released: [], remaining: [{ what, why: `Pid ${left.active_pid} reads it.`, code: 'active_consumers' }] };
}
