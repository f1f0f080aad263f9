import { StreamError } from '@planasonix/core';
import type { Client } from 'pg';
import { qualified, quoteIdent } from './identifier.js';
import { knowsFilters, unlistedKeys } from './publication-filter.js';
import { serverOf } from './slot.js';
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
  WHERE CASE WHEN p.pubviaroot OR $2 THEN c.oid IN (SELECT relid FROM listed) AND c.oid NOT IN (SELECT relid FROM below WHERE relid <> root)
    ELSE c.relkind = 'r' AND c.oid IN (SELECT relid FROM below) END`;

/**
 * The tables that it publishes, under the names that they are published by.
 * @param byRoot as if it published partitions as their root, whatever it does
 */
export async function publicationTables(client: Client, name: string, byRoot = false): Promise<readonly Name[]> {
  return (await client.query<Name>(publishedSql(await knowsFilters(client)), [name, byRoot])).rows;
}

/**
 * By OID of a table: what stands for its membership. One that was taken out and put back has another, also where it was
 * put back with other filters, all have another once other operations are published, and so has one while it, or a partition of
 * it, is unlogged; `null`: no publication.
 */
export type Memberships = (oid: number) => string | null;

const membershipsSql = (schemas: boolean): string => `
  SELECT p.oid AS publication, m.relid::oid AS table, m.oid AS membership, m.filtered FROM pg_catalog.pg_publication p
  LEFT JOIN (
    SELECT r.prpubid, r.prrelid AS relid, r.oid, 1 AS rank, ${schemas ? 'r.prqual IS NOT NULL' : 'false'} AS filtered FROM pg_catalog.pg_publication_rel r
    ${
      schemas
        ? `UNION ALL SELECT n.pnpubid, c.oid, n.oid, 0, false FROM pg_catalog.pg_publication_namespace n
      JOIN pg_catalog.pg_class c ON c.relnamespace = n.pnnspid AND c.relkind IN ('r', 'p')`
        : ''
    }) m ON m.prpubid = p.oid
  WHERE p.pubname = $1 ORDER BY m.rank`;

/** Tables of which some changes are in no WAL, whatever publishes them: those that are unlogged, and those with such a partition. */
const UNLOGGED = `
  WITH RECURSIVE above(relid, leaf) AS (
    SELECT oid, oid FROM pg_catalog.pg_class WHERE relkind = 'r' AND relpersistence = 'u' AND oid >= 16384
    UNION ALL SELECT i.inhparent, a.leaf FROM above a JOIN pg_catalog.pg_class c ON c.oid = a.relid AND c.relispartition
      JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.relid)
  SELECT relid AS table, string_agg(leaf::text, ', ' ORDER BY leaf) AS leaves FROM above GROUP BY relid`;

export async function memberships(client: Client, name: string): Promise<Memberships> {
  const { rows } = await client.query<
    Record<'publication', string> & Record<'table' | 'membership' | 'filtered', string | null>
  >(membershipsSql(await knowsFilters(client)), [name]);
  const found = await client.query<Record<'table' | 'leaves', string>>(UNLOGGED);
  const unlogged = new Map(found.rows.map(({ table, leaves }) => [Number(table), ` but ${leaves}`]));
  const state = await publicationState(client, name);
  const withheld = state === null || state.withheld.length === 0 ? '' : ` without ${state.withheld.join(', ')}`;
  const named = new Map<number, string | null>();
  for (const { table, membership, filtered } of rows) {
    const bySchema = named.get(Number(table)) ?? null;
    // One that is named itself as well as by its schema: by its own. With the schema its filter goes, and without it is back.
    const lifted = filtered === 't' && bySchema !== null;
    named.set(Number(table), lifted ? `${membership} without filter ${bySchema}` : membership);
  }
  return (oid) => {
    // All tables: they come and go with the publication.
    const membership = named.get(oid) ?? rows[0]?.publication;
    return membership === undefined ? null : `${membership}${withheld}${unlogged.get(oid) ?? ''}`;
  };
}

/** Tables of `wanted` that `published` lacks. */
export function uncovered<T extends Name>(published: readonly Name[], wanted: readonly T[]): readonly T[] {
  const names = new Set(published.map(sqlName));
  return wanted.filter((table) => !names.has(sqlName(table)));
}

/** What `lacking` of a found publication takes: partitions as their root, and tables that it does not have even so. */
async function covering(client: Client, name: string, state: PublicationState, lacking: readonly SourceTable[]) {
  const roots = !state.viaRoot && lacking.some((table) => table.partitioned);
  const add = roots ? uncovered(await publicationTables(client, name, true), lacking) : lacking;
  const alter = `ALTER PUBLICATION ${quoteIdent(name)}`;
  return [
    ...(roots ? [`${alter} SET (publish_via_partition_root = true)`] : []),
    ...(add.length > 0 ? [`${alter} ADD TABLE ${sqlNames(add)}`] : []),
  ];
}

/** SQL that makes a found publication cover the tables. */
export const coveringSql = async (...of: Parameters<typeof covering>): Promise<string> =>
  (await covering(...of)).map((statement) => `${statement};`).join(' ');

/** Tables come as their root; on 18, generated columns too, as `to_jsonb(row)` has them. */
export const creatingSql = (name: string, tables: readonly Name[], version: number): string =>
  `CREATE PUBLICATION ${quoteIdent(name)} FOR TABLE ${sqlNames(tables)} WITH (publish_via_partition_root = true${
    version >= 180_000 ? ', publish_generated_columns = stored' : ''
  })`;

/** What would give each of the tables a replica identity. */
export const identitySql = (tables: readonly SourceTable[]): string =>
  tables
    .flatMap(({ unidentified, hasPrimaryKey }) => unidentified.map((name) => ({ name, hasPrimaryKey })))
    .map(({ name, hasPrimaryKey: has }) => `ALTER TABLE ${sqlName(name)} REPLICA IDENTITY ${has ? 'DEFAULT' : 'FULL'};`)
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

/** Before 18 changes carry no generated columns: where one is part of the key, what they carry tells no row apart. */
export function unsentKeys(tables: readonly SourceTable[], version: number): StreamError | null {
  const generated = ({ key, columns }: SourceTable): boolean =>
    columns.some((column) => column.generated !== null && key.includes(column.name));
  const partial = version >= 180_000 ? [] : tables.filter(generated);
  if (partial.length === 0) return null;
  return new StreamError(
    'no_replica_identity',
    `Generated columns are part of the key of ${sqlNames(partial)}, and Postgres sends them from 18 on: changes could not be told apart.`,
    {
      hint: 'Make a unique index of other columns (NOT NULL), and: ALTER TABLE … REPLICA IDENTITY USING INDEX …; or use Postgres 18.',
    },
  );
}

/** Tables that nobody has taken up yet. @throws StreamError `no_replica_identity` */
export async function refuseUnfit(client: Client, tables: readonly SourceTable[]): Promise<void> {
  refuseUnidentified(tables);
  const unsent = unlistedKeys(tables) ?? unsentKeys(tables, (await serverOf(client)).version);
  if (unsent !== null) throw unsent;
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
  try {
    const state = await publicationState(client, name);
    if (state === null) {
      await refuseUnfit(client, tables);
      await wish.remember();
      await client.query(creatingSql(name, tables, (await serverOf(client)).version));
      return 'made';
    }
    const lacking = uncovered(await publicationTables(client, name), tables);
    if (lacking.length === 0) return owned ? 'made' : 'found';
    if (!owned)
      throw new StreamError('publication_incomplete', `The publication ${name} does not cover ${sqlNames(lacking)}.`, {
        hint: await coveringSql(client, name, state, lacking),
      });
    // Of those that are published already, whoever took the identity away has had the harm.
    await refuseUnfit(client, lacking);
    for (const statement of await covering(client, name, state, lacking)) await client.query(statement);
    return 'made';
  } catch (error) {
    throw toStreamError(error, `making the publication ${name}`);
  }
}
