import type { Check } from '@planasonix/core';
import type { MySqlConfig } from './config.js';
import { failed, info, warned } from './finding.js';
import { variable, type Server } from './server.js';
import type { Session } from './session.js';
import { tableMatcher, type SourceTable } from './tables.js';
import { unfitReasons } from './unfit.js';

export interface TablesInput {
  readonly config: MySqlConfig;
  readonly server: Server;
  readonly tables: readonly SourceTable[];
  readonly missing: readonly string[];
  readonly excludedOf: (schema: string, table: string) => ReadonlySet<string>;
  /** See the function of that name. */
  readonly logsCascades: boolean;
  /** See `PreflightDeps`. */
  readonly isNew: boolean;
}

/** Engines whose rows a snapshot sees as they were at one moment. */
const TRANSACTIONAL = new Set(['innodb', 'rocksdb']);
/** From this version on MySQL logs what foreign keys change, unless it is told to leave that to InnoDB. */
const LOGS_CASCADES = 90_600;
const UNLOGGED_CASCADES = 'innodb_native_foreign_keys';
/** MariaDB 11.8 does, and 10.11 does not. */
const LEAVES_OUT_GENERATED = 110_000;
/** Under these names gh-ost and pt-online-schema-change have a table's rows for a while, and keep the former table. */
const COPIES: readonly ((table: string) => string)[] = ['gho', 'del', 'new', 'old'].map((of) => (t) => `_${t}_${of}`);

/** Whether the log has what foreign keys change by themselves. */
export const logsCascades = async (session: Session, { flavor, number }: Server): Promise<boolean> =>
  flavor === 'mysql' && number >= LOGS_CASCADES && (await variable(session, UNLOGGED_CASCADES)) !== 'ON';

export function preflightTables(input: TablesInput): Check[] {
  const { config, server, missing, excludedOf, isNew } = input;
  const tables = input.tables.filter(({ form }) => form !== 'SEQUENCE');
  const lacking: Check[] = [];
  if (missing.length > 0)
    lacking.push(
      failed('tables_missing', `There is no table ${missing.join(', ')}.`, 'Create the tables, or correct `tables`.'),
    );
  // Also beside the names: a config that matches nothing at all is refused before there is a stream.
  if (tables.length === 0)
    lacking.push(failed('no_tables', `No table matches ${config.tables.join(', ')}.`, 'Use exact names or schema.*.'));
  if (lacking.length > 0) return lacking;
  const checks: Check[] = [];
  const asks = tableMatcher(config, server.foldsCase);
  for (const table of tables) {
    const name = `${table.schema}.${table.table}`;
    checks.push(...unfitReasons(table).map(({ code, message, fix }) => failed(code, message, fix)));
    const hidden = table.key.filter((column) => excludedOf(table.schema, table.table).has(column.toLowerCase()));
    if (hidden.length > 0)
      checks.push(
        failed(
          'config_invalid',
          `${name}: ${hidden.join(', ')} belongs to the key and can't be left out.`,
          'Take it out of exclude_columns.',
        ),
      );
    const columns = new Set(table.columns.map((column) => column.name.toLowerCase()));
    const unknown = [...excludedOf(table.schema, table.table)].filter((column) => !columns.has(column));
    if (unknown.length > 0)
      // What a stream has read may be of a time in which it was there.
      checks.push(
        (isNew ? failed : warned)(
          isNew ? 'config_invalid' : 'exclude_columns_unused',
          `exclude_columns names ${unknown.join(', ')} of ${name}, which has no such column: nothing would be kept back.`,
          'Correct the name, or take it out of exclude_columns.',
        ),
      );
    const copies = COPIES.map((nameOf) => nameOf(table.table)).filter((copy) => asks(table.schema, copy));
    if (excludedOf(table.schema, table.table).size > 0 && copies.length > 0)
      checks.push(
        warned(
          'exclude_columns_copies',
          `What exclude_columns keeps back of ${name} is not kept back of a copy that a tool makes in its schema, all of which is read.`,
          `Before such a tool is used: "exclude_tables": ${JSON.stringify(copies.map((copy) => `${table.schema}.${copy}`))}, or name the tables instead of ${table.schema}.*.`,
        ),
      );
    if (table.key.length === 0)
      checks.push(
        warned('no_key', `${name} has no primary key: its events have no key to fold by.`, 'Add a primary key.'),
      );
    if (!TRANSACTIONAL.has(table.engine.toLowerCase()))
      checks.push(
        warned(
          'engine',
          `${name} is a table of ${table.engine}: changes while its rows are read come once more after them.`,
          'ALTER TABLE … ENGINE = InnoDB.',
        ),
      );
    const generated = table.columns.filter(
      (one) => one.generated !== null && !excludedOf(table.schema, table.table).has(one.name.toLowerCase()),
    );
    if (generated.length > 0 && server.flavor === 'mariadb' && server.number >= LEAVES_OUT_GENERATED)
      checks.push(
        warned(
          'generated_columns',
          `${name}: this server may leave generated columns out of the log's updates and deletes, and the stream ends there.`,
          `Name them in exclude_columns: {"${name}":${JSON.stringify(generated.map((one) => one.name))}}.`,
        ),
      );
    if (table.cascades && !input.logsCascades)
      checks.push(
        warned(
          'cascades',
          `${name} has a foreign key with CASCADE or SET NULL: what that changes is not in the log of this server, and does not come.`,
          'Delete and update the rows of this table by statements of their own.',
        ),
      );
  }
  if (checks.every(({ severity }) => severity !== 'error')) checks.push(info('tables', `${tables.length} tables.`));
  return checks;
}
