import type { Clock } from '@planasonix/core';
import type { Client } from 'pg';
import { partitionTree } from '../partition-tree.js';
import { visibilityOf } from './chunk-reader.js';
import type { RowTask } from './row-task.js';

/** Tables that let others go first, at the most: positions tell of each. Invariant 6. */
export const MOST_KEPT = 64;
/** How often one is looked at; where there are more than `AT_ONCE`, less often: the session is for others' questions, too. */
const LOOK_MS = 900;
const AT_ONCE = 16;
const LOCKED =
  'Somebody keeps it, a partition or an index of it locked: its rows wait for the end of that transaction.';

/** Whoever holds, or stands in line for, a lock that readers of the table can't have beside him. It waits for nobody. */
const KEPT_BY = `
  SELECT FROM (
    SELECT coalesce((SELECT i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid = l.relation), l.relation) AS oid
    FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())) k
  WHERE k.oid IN ${partitionTree('$1::oid')}
    OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.reltoastrelid = k.oid AND c.oid IN ${partitionTree('$1::oid')})
  LIMIT 1`;

const SEEN = `
  SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0')::text
    ELSE pg_catalog.pg_current_snapshot()::text END AS seen`;

export interface KeptTablesDeps {
  readonly config: { readonly snapshot_readers: number };
  readonly clock: Clock;
  readonly alone: () => boolean;
  tasks(): readonly RowTask[];
  control(): Promise<Client>;
  readonly ended: (task: RowTask) => boolean;
  /** Others may have their turn. */
  ring(): void;
  failed(task: RowTask, error: unknown): void;
}

/** A reader has met a lock: it goes on with other tables, and the stream does not stand for this one. */
export function lockOut(task: RowTask): void {
  if (task.over) return;
  task.note = LOCKED;
  task.kept = 'locked';
  task.wantsStill = false;
}

/** Tables that somebody keeps from their readers: others are read meanwhile, and they are once they may be. */
export class KeptTables {
  private readonly lookedAt = new Set<RowTask>();

  constructor(private readonly deps: KeptTablesDeps) {}

  /** Whether one more may be begun. */
  get hasTurn(): boolean {
    return this.begun + Math.max(0, this.count - MOST_KEPT) < this.deps.config.snapshot_readers;
  }

  /** Nobody waits for what waits for a snapshot of later, and so has no reader, nor for what a publication has to let out. */
  private get begun(): number {
    const counts = ({ over, phase, later, withheld, kept }: RowTask): boolean =>
      !over && phase !== 'waiting' && !later && !withheld && kept === null;
    return this.deps.tasks().filter(counts).length;
  }

  private get count(): number {
    return this.deps.tasks().filter(({ kept }) => kept !== null).length;
  }

  /** Beside those that have their turn, which may be large, and not all that are let go at once. */
  private get hasRoom(): boolean {
    return this.begun < 2 * this.deps.config.snapshot_readers;
  }

  /** Looks at those that were locked. */
  look(): void {
    for (const task of this.deps.tasks())
      if (task.kept === 'locked' && !this.lookedAt.has(task)) void this.whileLocked(task);
  }

  /** Its writers are waited out, and others have their turn. */
  letOthers(task: RowTask): void {
    task.kept = 'writers';
    this.deps.ring();
  }

  /** Until the next look at it. What comes meanwhile and is visible by then need not be remembered of it. */
  async rest(task: RowTask): Promise<void> {
    const { clock, alone, ended } = this.deps;
    await clock.sleep(LOOK_MS * Math.ceil(this.count / AT_ONCE));
    if (alone() || ended(task)) return;
    const control = await this.deps.control();
    const { rows } = await control.query<{ seen: string }>(SEEN);
    task.watch.sees(visibilityOf(rows[0]!.seen));
  }

  /** Nobody keeps it any more. */
  async letIn(task: RowTask): Promise<void> {
    if (task.kept === null) return;
    task.note = null;
    while (!this.hasRoom && !this.deps.ended(task)) await this.rest(task);
    task.kept = null;
    this.deps.ring();
  }

  private async whileLocked(task: RowTask): Promise<void> {
    const { ended } = this.deps;
    this.lookedAt.add(task);
    try {
      do await this.rest(task);
      while (!ended(task) && (await this.isLocked(task)));
      await this.letIn(task);
    } catch (error) {
      this.deps.failed(task, error);
    } finally {
      this.lookedAt.delete(task);
    }
  }

  private async isLocked({ wish }: RowTask): Promise<boolean> {
    const control = await this.deps.control();
    return (await control.query(KEPT_BY, [wish.oid])).rowCount !== 0;
  }
}
