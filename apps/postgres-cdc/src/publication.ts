import { StreamError } from '@planasonix/core';
import type { Client } from 'pg';
import { qualified, quoteIdent } from './identifier.js';
import { toStreamError } from './stream-error.js';
import type { SourceTable } from './tables.js';

type Name = { readonly schema: string; readonly table: string };

const sqlName = ({ schema, table }: Name): string => qualified(schema, table);
const sqlNames = (tables: readonly Name[]): string => tables.map(sqlName).join(', ');

/** What a publication lets through. Every value as text. */
export interface PublicationState {
  readonly viaRoot: boolean;
  /** Operations that it holds back. */
  readonly withheld: readonly string[];
}

export async function publicationState(client: Client, name: string): Promise<PublicationState | null> {
  const { rows } = await client.query<Record<string, string>>(
    'SELECT pubviaroot, pubinsert AS insert, pubupdate AS update, pubdelete AS delete, pubtruncate AS truncate FROM pg_catalog.pg_publication WHERE pubname = $1',
    [name],
  );
  const [row] = rows;
  if (row === undefined) return null;
  return {
    viaRoot: row['pubviaroot'] === 't',
    withheld: ['insert', 'update', 'delete', 'truncate'].filter((operation) => row[operation] !== 't'),
  };
}

/**
 * What the view `pg_publication_tables` says, from the catalog alone: the view opens each table, and waits for whoever
 * keeps one of them locked.
 */
const publishedSql = (schemas: boolean): string => `
  WITH RECURSIVE publication AS (SELECT oid, puballtables, pubviaroot FROM pg_catalog.pg_publication WHERE pubname = $1),
  listed(relid) AS (
    SELECT r.prrelid FROM pg_catalog.pg_publication_rel r JOIN publication p ON p.oid = r.prpubid
    UNION SELECT c.oid FROM pg_catalog.pg_class c JOIN publication p ON p.puballtables
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384
    ${
      schemas
        ? `UNION SELECT c.oid FROM pg_catalog.pg_publication_namespace n JOIN publication p ON p.oid = n.pnpubid
      JOIN pg_catalog.pg_class c ON c.relnamespace = n.pnnspid WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'`
        : ''
    }),
  below(root, relid) AS (
    SELECT relid, relid FROM listed
    UNION SELECT b.root, i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.relid AND NOT i.inhdetachpending
      JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relispartition)
  SELECT n.nspname AS schema, c.relname AS table FROM publication p CROSS JOIN pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE CASE WHEN p.pubviaroot THEN c.oid IN (SELECT relid FROM listed) AND c.oid NOT IN (SELECT relid FROM below WHERE relid <> root)
    ELSE c.relkind = 'r' AND c.oid IN (SELECT relid FROM below) END`;

/** The tables that it publishes, under the names that they are published by. */
export async function publicationTables(client: Client, name: string): Promise<readonly Name[]> {
  const { rows: known } = await client.query<{ schemas: string | null }>(
    "SELECT pg_catalog.to_regclass('pg_catalog.pg_publication_namespace')::text AS schemas",
  );
  return (await client.query<Name>(publishedSql(known[0]?.schemas != null), [name])).rows;
}

/**
 * By OID of a table: what stands for its membership. One that was taken out and put back has another, also where it was
 * put back with other filters, and all have another once other operations are published; `null`: no publication.
 */
export type Memberships = (oid: number) => string | null;

export async function memberships(client: Client, name: string): Promise<Memberships> {
  const { rows } = await client.query<{ publication: string; table: string | null; membership: string | null }>(
    `SELECT p.oid AS publication, r.prrelid::oid AS table, r.oid AS membership FROM pg_catalog.pg_publication p
     LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = $1`,
    [name],
  );
  const state = await publicationState(client, name);
  const withheld = state === null || state.withheld.length === 0 ? '' : ` without ${state.withheld.join(', ')}`;
  const named = new Map(rows.map((row) => [Number(row.table), row.membership]));
  return (oid) => {
    // All tables, or those of a schema: they come and go with the publication.
    const membership = named.get(oid) ?? rows[0]?.publication;
    return membership === undefined ? null : `${membership}${withheld}`;
  };
}

/** Tables of `wanted` that `published` lacks. */
export function uncovered<T extends Name>(published: readonly Name[], wanted: readonly T[]): readonly T[] {
  const names = new Set(published.map(sqlName));
  return wanted.filter((table) => !names.has(sqlName(table)));
}

/** SQL that makes a found publication cover the tables. */
export function coveringSql(name: string, state: PublicationState, lacking: readonly SourceTable[]): string {
  const pub = quoteIdent(name);
  const roots = !state.viaRoot && lacking.some((table) => table.partitioned);
  return `${roots ? `ALTER PUBLICATION ${pub} SET (publish_via_partition_root = true); ` : ''}ALTER PUBLICATION ${pub} ADD TABLE ${sqlNames(lacking)};`;
}

/** Tables come as their root; on 18, generated columns too, as `to_jsonb(row)` has them. */
export const creatingSql = (name: string, tables: readonly Name[], version: number): string =>
  `CREATE PUBLICATION ${quoteIdent(name)} FOR TABLE ${sqlNames(tables)} WITH (publish_via_partition_root = true${
    version >= 180_000 ? ', publish_generated_columns = stored' : ''
  })`;

/** What would give each of the tables a replica identity. */
export const identitySql = (tables: readonly SourceTable[]): string =>
  tables
    .flatMap((table) => table.unidentified)
    .map((name) => `ALTER TABLE ${sqlName(name)} REPLICA IDENTITY FULL;`)
    .join(' ');

/** Publishing a table without replica identity breaks its owner's UPDATE and DELETE (trap 11). */
function refuseUnidentified(tables: readonly SourceTable[]): void {
  const without = tables.filter((table) => table.unidentified.length > 0);
  if (without.length === 0) return;
  throw new StreamError(
    'no_replica_identity',
    `No replica identity: ${sqlNames(without)}. Publishing would break their UPDATE and DELETE.`,
    { hint: `Add a primary key, or: ${identitySql(without)}` },
  );
}

export interface PublicationWish {
  readonly name: string;
  readonly tables: readonly SourceTable[];
  /** The stream made it, or began to. */
  readonly owned: boolean;
  /** Records that the stream is about to make it, durably. */
  remember(): Promise<void>;
}

/**
 * Sees to it that the publication is there and covers the tables. One that was found is never changed.
 *
 * @throws StreamError `no_replica_identity`, `publication_incomplete`, `permission_denied`.
 */
export async function ensurePublication(client: Client, wish: PublicationWish): Promise<'made' | 'found'> {
  const { name, tables, owned } = wish;
  refuseUnidentified(tables);
  try {
    const state = await publicationState(client, name);
    if (state === null) {
      const { rows } = await client.query<{ version: string }>(
        "SELECT pg_catalog.current_setting('server_version_num') AS version",
      );
      await wish.remember();
      await client.query(creatingSql(name, tables, Number(rows[0]!.version)));
      return 'made';
    }
    const lacking = uncovered(await publicationTables(client, name), tables);
    if (lacking.length === 0) return owned ? 'made' : 'found';
    if (!owned)
      throw new StreamError('publication_incomplete', `The publication ${name} does not cover ${sqlNames(lacking)}.`, {
        hint: coveringSql(name, state, lacking),
      });
    await client.query(`ALTER PUBLICATION ${quoteIdent(name)} ADD TABLE ${sqlNames(lacking)}`);
    return 'made';
  } catch (error) {
    throw toStreamError(error, `making the publication ${name}`);
  }
}
