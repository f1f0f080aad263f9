import type { Check, SnapshotOrder } from '@planasonix/core';
import { conditionProblem } from './condition.js';
import type { MySqlConfig } from './config.js';
import { failed } from './finding.js';
import { parsePattern, qualified } from './identifier.js';
import { readingKey } from './rows/key-column.js';
import { isGone } from './stream-error.js';
import type { Server } from './server.js';
import type { Session } from './session.js';
import { missingTables, resolveTables, tableMatcher, type SourceTable } from './tables.js';

const MOST_TEXT = 300;

type ExcludedOf = (schema: string, table: string) => ReadonlySet<string>;

/** Whether an order could be carried out: its tables are the stream's, and the server takes its condition for each. */
export async function checkOrder(
  session: Session,
  server: Server,
  config: MySqlConfig,
  excludedOf: ExcludedOf,
  order: Omit<SnapshotOrder, 'id'>,
): Promise<readonly Check[]> {
  const unread = order.tables.filter((text) => parsePattern(text) === null);
  if (unread.length > 0)
    return [
      failed('config_invalid', `Not the name of a table: ${unread.join(', ')}.`, 'Write schema.table or schema.*.'),
    ];
  const asked = { tables: [...order.tables], exclude_tables: [] };
  const match = tableMatcher(asked, server.foldsCase);
  const tables = (await resolveTables(session, server, config)).filter(({ form }) => form !== 'SEQUENCE');
  const ordered = tables.filter(({ schema, table }) => match(schema, table));
  const missing = missingTables({ ...config, ...asked }, ordered, server.foldsCase);
  if (missing.length > 0 || ordered.length === 0)
    return [
      failed(
        'no_tables',
        `The stream reads no table ${(missing.length > 0 ? missing : order.tables).join(', ')}.`,
        `It reads: ${tables.map(({ schema, table }) => `${schema}.${table}`).join(', ').slice(0, MOST_TEXT)}.`, // prettier-ignore
      ),
    ];
  const wrong = order.where === null ? null : await wrongCondition(session, ordered, excludedOf, order.where);
  return wrong === null ? [] : [wrong];
}

/** What is wrong with a condition for these tables: asked when it is ordered, and again before it is put into a query. */
export async function wrongCondition(
  session: Session,
  tables: readonly SourceTable[],
  excludedOf: ExcludedOf,
  where: string,
): Promise<Check | null> {
  for (const table of tables) {
    const excluded = excludedOf(table.schema, table.table);
    if (readingKey(table, excluded).length === 0) return keyless(table);
    const found = conditionProblem(where, table, excluded);
    if (found !== null) return failed('where_invalid', `The condition ${found.problem}.`, found.fix);
    const refused = await judged(session, table, where);
    if (refused !== null) return refused;
  }
  return null;
}

/** Some rows of such a table can't be told from changes of the others, and readers can't be told to forget only those. */
const keyless = ({ schema, table }: SourceTable): Check =>
  failed(
    'where_invalid',
    `The condition is for ${schema}.${table}, which has no key that the stream could read it by: only all of its rows can be read.`,
    'Order its rows without a condition, or give it a primary key whose columns the stream reads.',
  );

/** `ER_USER_LIMIT_REACHED`: of class 42, though it says nothing of the query. */
const TOO_MUCH_ASKED = 1226;

/** The server plans the query and reads no row. */
async function judged(session: Session, { schema, table }: SourceTable, where: string): Promise<Check | null> {
  try {
    await session.query(`EXPLAIN SELECT 1 FROM ${qualified(schema, table)} WHERE (${where}\n)`);
    return null;
  } catch (error) {
    const { sqlState = '', errno = 0, message = '' } = error as { sqlState?: string; errno?: number; message?: string };
    if (!/^(?:22|42)/.test(sqlState) || isGone(error) || errno === TOO_MUCH_ASKED) throw error;
    // The words of class 42 speak of names; others may hold a value that was worked out while it was planned.
    const said = sqlState.startsWith('42') ? message.slice(0, MOST_TEXT) : `error ${errno}`;
    return failed(
      'where_invalid',
      `The condition does not fit ${schema}.${table}: ${said}.`,
      'Name columns of the table, and compare them with values of their type.',
    );
  }
}
