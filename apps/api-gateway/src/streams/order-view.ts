import type { SnapshotProgress, TableProgress } from '@planasonix/core';
import type { SnapshotOrderRow, Stream } from '@planasonix/store';
import type { ORDER_STATES } from './order-answers.js';

type OrderState = (typeof ORDER_STATES)[number];

/** An order as users see it. What its tables are at is what the stream last told. */
export function ordered(row: SnapshotOrderRow, stream: Pick<Stream, 'snapshot'>) {
  const told = (stream.snapshot as SnapshotProgress | null)?.tables ?? [];
  const progress = told.filter((table) => table.order === row.id);
  return {
    id: row.id,
    type: 'stream_snapshot',
    attributes: {
      stream_id: row.stream_id,
      tables: row.tables,
      where: row.where_sql,
      state: stateOf(row, progress),
      requested_at: row.requested_at.toISOString(),
      cancelled_at: row.cancelled_at?.toISOString() ?? null,
      finished_at: row.done_at?.toISOString() ?? null,
      failed: row.failed,
      progress,
    },
  };
}

function stateOf(row: SnapshotOrderRow, progress: readonly TableProgress[]): OrderState {
  if (row.cancelled_at !== null) return 'cancelled';
  if (row.failed !== null) return 'failed';
  // Only its owner says that it is done, once the position that says so is committed (Invariant 7).
  if (row.done_at !== null) return 'done';
  return progress.some(({ state }) => state === 'running' || state === 'done') ? 'running' : 'waiting';
}
