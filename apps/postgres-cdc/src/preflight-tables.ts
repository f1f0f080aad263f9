import { findingOf, type Check } from '@planasonix/core';
import type { Client } from 'pg';
import { lookAtExcluded } from './excluded-columns.js';
import { parsePattern, qualified, quoteIdent } from './identifier.js';
import { partitionTree } from './partition-tree.js';
import type { ServerFacts } from './preflight-server.js';
import type { PreflightInput } from './preflight.js';
import { unlistedKeys } from './publication-filter.js';
import { identitySql, unsentKeys } from './publication.js';
import { missingTables, type SourceTable } from './tables.js';

/** What a snapshot reads: a table, and the partitions of one. Locking it takes the right to the whole table, not to columns. */
const UNREADABLE = `
  SELECT current_user AS role, n.nspname AS schema, c.relname AS table, has_schema_privilege(n.oid, 'USAGE') AS usage,
    row_security_active(c.oid) AS secured, has_table_privilege(c.oid, 'SELECT') AS readable
  FROM unnest($1::oid[]) AS t(oid)
  CROSS JOIN LATERAL ${partitionTree('t.oid')} AS l
  JOIN pg_class c ON c.oid = l.oid AND c.relkind IN ('r', 'p') JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY c.oid`;

const NO_SUCH_TABLE = `
  SELECT w.schema, w.name AS table FROM unnest($1::text[], $2::text[]) AS w(schema, name)
  WHERE NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = w.schema AND c.relname = w.name)`;

const error = (code: string, message: string, fix: string): Check => ({ code, severity: 'error', message, fix });
const sqlName = ({ schema, table }: { schema: string; table: string }): string => qualified(schema, table);

/** The tables by themselves: there, readable, and fit to be published. */
export async function checkTables(
  input: PreflightInput,
  tables: readonly SourceTable[],
  server: ServerFacts,
): Promise<Check[]> {
  const { config } = input;
  const missing = missingTables(config, tables);
  const checks: Check[] = [];
  if (missing.length > 0)
    checks.push(
      error('tables_missing', `There is no table ${missing.join(', ')}.`, 'Create it, or take it out of `tables`.'),
    );
  // Also beside the names: a config that matches nothing at all is refused before there is a stream.
  if (tables.length === 0)
    checks.push(error('no_tables', `No table matches ${config.tables.join(', ')}.`, 'Use exact names or schema.*.'));
  const unidentified = tables.filter((table) => table.unidentified.length > 0);
  if (unidentified.length > 0 && config.snapshot !== 'only')
    checks.push(
      error(
        'no_replica_identity',
        `No replica identity: ${unidentified.map(sqlName).join(', ')}. Publishing would break their UPDATE and DELETE.`,
        identitySql(unidentified),
      ),
    );
  const unsent = config.snapshot === 'only' ? null : unsentKeys(tables, server.version);
  checks.push(...[unlistedKeys(tables) ?? [], unsent ?? []].flat().map(findingOf));
  return [
    ...checks,
    ...excludedColumns(input, tables),
    ...(await excludedTables(input)),
    ...generatedColumns(input, tables, server),
    ...keyless(input, tables),
    ...(config.snapshot === 'never' ? [] : await readingRights(input.client, tables)),
  ];
}

/** Before 18 a server publishes no generated columns, and virtual ones never: what rows have in the snapshot, changes lack. */
function generatedColumns({ config }: PreflightInput, tables: readonly SourceTable[], server: ServerFacts): Check[] {
  if (config.snapshot === 'only') return [];
  const names = tables.flatMap(({ schema, table, columns }) =>
    columns
      .filter(({ generated }) => generated === 'virtual' || (generated === 'stored' && server.version < 180_000))
      .map((column) => `${schema}.${table}.${column.name}`),
  );
  if (names.length === 0) return [];
  const which = server.version < 180_000 ? 'generated' : 'virtual generated';
  const other = server.version < 180_000 ? 'or use Postgres 18' : 'or make them STORED';
  return [
    {
      code: 'generated_columns_unpublished',
      severity: 'warning',
      message: `Postgres ${server.versionText} publishes no ${which} columns: changes come without ${names.join(', ')}.`,
      fix: `Have the reader compute them, name them in exclude_columns so that rows and changes agree, ${other}.`,
    },
  ];
}

