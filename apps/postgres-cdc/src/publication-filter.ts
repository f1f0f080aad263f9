import { StreamError } from '@planasonix/core';
import type { Client } from 'pg';
import { KEPT_RELATIONS } from './brief-lock.js';
import type { PostgresConfig } from './config.js';
import { qualified } from './identifier.js';
import type { SourceTable } from './tables.js';

/** Rows alone are no part of the publication that the stream would make: they obey one that is named. */
export const obeyedName = (
  config: Pick<PostgresConfig, 'snapshot' | 'publication'>,
  publication: string,
): string | null => (config.snapshot === 'only' ? (config.publication ?? null) : publication);

/** A publication whose row filters and column lists rows obey as changes do. */
export interface Obeyed {
  readonly publication: string;
  /** From Postgres 15 on there are filters, lists and schemas. */
  readonly filters: boolean;
}

export async function obeyedBy(client: Client, publication: string | null): Promise<Obeyed | null> {
  return publication === null ? null : { publication, filters: await knowsFilters(client) };
}

/** From 15 on a publication may name schemas, filter rows and list columns. */
export async function knowsFilters(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ schemas: string | null }>(
    "SELECT pg_catalog.to_regclass('pg_catalog.pg_publication_namespace')::text AS schemas",
  );
  return rows[0]?.schemas != null;
}

/** Instead of a filter that was not asked for. It is no SQL, so that nothing could be read by it. */
export const UNASKED = '(its table is locked';

/** Asking for it waits for the lock of its table: whoever reads rows has that himself, and nobody else may wait for it. */
const FILTER = `CASE WHEN r.prrelid IN ${KEPT_RELATIONS}
    AND NOT EXISTS (SELECT FROM pg_locks k WHERE k.relation = r.prrelid AND k.pid = pg_backend_pid() AND k.granted)
  THEN '${UNASKED}' ELSE pg_get_expr(r.prqual, r.prrelid) END`;

/**
 * SQL of what publication `$2` lets out of table `c` (of `pg_class`), as its decoder would: `published`, under the table's own
 * name; `filter`, SQL over its columns; `listed`, numbers of columns; both `null` where it has none. Of a partition that comes
 * as its root those of the root count. A schema that is published as a whole lifts the filters of its tables.
 */
export const letOutSql = (filters: boolean): string => {
  const bySchema = (of: string): string =>
    filters
      ? `EXISTS (SELECT FROM pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = ${of}.relnamespace)`
      : 'false';
  const named = (of: string): string =>
    `(p.puballtables OR EXISTS (SELECT FROM pg_publication_rel m WHERE m.prpubid = p.oid AND m.prrelid = ${of}.oid) OR ${bySchema(of)})`;
  const byRoot = `(c.relispartition AND EXISTS (SELECT FROM pg_partition_ancestors(c.oid) a JOIN pg_class ac ON ac.oid = a.relid
    WHERE a.relid <> c.oid AND ${named('ac')}))`;
  return `
  SELECT CASE WHEN p.pubviaroot THEN ${named('c')} AND NOT ${byRoot} ELSE c.relkind = 'r' AND (${named('c')} OR ${byRoot}) END AS published,
    ${filters ? `CASE WHEN r.prqual IS NOT NULL AND NOT ${bySchema('c')} THEN ${FILTER} END` : 'NULL::text'} AS filter,
    ${filters ? 'r.prattrs::text' : 'NULL::text'} AS listed
  FROM pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid WHERE p.pubname = $2::name`;
};

/** Nothing is asked of a publication, and nothing held back. */
export const LETS_ALL_OUT = 'SELECT true AS published, NULL::text AS filter, NULL::text AS listed';

const unlistedKey = ({ key, unlisted }: SourceTable): readonly string[] => key.filter((name) => unlisted.has(name));

/**
 * Why rows of a table can't leave as the publication is now; `null`: they can.
 * @param alone no changes come beside them, and it need not publish the table @throws StreamError where nobody would wait
 */
export function heldBack(table: SourceTable, alone: boolean): string | null {
  if (alone) {
    const unlisted = unlistedKeys([table]);
    if (unlisted !== null) throw unlisted;
    return null;
  }
  if (!table.published) return 'The publication does not publish it: its rows wait until it does.';
  const hidden = unlistedKey(table);
  if (hidden.length === 0) return null;
  return `The column list of the publication leaves out ${hidden.join(', ')}, part of its key: its rows wait until it is listed.`;
}

/** A publication of inserts alone may leave out columns of the key: then what it sends tells no row apart. */
export function unlistedKeys(tables: readonly SourceTable[]): StreamError | null {
  const [table] = tables.filter((one) => unlistedKey(one).length > 0);
  if (table === undefined) return null;
  const name = qualified(table.schema, table.table);
  return new StreamError(
    'no_replica_identity',
    `The column list of the publication leaves out ${unlistedKey(table).join(', ')}, part of the key of ${name}: rows could not be told apart.`,
    { hint: `Name all columns of the key in the list of ${name} (ALTER PUBLICATION … SET TABLE …).` },
  );
}
