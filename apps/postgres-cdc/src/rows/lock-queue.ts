import type { Client } from 'pg';
import { partitionTree } from '../partition-tree.js';

const TREE = partitionTree('$1::oid');

const WAITING = `
  SELECT FROM pg_catalog.pg_locks l
  WHERE l.locktype = 'relation' AND NOT l.granted AND l.mode = 'AccessExclusiveLock'
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    AND (l.relation IN ${TREE} OR l.relation IN (SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid IN ${TREE}))
  LIMIT 1`;

/**
 * Whether somebody waits to have a table to himself (ALTER TABLE, TRUNCATE, REINDEX), or a partition or an index of it.
 * Whoever reads it is in his way, and everybody who comes to the table later waits behind him.
 */
export async function isWaitedFor(client: Client, oid: number): Promise<boolean> {
  return (await client.query(WAITING, [oid])).rowCount === 1;
}
