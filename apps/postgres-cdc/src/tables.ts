import type { Client } from 'pg';
import { KEPT_RELATIONS } from './brief-lock.js';
import type { PostgresConfig } from './config.js';
import { parsePattern, qualified } from './identifier.js';
import { partitionTree } from './partition-tree.js';
import { LETS_ALL_OUT, letOutSql, obeyedBy, type Obeyed } from './publication-filter.js';

export interface SourceColumn {
  readonly attnum: number;
  readonly name: string;
  readonly typeOid: number;
  /** Worked out by the server, once or each time that it is asked for. */
  readonly generated: 'stored' | 'virtual' | null;
}

/** `OPERATOR(schema.sign)`, ready for SQL. */
export interface KeyOperators {
  readonly less: string;
  readonly atMost: string;
  readonly equal: string;
  readonly atLeast: string;
  readonly greater: string;
}

/** A table that a stream reads, as the catalog has it now. */
export interface SourceTable {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** In the table's order, without dropped, excluded and unlisted ones. */
  readonly columns: readonly SourceColumn[];
  /** With the excluded and the unlisted ones. */
  readonly all: readonly SourceColumn[];
  readonly excluded: ReadonlySet<string>;
  /** Columns that the list of an obeyed publication leaves out. */
  readonly unlisted: ReadonlySet<string>;
  /** Of an obeyed publication, which rows it lets out: SQL of the server's own, or `UNASKED`; `null`: all. */
  readonly filter: string | null;
  /** `false`: an obeyed publication does not publish it under its name. */
  readonly published: boolean;
  /**
   * Primary key, or the columns of the index that is its replica identity, in the key's order (trap 14). Not a deferrable one:
   * within a transaction two rows may have the same, and the order of changes by key means nothing.
   */
  readonly key: readonly string[];
  /** Per key column: its type's OID. */
  readonly keyTypes: readonly number[];
  /**
   * Per key column: which one it is, and what its index sorts it by, as `attnum:collation:operator class`. By names, which an
   * upgrade of the server keeps. Where one is another, other rows lie behind the same key.
   */
  readonly keySorts: readonly string[];
  /** Per key column: the collation of the index where that is not the column's own, ready for SQL; else `null`. */
  readonly keyCollations: readonly (string | null)[];
  /** Per key column: the operators of the index where their plain signs would not mean them; else `null`. */
  readonly keyOperators: readonly (KeyOperators | null)[];
  /** Per key column: the type that it and values of it are to be compared as, ready for SQL, where the server needs to be told; else `null`. */
  readonly keyCasts: readonly (string | null)[];
  readonly identity: 'd' | 'n' | 'f' | 'i';
  /** One that can be a replica identity: a deferrable one can't. */
  readonly hasPrimaryKey: boolean;
  /** Tables, itself or its partitions, that could not be updated any more if they were published (trap 11). */
  readonly unidentified: readonly { readonly schema: string; readonly table: string }[];
  /** The server's own guess; `null` where it has none. */
  readonly estimatedRows: number | null;
  readonly bytes: number;
  readonly partitioned: boolean;
  /** What comes under its name. */
  readonly partitions: readonly { readonly schema: string; readonly table: string }[];
}

type Wanted = Pick<PostgresConfig, 'tables' | 'exclude_tables' | 'exclude_columns'>;
export type TableName = { readonly schema: string; readonly table: string };

/** A table by name; `ancestors`: of a partition, the tables that it is a part of. */
export interface Candidate extends TableName {
  readonly oid: number;
  readonly ancestors: readonly TableName[];
}

const CANDIDATES = `
  SELECT c.oid, n.nspname AS schema, c.relname AS table, CASE WHEN c.relispartition THEN (
    SELECT json_agg(json_build_object('schema', an.nspname, 'table', ac.relname))
    FROM pg_partition_ancestors(c.oid) anc JOIN pg_class ac ON ac.oid = anc.relid JOIN pg_namespace an ON an.oid = ac.relnamespace
    WHERE anc.relid <> c.oid) END AS ancestors
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ANY ($1) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
  ORDER BY c.oid`;

