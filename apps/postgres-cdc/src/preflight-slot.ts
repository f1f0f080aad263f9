import type { Check } from '@planasonix/core';
import type { ServerFacts } from './preflight-server.js';
import type { PreflightInput } from './preflight.js';
import { droppingSql, whyInvalidated } from './slot.js';

/** Columns that a version lacks are absent. */
interface SlotRow {
  readonly plugin: string | null;
  readonly slot_type: string;
  readonly database: string | null;
  readonly active_pid: number | null;
  readonly wal_status: string | null;
  readonly restart_lsn: string | null;
  readonly conflicting?: boolean | null;
  readonly invalidation_reason?: string | null;
}

/** Sessions of one stream have its name as their first word; only the reader has no more than that. */
const ACTIVE = `
  SELECT split_part(application_name, ' ', 1) = split_part(current_setting('application_name'), ' ', 1) AS ours,
    coalesce(nullif(application_name, ''), usename::text, 'unknown') AS who
  FROM pg_stat_activity WHERE pid = $1`;

/** The slot, where it is there already. */
export async function checkSlot(
  { client, config, slotName, ownsSlot, givenUp }: PreflightInput,
  server: ServerFacts,
): Promise<Check[]> {
  if (config.snapshot === 'only') return [];
  const { rows } = await client.query<{ slot: string }>(
    'SELECT to_jsonb(s)::text AS slot FROM pg_catalog.pg_replication_slots s WHERE slot_name = $1',
    [slotName],
  );
  const [row] = rows;
  if (row === undefined) return [];
  const slot = JSON.parse(row.slot) as SlotRow;
  const error = (code: string, message: string, fix: string): Check => ({ code, severity: 'error', message, fix });
  const another = ownsSlot ? 'Delete the stream and create it again.' : 'Name another slot in slot_name.';

  if (slot.plugin !== 'pgoutput')
    return [
      error('config_invalid', `The slot ${slotName} is of ${slot.plugin ?? slot.slot_type}, not pgoutput.`, another),
    ];
  if (slot.database !== server.database)
    return [error('config_invalid', `The slot ${slotName} belongs to the database ${slot.database}.`, another)];
  const why = whyInvalidated(slot);
  if (slot.wal_status === 'lost' || why !== null) {
    if (ownsSlot && givenUp) return [];
    return [
      error(
        'slot_lost',
        `The slot ${slotName} was invalidated${why === null ? '' : ` (${why})`}: changes after its position are gone.`,
        ownsSlot
          ? 'Start with {"onLostPosition":"resnapshot"} or {"onLostPosition":"skip"}.'
          : `${droppingSql(slotName)} -- then start with {"onLostPosition":"resnapshot"} or {"onLostPosition":"skip"}`,
      ),
    ];
  }
  const checks: Check[] = [];
  if (slot.wal_status === 'unreserved')
    checks.push({
      code: 'slot_may_be_lost',
      severity: 'warning',
      message: `The slot ${slotName} is about to lose its WAL.`,
      fix: 'Start the stream soon, or raise max_slot_wal_keep_size.',
    });
  if (slot.active_pid !== null) {
    const active = (await client.query<{ ours: string; who: string }>(ACTIVE, [slot.active_pid])).rows[0];
    const other = /^planasonix_([0-9a-z]+)(?: slot)?$/.exec(active?.who ?? '')?.[1];
    if (active === undefined || active.ours === 't') return checks;
    // Two streams would take each other's changes; to end the reader of one helps neither.
    if (other !== undefined)
      return [
        error(
          'slot_active',
          `The slot ${slotName} is being read by another stream, str_${other}.`,
          'Give each stream a slot of its own: another slot_name, or none.',
        ),
        ...checks,
      ];
    checks.push({
      code: 'slot_active',
      severity: 'warning',
      message: `The slot ${slotName} is being read by pid ${slot.active_pid} (${active.who}).`,
      fix: `SELECT pg_terminate_backend(${slot.active_pid});`,
    });
  }
  return checks;
}
