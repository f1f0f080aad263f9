import { ROW_EVENT_TYPES, type ChangeEvent } from '@planasonix/core';
import type { RowTask } from './row-task.js';

/** `op:"t"` with `source.snapshot:true`: whoever folds the log by key forgets what he has of the table; its rows follow. */
export function emptiedEvent(
  { wish, state }: Pick<RowTask, 'wish' | 'state'>,
  of: { readonly database: string; readonly lsn: string; readonly atMs: number },
): ChangeEvent {
  const { schema, name: table } = wish;
  const { database, lsn, atMs } = of;
  const subject = `${schema}.${table}`;
  const id = `snap-${state.id}-${state.attempt}-${subject}-emptied`;
  const source = {
    connector: 'postgres',
    db: database,
    schema,
    table,
    snapshot: true,
    ts_ms: atMs,
    lsn,
    commit_lsn: lsn,
    xid: null,
    seq: 0,
  };
  return {
    id,
    type: ROW_EVENT_TYPES.t,
    subject,
    time: new Date(atMs).toISOString(),
    timeMs: atMs,
    partitionkey: '',
    data: Buffer.from(JSON.stringify({ op: 't', before: null, after: null, unchanged: [], source, ts_ms: atMs })),
    order: null,
  };
}
