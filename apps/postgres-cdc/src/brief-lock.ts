import type { Client } from 'pg';

/** So long a question stands in line for a lock, on a session that others ask on, too. */
const LOCK_MS = 500;
const TIMED_OUT = '55P03';

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
