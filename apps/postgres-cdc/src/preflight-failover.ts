import type { Check } from '@planasonix/core';
import { quoteIdent } from './identifier.js';
import type { PreflightInput } from './preflight.js';
import type { ServerFacts } from './preflight-server.js';

/** Failover slots came with this version. */
export const FAILOVER_FROM = 170_000;

const FACTS = `
  SELECT current_setting('synchronized_standby_slots') AS guarded,
    (SELECT (to_jsonb(s) ->> 'failover')::boolean FROM pg_catalog.pg_replication_slots s WHERE slot_name = $1) AS failover`;

/** What a slot needs to outlive its server. What the standby is set to can't be seen from here. */
export async function checkFailover(
  { client, config, slotName, ownsSlot }: PreflightInput,
  server: ServerFacts,
): Promise<Check[]> {
  if (!config.failover || config.snapshot === 'only') return [];
  const refused = (message: string, fix: string): Check[] => [
    { code: 'config_invalid', severity: 'error', message, fix },
  ];
  if (server.version < FAILOVER_FROM)
    return refused(
      `failover needs Postgres 17 or later; this is ${server.versionText}.`,
      'Leave `failover` out, or upgrade the server.',
    );
  if (server.standby)
    return refused(
      'The connection leads to a standby; failover slots are made on the primary.',
      'Give the host of the primary, or leave `failover` out.',
    );
  const [row] = (await client.query<{ guarded: string; failover: string | null }>(FACTS, [slotName])).rows;
  const checks: Check[] = [
    {
      code: 'failover_standby',
      severity: 'info',
      message:
        'The standby copies the slot only when it is set up for it, which can not be seen from the primary; there, pg_replication_slots has to show it as synced.',
      fix: 'ALTER SYSTEM SET sync_replication_slots = on; ALTER SYSTEM SET hot_standby_feedback = on; -- on the standby, with primary_slot_name set and a dbname in primary_conninfo',
    },
  ];
  if (row!.guarded === '')
    checks.push({
      code: 'failover_unguarded',
      severity: 'warning',
      message:
        'synchronized_standby_slots is empty: changes are handed over before the standby has them, and after a promotion such a stream can not go on without a loss.',
      fix: "ALTER SYSTEM SET synchronized_standby_slots = '<physical slot of the standby>'; SELECT pg_reload_conf();",
    });
  if (row!.failover === 'f' && !ownsSlot)
    checks.push({
      code: 'failover_slot',
      severity: 'warning',
      message: `The slot ${slotName} was not made for failover; it was there before and is left as it is.`,
      fix: `ALTER_REPLICATION_SLOT ${quoteIdent(slotName)} (FAILOVER true); -- over a replication connection, while nobody reads it`,
    });
  return checks;
}
