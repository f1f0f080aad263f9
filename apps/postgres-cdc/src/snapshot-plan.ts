import type { Client } from 'pg';
import { qualified } from './identifier.js';
import type { SourceTable } from './tables.js';

/** Pages of a chunk: 32 MB of a table. Small enough for several readers to share one table. */
const PAGES = 4096;

export interface SnapshotChunk {
  readonly table: SourceTable;
  /** Ordinal within the table. */
  readonly number: number;
  readonly sql: string;
}

export interface SnapshotPlan {
  readonly chunks: readonly SnapshotChunk[];
  readonly chunksOf: ReadonlyMap<SourceTable, number>;
  readonly rowsEstimated: number | null;
}

interface Leaf {
  readonly schema: string;
  readonly name: string;
  readonly pages: string;
  readonly tuples: string;
}

/** A table's own storage; of a partitioned table, that of each leaf. */
const LEAVES = `
  SELECT n.nspname AS schema, c.relname AS name, pg_relation_size(c.oid) / current_setting('block_size')::int AS pages, c.reltuples::bigint AS tuples
  FROM (SELECT relid FROM pg_partition_tree($1::oid::regclass) WHERE isleaf UNION SELECT $1::oid::regclass) t
  JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' ORDER BY c.oid`;

/** Cuts the tables into chunks by their place on disk: no OFFSET, no order, every row of the snapshot in exactly one. */
export async function planSnapshot(
  client: Client,
  tables: readonly SourceTable[],
  quote: (name: string) => string,
): Promise<SnapshotPlan> {
  const chunks: SnapshotChunk[] = [];
  const chunksOf = new Map<SourceTable, number>();
  let rows = 0;
  let known = true;
  for (const table of tables) {
    const columns = table.columns.map((column) => quote(column.name)).join(', ');
    let number = 0;
    for (const leaf of (await client.query<Leaf>(LEAVES, [table.oid])).rows) {
      if (Number(leaf.tuples) < 0) known = false;
      else rows += Number(leaf.tuples);
      const from = `SELECT ${columns} FROM ONLY ${qualified(leaf.schema, leaf.name)}`;
      const pages = Number(leaf.pages);
      for (let page = 0; page === 0 || page < pages; page += PAGES) {
        // The last chunk has no end: whatever the file grew to, the snapshot's rows are in it.
        const end = page + PAGES < pages ? ` AND ctid < '(${page + PAGES},0)'` : '';
        const where = pages <= PAGES ? '' : ` WHERE ctid >= '(${page},0)'${end}`;
        chunks.push({ table, number: number++, sql: `COPY (${from}${where}) TO STDOUT` });
      }
    }
    chunksOf.set(table, number);
  }
  return { chunks, chunksOf, rowsEstimated: known ? rows : null };
}