const COLUMNS_OF = (index: string) => `
  SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(${index}.indkey) WITH ORDINALITY AS k(attnum, n)
  JOIN pg_attribute a ON a.attrelid = ${index}.indrelid AND a.attnum = k.attnum WHERE k.n <= ${index}.indnkeyatts`;

/** Name of the collation `k.coll`; null for a type without. */
const COLLATION = `(SELECT format('%I.%I', n.nspname, l.collname) FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = k.coll)`;

/** An index may be ordered by another collation than its column: rows are asked for in the index's order, or it is of no use. */
const COLLATIONS_OF = (index: string) => `
  SELECT json_agg(CASE WHEN k.coll <> 0 AND k.coll <> a.attcollation THEN ${COLLATION} END ORDER BY k.n)
  FROM unnest(${index}.indkey::int2[], ${index}.indcollation::oid[]) WITH ORDINALITY AS k(attnum, coll, n)
  JOIN pg_attribute a ON a.attrelid = ${index}.indrelid AND a.attnum = k.attnum WHERE k.n <= ${index}.indnkeyatts`;

/**
 * Sessions have no search path: a sign finds the operators of an extension's type nowhere, or those of another type that
 * it casts to, which order rows otherwise than their index does (citext as text).
 */
const OPERATORS_OF = (index: string) => `
  SELECT json_agg((
    SELECT json_object_agg(o.amopstrategy, format('OPERATOR(%I.%s)', n.nspname, p.oprname))
    FROM pg_opclass c JOIN pg_amop o ON o.amopfamily = c.opcfamily AND o.amoplefttype = c.opcintype AND o.amoprighttype = c.opcintype
      JOIN pg_operator p ON p.oid = o.amopopr JOIN pg_namespace n ON n.oid = p.oprnamespace
    WHERE c.oid = k.opclass HAVING bool_or(n.nspname <> 'pg_catalog' OR NOT c.opcdefault)) ORDER BY k.n)
  FROM unnest(${index}.indkey::int2[], ${index}.indclass::oid[]) WITH ORDINALITY AS k(attnum, opclass, n) WHERE k.n <= ${index}.indnkeyatts`;

const SORTS_OF = (index: string) => `
  SELECT json_agg(format('%s:%s:%I.%I', k.attnum, ${COLLATION}, n.nspname, c.opcname) ORDER BY k.n)
  FROM unnest(${index}.indkey::int2[], ${index}.indcollation::oid[], ${index}.indclass::oid[]) WITH ORDINALITY AS k(attnum, coll, opclass, n)
  JOIN pg_opclass c ON c.oid = k.opclass JOIN pg_namespace n ON n.oid = c.opcnamespace WHERE k.n <= ${index}.indnkeyatts`;

/**
 * A bare literal beside a composite type is read as one without a name, which the server can't; and no operator of enums or
 * composite types takes a domain over one. Others need no word, nor the right to use their schema, that a cast would ask for.
 */
const CASTS_OF = (index: string) => `
  SELECT json_agg((
    WITH RECURSIVE base(oid) AS (
      SELECT a.atttypid UNION ALL SELECT t.typbasetype FROM base JOIN pg_type t ON t.oid = base.oid WHERE t.typtype = 'd')
    SELECT format('%I.%I', n.nspname, t.typname) FROM base JOIN pg_type t ON t.oid = base.oid JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typtype = 'c' OR (t.typtype IN ('e', 'm') AND t.oid <> a.atttypid)) ORDER BY k.n)
  FROM unnest(${index}.indkey) WITH ORDINALITY AS k(attnum, n)
  JOIN pg_attribute a ON a.attrelid = ${index}.indrelid AND a.attnum = k.attnum WHERE k.n <= ${index}.indnkeyatts`;