/** Rows without a key can't be told from changes: they are read in one piece. */
function keyless({ config }: PreflightInput, tables: readonly SourceTable[]): Check[] {
  const without = tables.filter((table) => table.key.length === 0 && table.unidentified.length === 0);
  if (without.length === 0 || config.snapshot === 'never') return [];
  return [
    {
      code: 'whole_table_snapshot',
      severity: 'info',
      message: `No key: ${without.map(sqlName).join(', ')}. Rows are read as a whole while the stream waits, and from the beginning if that is interrupted.`,
      fix: 'Add a primary key to have them read in chunks beside the stream.',
    },
  ];
}

function excludedColumns({ config, excluded }: PreflightInput, tables: readonly SourceTable[]): Check[] {
  const checks: Check[] = [];
  const unused: string[] = [];
  for (const table of tables) {
    const keys = table.key.filter((column) => table.excluded.has(column));
    if (keys.length > 0)
      checks.push(
        error(
          'config_invalid',
          `exclude_columns leaves out ${keys.join(', ')} of ${sqlName(table)}, which is part of its key.`,
          'Take it out of exclude_columns.',
        ),
      );
    const { refused, unused: names } = lookAtExcluded(config, table, excluded);
    if (refused !== null) checks.push(findingOf(refused));
    else unused.push(...names.map((name) => `${table.schema}.${table.table}.${name}`));
  }
  const known = new Set(tables.map(({ schema, table }) => `${schema}.${table}`));
  const strangers = Object.keys(config.exclude_columns).filter((name) => !known.has(name));
  if (strangers.length > 0)
    checks.push(unusedNames('columns', `${strangers.join(', ')}, which the stream does not read.`));
  if (unused.length > 0) checks.push(unusedNames('columns', `${unused.join(', ')}, which the table does not have.`));
  return checks;
}

const unusedNames = (what: 'columns' | 'tables', which: string): Check => ({
  ...{ code: `exclude_${what}_unused`, severity: 'warning' },
  message: `exclude_${what} names ${which}`,
  fix: 'Correct the name, or take it out.',
});

/** Where a table was to be left out, another name than its own lets it in. */
async function excludedTables({ client, config }: PreflightInput): Promise<Check[]> {
  const named = config.exclude_tables.flatMap((text) => {
    const { schema, table } = parsePattern(text)!;
    return table === null ? [] : [{ schema, table }];
  });
  if (named.length === 0) return [];
  const { rows } = await client.query<{ schema: string; table: string }>(NO_SUCH_TABLE, [
    named.map(({ schema }) => schema),
    named.map(({ table }) => table),
  ]);
  return rows.length === 0 ? [] : [unusedNames('tables', `${rows.map(sqlName).join(', ')}, which is not there.`)];
}

/** What keeps the session's user from reading rows of these tables, with the SQL that lets him. */
export async function readingRights(client: Client, tables: readonly SourceTable[]): Promise<Check[]> {
  const { rows } = await client.query<Record<'role' | 'schema' | 'table' | 'usage' | 'secured' | 'readable', string>>(
    UNREADABLE,
    [tables.map((table) => table.oid)],
  );
  const [first] = rows;
  if (first === undefined) return [];
  const checks: Check[] = [];
  const user = quoteIdent(first.role);
  const refused = rows.filter((row) => row.usage !== 't' || row.readable !== 't');
  if (refused.length > 0) {
    const schemas = new Set(refused.filter((row) => row.usage !== 't').map((row) => row.schema));
    const grants = refused.filter((row) => row.readable !== 't').map(sqlName);
    checks.push(
      error(
        'permission_denied',
        `The user ${first.role} may not read ${refused.map(sqlName).join(', ')}.`,
        [
          ...[...schemas].map((schema) => `GRANT USAGE ON SCHEMA ${quoteIdent(schema)} TO ${user};`),
          ...(grants.length > 0 ? [`GRANT SELECT ON ${grants.join(', ')} TO ${user};`] : []),
        ].join(' '),
      ),
    );
  }
  const secured = rows.filter((row) => row.secured === 't');
  if (secured.length > 0)
    checks.push(
      error(
        'permission_denied',
        `Row security would hide rows of ${secured.map(sqlName).join(', ')} from ${first.role}.`,
        `ALTER ROLE ${user} BYPASSRLS;`,
      ),
    );
  return checks;
}
