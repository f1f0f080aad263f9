import type { Client } from 'pg';

/** So long a question stands in line for a lock, on a session that others ask on, too. */
const LOCK_MS = 500;
const TIMED_OUT = '55P03';

/** SQL: relations of this database that somebody has to himself, or stands in line to have. OIDs are those of one database. */
export const KEPT_RELATIONS = `(SELECT k.relation FROM pg_locks k WHERE k.locktype = 'relation' AND k.mode = 'AccessExclusiveLock'
  AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database()))`;

/**
 * Asks what would wait for whoever keeps a table or its indexes locked (ALTER, VACUUM FULL, REINDEX), and so would
 * everybody else's questions behind it. All goes out in one turn: nothing comes in between that should wait longer.
 *
 * @param ask asks once, before it awaits anything
 * @returns `locked`: somebody keeps it, ask again later
 */
export async function inBriefLine<T>(client: Client, ask: () => Promise<T>): Promise<T | 'locked'> {
  const [, answer] = await Promise.allSettled([
    client.query(`SET lock_timeout = ${LOCK_MS}`),
    ask(),
    client.query('SET lock_timeout = 0'),
  ]);
  if (answer.status === 'fulfilled') return answer.value;
  if ((answer.reason as { code?: unknown }).code === TIMED_OUT) return 'locked';
  throw answer.reason;
}