/** Whether the server could tell an updated row of relation `l` apart. */
const IDENTIFIED = `(l.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = l.oid AND i.indisvalid AND i.indimmediate
  AND CASE l.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END))`;

/** Asking for the size waits for the table's lock: not where somebody keeps it to himself, a rewrite takes hours. */
const BYTES = `CASE WHEN l.oid NOT IN ${KEPT_RELATIONS}
  THEN pg_relation_size(l.oid) ELSE l.relpages * current_setting('block_size')::int8 END`;

const details = (which: string, letOut: string): string => `
  SELECT c.oid, cn.nspname AS schema, c.relname AS table, c.relkind AS kind, c.relreplident AS identity, p.columns AS primary_key, p.operators AS primary_operators, p.sorts AS primary_sorts, p.casts AS primary_casts, r.columns AS identity_key, r.collations AS identity_collations, r.operators AS identity_operators, r.sorts AS identity_sorts, r.casts AS identity_casts,
    (SELECT json_agg(json_build_object('attnum', a.attnum, 'name', a.attname, 'typeOid', a.atttypid::int8, 'generated', CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END) ORDER BY a.attnum)
     FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    CASE WHEN c.relkind = 'p' THEN (SELECT json_agg(json_build_object('schema', tn.nspname, 'table', tc.relname)) FROM ${partitionTree('c.oid')} t
      JOIN pg_class tc ON tc.oid = t.oid JOIN pg_namespace tn ON tn.oid = tc.relnamespace WHERE t.oid <> c.oid) END AS partitions,
    leaves.tuples, leaves.bytes, leaves.unidentified, out.published, out.filter, out.listed
  FROM pg_class c JOIN pg_namespace cn ON cn.oid = c.relnamespace
  LEFT JOIN LATERAL (SELECT (${COLUMNS_OF('i')}) AS columns, (${OPERATORS_OF('i')}) AS operators, (${SORTS_OF('i')}) AS sorts, (${CASTS_OF('i')}) AS casts
    FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate) p ON true
  LEFT JOIN LATERAL (SELECT (${COLUMNS_OF('i')}) AS columns, (${COLLATIONS_OF('i')}) AS collations, (${OPERATORS_OF('i')}) AS operators, (${SORTS_OF('i')}) AS sorts, (${CASTS_OF('i')}) AS casts
    FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND c.relreplident = 'i') r ON true
  CROSS JOIN LATERAL (
    SELECT CASE WHEN min(l.reltuples) >= 0 THEN sum(l.reltuples)::int8 END AS tuples, coalesce(sum(${BYTES}), 0) AS bytes,
      json_agg(json_build_object('schema', ln.nspname, 'table', l.relname) ORDER BY l.oid) FILTER (WHERE NOT ${IDENTIFIED}) AS unidentified
    FROM pg_class l JOIN pg_namespace ln ON ln.oid = l.relnamespace
    WHERE l.relkind = 'r' AND l.oid IN ${partitionTree('c.oid')}) leaves
  LEFT JOIN LATERAL (${letOut}) out ON true
  WHERE ${which}`;

/** What is asked of tables, and of a publication with it. */
function detailsFor(obeyed: Obeyed | null, which: string, tables: unknown) {
  return obeyed === null
    ? { text: details(which, LETS_ALL_OUT), values: [tables] }
    : { text: details(which, letOutSql(obeyed.filters)), values: [tables, obeyed.publication] };
}

/** Every value as text, as sessions give it. */
interface Detail {
  readonly oid: string;
  readonly schema: string;
  readonly table: string;
  readonly kind: string;
  readonly identity: SourceTable['identity'];
  readonly primary_key: string | null;
  readonly identity_key: string | null;
  readonly identity_collations: string | null;
  readonly primary_operators: string | null;
  readonly identity_operators: string | null;
  readonly primary_sorts: string | null;
  readonly identity_sorts: string | null;
  readonly primary_casts: string | null;
  readonly identity_casts: string | null;
  readonly columns: string | null;
  readonly tuples: string | null;
  readonly bytes: string;
  readonly unidentified: string | null;
  readonly partitions: string | null;
  readonly published: string | null;
  readonly filter: string | null;
  readonly listed: string | null;
}

