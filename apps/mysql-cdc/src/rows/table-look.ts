import type { MySqlConfig } from '../config.js';
import type { Server } from '../server.js';
import type { Session } from '../session.js';
import { isBrokenView, isGone } from '../stream-error.js';
import type { SourceTable } from '../tables.js';
import { cutLanes } from './chunk-sql.js';
import { readingKey, type KeyColumn } from './key-column.js';
import type { RowTask } from './row-task.js';
import type { LaneState } from './rows-state.js';
import { isLater, tableNow } from './table-now.js';

/** What a table is read by. */
export interface TableLook {
  readonly table: SourceTable;
  readonly key: readonly KeyColumn[];
  readonly lanes: LaneState[];
}

export interface TableLookDeps {
  readonly server: Server;
  readonly config: MySqlConfig;
  readonly excludedOf: (schema: string, table: string) => ReadonlySet<string>;
}

/** Where it is gone or busy that is an answer: after a failure others who ask at this session would have to dial anew. */
export async function lookAtTable(
  session: Session,
  task: RowTask,
  { server, config, excludedOf }: TableLookDeps,
): Promise<TableLook | 'gone' | 'busy'> {
  try {
    const table = await tableNow(session, server, task.wish);
    if (table === null) return 'gone';
    const key = readingKey(table, excludedOf(table.schema, table.table));
    if (task.keyIs(key) && task.state.lanes.length > 0) return { table, key, lanes: task.state.lanes };
    return { table, key, lanes: await cutLanes(session, server, table, key, config.snapshot_readers) };
  } catch (error) {
    if (isGone(error) || isBrokenView(error)) return 'gone';
    if (isLater(error)) return 'busy';
    throw error;
  }
}
