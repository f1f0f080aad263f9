import type { Client } from 'pg';
import { partitionTree } from '../partition-tree.js';

/** Locks that writers of a table hold until they have ended, and become visible. */
const WRITING = `('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`;

const OF = `
  SELECT DISTINCT l.virtualtransaction AS id, l.pid::text AS pid, coalesce(nullif(a.application_name, ''), a.usename::text, 'prepared transaction') AS who
  FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'relation' AND l.granted AND l.mode IN ${WRITING}
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    AND l.relation IN ${partitionTree('$1::oid')}`;

export interface Writer {
  /** Its virtual transaction: another one of the same session has another. */
  readonly id: string;
  readonly pid: string | null;
  readonly who: string;
}

/** Transactions that have written to a table, or may have, and have not ended (trap 12). A commit that waits for a standby counts. */
export async function writersOf(client: Client, oid: number): Promise<readonly Writer[]> {
  return (await client.query<{ id: string; pid: string | null; who: string }>(OF, [oid])).rows;
}

/** Those of `before` that are still there. */
export const remaining = (before: readonly Writer[], now: readonly Writer[]): readonly Writer[] => {
  const ids = new Set(now.map((writer) => writer.id));
  return before.filter((writer) => ids.has(writer.id));
};

export const writersText = (writers: readonly Writer[]): string =>
  `waits for open transactions: ${writers
    .slice(0, 3)
    .map(({ pid, who }) => (pid === null ? who : `pid ${pid} (${who})`))
    .join(', ')}${writers.length > 3 ? ` and ${writers.length - 3} more` : ''}`;