const list = <T>(json: string | null): readonly T[] => (json === null ? [] : (JSON.parse(json) as T[]));

/** Numbers of a B-tree's strategies. */
const byStrategy = (of: Readonly<Record<string, string>> | null): KeyOperators | null =>
  of === null ? null : { less: of['1']!, atMost: of['2']!, equal: of['3']!, atLeast: of['4']!, greater: of['5']! };

/** Whether a config asks for a table: by its exact name, or by its schema and not excluded. */
export function tableMatcher(config: Wanted): (schema: string, table: string) => 'exact' | 'schema' | null {
  const read = (texts: readonly string[]) => {
    const patterns = texts.map(parsePattern).filter((one) => one !== null);
    const exact = new Set(patterns.flatMap(({ schema, table }) => (table === null ? [] : [qualified(schema, table)])));
    const schemas = new Set(patterns.flatMap(({ schema, table }) => (table === null ? [schema] : [])));
    return { exact, schemas };
  };
  const [wanted, excluded] = [read(config.tables), read(config.exclude_tables)];
  return (schema, table) => {
    const name = qualified(schema, table);
    if (excluded.exact.has(name) || excluded.schemas.has(schema)) return null;
    if (wanted.exact.has(name)) return 'exact';
    return wanted.schemas.has(schema) ? 'schema' : null;
  };
}

/** A partition is left out when its root comes, or was excluded and the partition is not named itself. */
function chosen(candidates: readonly Candidate[], config: Wanted): readonly Candidate[] {
  const match = tableMatcher(config);
  const asked = tableMatcher({ ...config, exclude_tables: [] });
  return candidates.filter(({ schema, table, ancestors }) => {
    const how = match(schema, table);
    if (how === null || ancestors.some((root) => match(root.schema, root.table) !== null)) return false;
    return how === 'exact' || !ancestors.some((root) => asked(root.schema, root.table) !== null);
  });
}

/** Names of the tables that the config asks for, in the order of their making: one cheap query. */
export async function askedTables(client: Client, config: Wanted): Promise<readonly Candidate[]> {
  const schemas = new Set(config.tables.flatMap((text) => parsePattern(text)?.schema ?? []));
  const found = await client.query<TableName & { oid: string; ancestors: string | null }>(CANDIDATES, [[...schemas]]);
  const candidates = found.rows.map((row) => ({
    ...row,
    oid: Number(row.oid),
    ancestors: list<TableName>(row.ancestors),
  }));
  return chosen(candidates, config);
}

/** What the catalog knows of them; those that are gone by now, or have another name, are left out. */
export async function describeTables(
  client: Client,
  asked: readonly Candidate[],
  config: Wanted,
  obeyed: Obeyed | null = null,
): Promise<readonly SourceTable[]> {
  if (asked.length === 0) return [];
  const names = new Map(asked.map(({ oid, schema, table }) => [oid, qualified(schema, table)]));
  const query = detailsFor(obeyed, 'c.oid = ANY ($1::oid[]) ORDER BY c.oid', [...names.keys()]);
  const { rows } = await client.query<Detail>(query);
  const same = rows.filter(({ oid, schema, table }) => names.get(Number(oid)) === qualified(schema, table));
  return same.map((row) => describe(row, config));
}

/** The tables that the config asks for, in the order of their making. @param obeys a publication, if there is one of that name */
export const resolveTables = async (
  client: Client,
  config: Wanted,
  obeys: string | null = null,
): Promise<readonly SourceTable[]> =>
  describeTables(client, await askedTables(client, config), config, await obeyedBy(client, obeys));

