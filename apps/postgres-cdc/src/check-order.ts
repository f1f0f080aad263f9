import type { Check, SnapshotOrder } from '@planasonix/core';
import type { Client } from 'pg';
import { inBriefLine } from './brief-lock.js';
import { reachOf } from './condition-reach.js';
import { conditionProblem } from './condition.js';
import type { PostgresConfig } from './config.js';
import { parsePattern, qualified } from './identifier.js';
import { readingRights } from './preflight-tables.js';
import { obeyedName } from './publication-filter.js';
import { toStreamError } from './session.js';
import { missingTables, resolveTables, tableMatcher, type SourceTable } from './tables.js';

/** SQLSTATE classes by which the server judges the condition, and not its own health. */
const JUDGED = /^(0A|22|42|P0)/;
const SYNTAX_ERROR = '42601';
/** Conditions name no table: it is the one that is ordered. */
const UNDEFINED_TABLE = '42P01';
const MOST_TEXT = 300;
const WAITS = 'Whether the condition fits can not be asked now.';
const IS_LOCKED = 'Somebody keeps a table locked (ALTER, VACUUM FULL, REINDEX): wait for the end of that transaction.';

const finding = (code: string, message: string, fix: string | null = null): Check => ({
  ...{ code, severity: 'error', message, fix },
});

/**
 * Whether an order could be carried out: its tables are the stream's, and the server takes its condition for each.
 * @param publication of the stream
 */
export async function checkOrder(
  control: Client,
  config: PostgresConfig,
  order: Omit<SnapshotOrder, 'id'>,
  publication: string | null = null,
): Promise<readonly Check[]> {
  const unread = order.tables.filter((text) => parsePattern(text) === null);
  if (unread.length > 0)
    return [
      finding('config_invalid', `Not the name of a table: ${unread.join(', ')}.`, 'Write schema.table or schema.*.'),
    ];
  try {
    const tables = await resolveTables(control, config, publication && obeyedName(config, publication));
    const match = tableMatcher({ ...config, tables: [...order.tables] });
    const ordered = tables.filter(({ schema, table }) => match(schema, table) !== null);
    const missing = missingTables({ ...config, tables: [...order.tables] }, ordered);
    if (missing.length > 0 || ordered.length === 0)
      return [
        finding(
          'no_tables',
          `The stream reads no table ${(missing.length > 0 ? missing : order.tables).join(', ')}.`,
          `It reads: ${tables.map(({ schema, table }) => `${schema}.${table}`).join(', ').slice(0, MOST_TEXT)}.`, // prettier-ignore
        ),
      ];
    const wrong = await wrongOrder(control, ordered, order.where);
    return wrong === 'locked' ? [finding('source_unreachable', WAITS, IS_LOCKED)] : wrong;
  } catch (error) {
    const { code, message, hint } = toStreamError(error, 'checking the order');
    return [finding(code, message, hint)];
  }
}

/**
 * What is wrong with an order of these tables: asked when it is placed, and again before its condition is put into a query.
 *
 * @returns `locked`: whether its condition fits can't be asked now, for somebody keeps a table locked
 */
export async function wrongOrder(
  control: Client,
  tables: readonly SourceTable[],
  where: string | null,
): Promise<readonly Check[] | 'locked'> {
  const unreadable = await readingRights(control, tables);
  if (unreadable.length > 0 || where === null) return unreadable;
  const wrong = await wrongCondition(control, tables, where);
  return wrong === null ? [] : wrong === 'locked' ? wrong : [wrong];
}

const gone = ({ schema, table }: Pick<SourceTable, 'schema' | 'table'>): Check =>
  finding(
    'no_tables',
    `The table ${schema}.${table} is gone: it was dropped or renamed a moment ago.`,
    'Order the rows of tables that are there.',
  );

async function wrongCondition(
  control: Client,
  tables: readonly SourceTable[],
  where: string,
): Promise<Check | 'locked' | null> {
  const problem = conditionProblem(where);
  if (problem !== null) return finding('where_invalid', `The condition ${problem}.`, 'Write one SQL expression.');
  for (const table of tables) {
    if (table.key.length === 0)
      return finding(
        'where_invalid',
        `The condition is for ${table.schema}.${table.table}, which has no key: only all of its rows can be read.`,
        'Order its rows without a condition, or give it a primary key.',
      );
    const reach = reachOf(where, table);
    if (reach !== null) return finding('where_invalid', `The condition ${reach.problem}.`, reach.fix);
  }
  // Only what has been found harmless for all of them gets to the server.
  for (const table of tables) {
    const refused = await judged(control, table, where);
    if (refused !== null) return refused;
  }
  return null;
}

/** The server plans the query and reads no row. The extended protocol takes one statement and no more. */
async function judged(
  control: Client,
  { schema, table }: SourceTable,
  where: string,
): Promise<Check | 'locked' | null> {
  const before = `EXPLAIN SELECT FROM ${qualified(schema, table)} WHERE (${where}`;
  const text = `${before}\n)`;
  try {
    const plan = await inBriefLine(control, () => control.query({ text, queryMode: 'extended' } as { text: string }));
    return plan === 'locked' ? plan : null;
  } catch (error) {
    const { code = '', message = '', position } = error as { code?: string; message?: string; position?: string };
    if (!JUDGED.test(code)) throw error;
    if (code === UNDEFINED_TABLE) return gone({ schema, table });
    // Counted in characters from 1; what comes behind is ours, and nothing that the user wrote.
    if (code === SYNTAX_ERROR && Number(position) > [...before].length)
      return finding('where_invalid', 'The condition ends amid an expression.', 'Write one SQL expression.');
    // The words of class 42 speak of names; others may hold a value that was worked out while it was planned.
    const said = code.startsWith('42') ? message.slice(0, MOST_TEXT) : `SQLSTATE ${code}`;
    return finding(
      'where_invalid',
      `The condition does not fit ${schema}.${table}: ${said}.`,
      'Name columns of the table, and compare them with values of their type.',
    );
  }
}
