import type { SnapshotProgress, TableProgress } from '@planasonix/core';
import { TABLES_SHOWN } from '@planasonix/rows';
import type { RowFeed } from './row-feed.js';

/**
 * How far the rows have come.
 * @param of how many tables are done and noted, the rows of what was forgotten since, and tables of which a person should know something
 */
export function progressOf(
  { all, finished }: Pick<RowFeed, 'all' | 'finished'>,
  of: { readonly noted: number; readonly rowsBefore: number; readonly told: readonly TableProgress[] },
): SnapshotProgress {
  const own = all.filter((task) => task.wish.order === null && task.phase !== 'cancelled');
  const running = all.filter((task) => !task.over);
  const estimates = running.map((task) => task.estimated ?? null);
  const rows = of.rowsBefore + all.reduce((sum, task) => sum + task.state.rows, 0);
  const left = running.reduce(
    (sum, { estimated, state }) => sum + Math.max(estimated ?? 0, state.rows) - state.rows,
    0,
  );
  return {
    state: running.length > 0 ? 'running' : 'done',
    tables_total: of.noted + own.length,
    tables_done: of.noted + own.filter((task) => task.over).length,
    rows_done: rows,
    rows_estimated: estimates.includes(null) ? null : rows + left,
    tables: [
      ...running.slice(0, TABLES_SHOWN).map((task) => task.progress),
      ...of.told.slice(0, TABLES_SHOWN),
      ...finished.last.map((task) => task.progress),
    ],
  };
}
