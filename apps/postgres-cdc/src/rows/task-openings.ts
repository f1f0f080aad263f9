import { KeptTables } from './kept-tables.js';
import type { RowTask } from './row-task.js';
import { openTask, type TaskOpening, type Unfit } from './task-opening.js';

export interface TaskOpeningsDeps extends Omit<TaskOpening, 'stillness' | 'ended' | 'kept'> {
  /** All that are to be read, in their order. */
  tasks(): readonly RowTask[];
  /** A chunk of it is there, whose end tells that it has to be opened again. */
  isBeingRead(task: RowTask): boolean;
  /** The stream stands still. */
  readonly still: () => boolean;
  readonly stopped: () => boolean;
  ring(): void;
  wait(): Promise<void>;
  gone(task: RowTask): void;
  empties(task: RowTask): void;
  unfit(task: RowTask, why: Unfit): void;
  /** It could not be opened. */
  failed(task: RowTask, error: unknown): void;
}

/** When tables are opened: as many at once as there are readers, beside those that are kept, and each table once at a time. */
export class TaskOpenings {
  private readonly underWay = new Set<RowTask>();
  private readonly kept: KeptTables;

  constructor(private readonly deps: TaskOpeningsDeps) {
    this.kept = new KeptTables({ ...deps, ended: (task) => this.ended(task) });
  }

  /** Opens what has to be opened before the next chunk is begun. */
  look(): void {
    this.kept.look();
    this.openAgain();
    this.openNext();
  }

  open(task: RowTask): void {
    task.phase = 'starting';
    void this.opening(task);
  }

  private openNext(): void {
    if (!this.kept.hasTurn) return;
    const tasks = this.deps.tasks();
    const begun = tasks.filter((task) => !task.over && task.phase !== 'waiting');
    const oids = new Set(begun.map((task) => task.wish.oid));
    const next = tasks.find((task) => task.phase === 'waiting' && !oids.has(task.wish.oid));
    if (next !== undefined) this.open(next);
  }

  /** The stream may make a table begin over, or its watch forget, while no chunk of it is there whose end would tell. */
  private openAgain(): void {
    for (const task of this.deps.tasks()) if (task.unready && !this.deps.isBeingRead(task)) this.open(task);
  }

  private ended({ over }: RowTask): boolean {
    return this.deps.stopped() || over;
  }

  private async opening(task: RowTask): Promise<void> {
    if (this.underWay.has(task)) return;
    this.underWay.add(task);
    const { deps, kept } = this;
    const ended = this.ended.bind(this);
    const stillness = async (one: RowTask): Promise<void> => {
      one.wantsStill = true;
      deps.ring();
      while (!deps.still() && !ended(one)) await deps.wait();
    };
    try {
      const outcome = await openTask(task, { ...deps, kept, stillness, ended });
      // Taken back at the last moment: its watch is gone, and it stays so.
      if (ended(task)) return;
      if (outcome === 'gone') deps.gone(task);
      else if (outcome === 'empties') deps.empties(task);
      else if (outcome === 'keyless' || outcome === 'unlisted') deps.unfit(task, outcome);
      else if (outcome === 'reading') task.phase = 'reading';
      deps.ring();
    } catch (error) {
      deps.failed(task, error);
    } finally {
      this.underWay.delete(task);
    }
  }
}