/** What a table is called by now; `null`: it is gone. */
export async function tableName(client: Client, oid: number): Promise<TableName | null> {
  const { rows } = await client.query<TableName>(
    'SELECT n.nspname AS schema, c.relname AS table FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1',
    [oid],
  );
  return rows[0] ?? null;
}

/**
 * One table as it is now, under whatever name it has by now; `null`: it is gone. It is asked for each chunk of rows, and its
 * planning costs more than all of a small chunk: a session plans it a few times and then no more.
 */
export async function describeTable(
  client: Client,
  oid: number,
  config: Wanted,
  obeyed: Obeyed | null = null,
): Promise<SourceTable | null> {
  const name = obeyed === null ? 'plnx_table' : 'plnx_published';
  const { rows } = await client.query<Detail>({ name, ...detailsFor(obeyed, 'c.oid = $1::oid', oid) });
  return rows[0] === undefined ? null : describe(rows[0], config);
}

/**
 * Whether what comes under this name is asked for: the table itself, or, where a publication sends partitions under
 * their own names, one of an asked root.
 */
export function isAsked(config: Wanted, { schema, table, ancestors }: Omit<Candidate, 'oid'>): boolean {
  const match = tableMatcher(config);
  if (ancestors.some((root) => match(root.schema, root.table) !== null)) return true;
  return chosen([{ oid: 0, schema, table, ancestors }], config).length > 0;
}

function describe(row: Detail, config: Wanted): SourceTable {
  const oid = Number(row.oid);
  const { schema, table } = row;
  const excluded = new Set(config.exclude_columns[`${schema}.${table}`] ?? []);
  const hasPrimaryKey = row.primary_key !== null;
  const partitioned = row.kind === 'p';
  const unidentified = list<TableName>(row.unidentified);
  const all = list<SourceColumn>(row.columns);
  const listed = row.listed === null ? null : new Set(row.listed.split(' ').map(Number));
  const unlisted = new Set(all.flatMap((column) => (listed?.has(column.attnum) === false ? [column.name] : [])));
  const key = list<string>(row.identity_key ?? row.primary_key);
  return {
    ...{ oid, schema, table, excluded, hasPrimaryKey, partitioned, identity: row.identity },
    ...{ all, columns: all.filter(({ name }) => !excluded.has(name) && !unlisted.has(name)) },
    ...{ unlisted, filter: row.filter, published: row.published === 't' },
    partitions: list<TableName>(row.partitions),
    key,
    keyTypes: key.map((name) => all.find((column) => column.name === name)?.typeOid ?? 0),
    keySorts: list<string>(row.identity_key === null ? row.primary_sorts : row.identity_sorts),
    keyCollations: list<string | null>(row.identity_collations),
    keyCasts: list<string | null>(row.identity_key === null ? row.primary_casts : row.identity_casts),
    keyOperators: list<Readonly<Record<string, string>> | null>(
      row.identity_key === null ? row.primary_operators : row.identity_operators,
    ).map(byStrategy),
    // Partitions to come take the root's primary key and nothing else from it.
    unidentified:
      partitioned && !hasPrimaryKey && row.partitions === null && unidentified.length === 0
        ? [{ schema, table }]
        : unidentified,
    estimatedRows: row.tuples === null ? null : Number(row.tuples),
    bytes: Number(row.bytes),
  };
}

/** Exact names that no table answers to. */
export function missingTables(
  config: Pick<PostgresConfig, 'tables' | 'exclude_tables'>,
  tables: readonly SourceTable[],
): string[] {
  const found = new Set(
    tables.flatMap((one) => [one, ...one.partitions]).map(({ schema, table }) => qualified(schema, table)),
  );
  const match = tableMatcher({ ...config, exclude_columns: {} });
  return config.tables.filter((text) => {
    const pattern = parsePattern(text);
    if (pattern === null || pattern.table === null) return false;
    const { schema, table } = pattern;
    return match(schema, table) !== null && !found.has(qualified(schema, table));
  });
}
