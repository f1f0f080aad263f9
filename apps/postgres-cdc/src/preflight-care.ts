import type { Check } from '@planasonix/core';
import type { Client } from 'pg';
import { quoteLiteral } from './identifier.js';
import type { PreflightInput } from './preflight.js';
import { gigabytes, retention, slotFacts } from './slot-care.js';

/** A prepared transaction of this age was most likely forgotten. */
const FORGOTTEN_SECONDS = 300;
const MOST_NAMED = 10;

export interface PreparedTransaction {
  readonly gid: string;
  readonly database: string;
  readonly ageSeconds: number;
}

async function preparedTransactions(client: Client): Promise<readonly PreparedTransaction[]> {
  const { rows } = await client.query<{ gid: string; database: string; age: string }>(
    `SELECT gid, database, extract(epoch FROM clock_timestamp() - prepared)::bigint AS age
     FROM pg_catalog.pg_prepared_xacts ORDER BY prepared LIMIT ${MOST_NAMED}`,
  );
  return rows.map(({ gid, database, age }) => ({ gid, database, ageSeconds: Number(age) }));
}

/** Of any database of the server: until it ends, no slot's WAL can be thrown away from where it began. */
export function preparedCheck({ gid, database, ageSeconds }: PreparedTransaction): Check {
  const id = quoteLiteral(gid);
  return {
    code: 'prepared_transaction',
    severity: ageSeconds >= FORGOTTEN_SECONDS ? 'warning' : 'info',
    message: `The prepared transaction ${gid} in the database ${database} is ${ageSeconds} s old: WAL since then is kept until it ends, and a new slot waits for it.`,
    fix: `ROLLBACK PREPARED ${id}; -- or COMMIT PREPARED ${id}; in the database ${database}`,
  };
}

/** What makes the server keep WAL for this stream, and whether that is more than the user wants. */
export async function checkCare({ client, config, slotName, ownsSlot, walBudget }: PreflightInput): Promise<Check[]> {
  if (config.snapshot === 'only') return [];
  const checks = (await preparedTransactions(client)).map(preparedCheck);
  if (walBudget === null) return checks;
  const releases = walBudget.on_exceeded === 'release';
  if (releases && config.slot_name !== undefined && !ownsSlot)
    checks.push({
      code: 'wal_budget_not_enforced',
      severity: 'info',
      message: `A slot ${slotName} that was there before is never dropped: on_exceeded "release" does no more than "warn" then.`,
      fix: 'Leave slot_name out, so that the stream makes its own.',
    });
  const facts = await slotFacts(client, slotName);
  const held = facts === null ? 0 : retention(facts, null, null).heldBytes;
  if (held > walBudget.bytes)
    checks.push({
      code: 'wal_budget_exceeded',
      severity: 'warning',
      message: `The slot ${slotName} holds back ${gigabytes(held)} of WAL, its budget is ${gigabytes(walBudget.bytes)}.`,
      fix:
        releases && ownsSlot
          ? 'It is about to be given up. Raise wal_budget, or start with {"onLostPosition":"resnapshot"} afterwards.'
          : 'Start the stream, find out what holds it up, or raise wal_budget.',
    });
  return checks;
}
