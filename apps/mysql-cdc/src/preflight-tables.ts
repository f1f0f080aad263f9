import type { Check } from '@planasonix/core';
import type { MySqlConfig } from './config.js';
import { failed, info, warned } from './finding.js';
import type { Server } from './server.js';
import type { SourceTable } from './tables.js';
import { unfitReasons } from './unfit.js';

export interface TablesInput {
  readonly config: MySqlConfig;
  readonly server: Server;
  readonly tables: readonly SourceTable[];
  readonly missing: readonly string[];
  readonly excludedOf: (schema: string, table: string) => ReadonlySet<string>;
}

/** Engines whose rows a snapshot sees as they were at one moment. */
const TRANSACTIONAL = new Set(['innodb', 'rocksdb']);
/** From this version on MySQL logs what foreign keys change. */
const LOGS_CASCADES = 90_600;

export function preflightTables(input: TablesInput): Check[] {
  const { config, server, missing, excludedOf } = input;
  const tables = input.tables.filter(({ form }) => form !== 'SEQUENCE');
  if (missing.length > 0)
    return [
      failed('tables_missing', `There is no table ${missing.join(', ')}.`, 'Create the tables, or correct `tables`.'),
    ];
  if (tables.length === 0)
    return [failed('no_tables', `No table matches ${config.tables.join(', ')}.`, 'Use exact names or schema.*.')];
  const checks: Check[] = [];
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
    if (table.cascades && (server.flavor === 'mariadb' || server.number < LOGS_CASCADES))
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
