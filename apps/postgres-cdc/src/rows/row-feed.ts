import { Bell, type ChangeEvent, type Clock, type Log, type SnapshotOrder } from '@planasonix/core';
import { Finished } from '@planasonix/rows';
import type { Client } from 'pg';
import { lsnText, type GateSlot } from '../decode/index.js';
import type { TableName } from '../tables.js';
import type { ChunkRun } from './chunk-run.js';
import { emptiedEvent } from './emptied-event.js';
import { OrderEnds } from './order-ends.js';
import { RowReaders, type RowReadersDeps } from './row-readers.js';
import { newTask, restoredTask, type RowTask, type RowWish } from './row-task.js';
import type { RowsState } from './rows-state.js';
import { Sifts } from './sifts.js';
import { TaskOpenings } from './task-openings.js';

export interface RowFeedDeps extends RowReadersDeps {
  readonly clock: Clock;
  readonly log: Log;
  control(): Promise<Client>;
  slotOf(oid: number): GateSlot;
  /** The stream is never read beside the rows: `snapshot: "only"`. */
  readonly alone: boolean;
  /** The snapshot of the place where the stream will begin, or of rows alone: they are read under it until `beside` is called. */
  readonly exported: string | null;
  /** An order can't be carried out. */
  refuse(order: string, why: string): void;
  /** See `OrderEndsDeps`. */
  renamed(oid: number, to: TableName): void;
}

export interface RowBatch {
  readonly events: readonly ChangeEvent[];
}

/** Reads rows of tables beside the stream: which ones, by how many readers, and when they may enter the log. */
export class RowFeed {
  private tasks: RowTask[] = [];
  private readonly readers: RowReaders;
  private emptying: RowTask[] = [];
  private readonly openings: TaskOpenings;
  private readonly sifts: Sifts;
  private readonly ends: OrderEnds;
  private stopped = false;
  private readonly bell = new Bell();
  private failure: { readonly error: unknown } | null = null;
  /** The stream stands still, by wish of `wantsStillness`. */
  private still = false;
  readonly finished = new Finished<RowTask>();
  /** Rows are those of the stream's beginning: nothing of it has been read. */
  private before: boolean;
  private exported: string | null;
  /** The stream is about to be read, or rows under another snapshot: no chunk is begun until they are. */
  private turning = false;

  constructor(private readonly deps: RowFeedDeps) {
    this.exported = deps.exported;
    this.before = deps.exported !== null;
    this.sifts = new Sifts((oid) => deps.slotOf(oid));
    const drop = (task: RowTask, why: string | null): void => this.drop(task, why);
    this.ends = new OrderEnds({ ...deps, tasks: () => this.tasks, drop, exported: () => this.before });
    this.openings = new TaskOpenings({
      ...{ config: deps.config, clock: deps.clock, obeys: deps.obeys, rekeyed: deps.rekeyed },
      ...{ control: () => deps.control(), alone: () => this.alone },
      ...{ still: () => this.still, stopped: () => this.stopped },
      ...{ ring: () => this.ring(), wait: () => this.bell.wait() },
      tasks: () => this.tasks,
      isBeingRead: (task) => this.runs.some((run) => run.task === task),
      gone: (task) => this.ends.gone(task),
      empties: (task) => this.sayEmptied(task),
      unfit: (task, why) => this.ends.unfit(task, why),
      failed: (task, error) => this.unopened(task, error),
    });
    this.readers = new RowReaders(deps, {
      exported: () => (this.before ? this.exported : null),
      next: () => this.next(),
      idle: () => this.idle,
      wait: () => this.bell.wait(),
      failed: (task, error) => this.ends.failed(task, error),
      gone: (task) => this.ends.gone(task),
      renamed: (task, to) => this.ends.renamed(task, to),
      broke: (error) => this.fail(error),
    });
  }

  private get runs(): ChunkRun[] {
    return this.readers.runs;
  }

  /** Goes on where `state` says. @param orders those that are open. */
  restore(state: RowsState, orders: readonly SnapshotOrder[]): void {
    const where = new Map(orders.map((order) => [order.id, order.where]));
    for (const table of state.tables) {
      const condition = table.order === null ? null : (where.get(table.order) ?? null);
      const task = restoredTask(table, condition, (oid) => this.deps.slotOf(oid));
      task.takenBack = table.order !== null && !table.done && !where.has(table.order);
      if (task.takenBack && !task.owed) continue;
      this.tasks.push(task);
      if (task.over) this.finished.add(task);
      task.listen();
      if (!task.over && !task.keyless && task.state.empties && !task.state.emptied) this.sayEmptied(task);
    }
    for (const sift of state.sifts) this.sifts.add(sift);
    this.ring();
  }

  add(wish: RowWish): void {
    const task = newTask(wish, this.deps.slotOf(wish.oid));
    this.tasks.push(task);
    task.listen();
    // At once, also where its turn is far away: an interruption must not forget it.
    if (wish.empties && !wish.keyless) this.sayEmptied(task);
    this.ring();
  }

  /** Ends what belongs to an order that can't be carried out, or to a table that is not there any more. */
  cancel(which: (wish: RowWish) => boolean, why: string | null = null): void {
    this.ends.cancel(which, why);
    this.ring();
  }

  /** Ends orders that are not wanted any more. */
  takeBack(isWanted: (order: string) => boolean): void {
    this.ends.takeBack(isWanted);
    this.ring();
  }

  get all(): readonly RowTask[] {
    return this.tasks;
  }

  get idle(): boolean {
    return this.tasks.every((task) => task.over);
  }

  /** What has to be kept; `null`: nothing. */
  get state(): RowsState | null {
    const kept = ({ phase, state }: RowTask) =>
      phase !== 'cancelled' && (phase !== 'waiting' || state.emptied || state.owed === true || state.lanes.length > 0);
    const begun = this.tasks.filter(kept);
    const sifts = [...this.sifts.state];
    if (begun.length === 0 && sifts.length === 0) return null;
    const open = new Set(this.tasks.flatMap(({ wish, over }) => (over ? [] : (wish.order ?? []))));
    return { tables: begun.map((task) => task.state), sifts, open: [...open] };
  }

  /** Their end is noted. */
  forget(which: (wish: RowWish) => boolean): void {
    this.tasks = this.tasks.filter((task) => !(task.over && which(task.wish)));
  }

  /** A table without a key is to be read: its rows can't be told from changes, so the stream has to stand still. */
  get wantsStillness(): boolean {
    return this.stillFor !== undefined && !this.runs.some((run) => !run.task.whole);
  }

  private get stillFor(): RowTask | undefined {
    return this.tasks.find((task) => !task.over && task.wantsStill);
  }

  /** Nothing is decoded any more, and everything that was is handed over. */
  stands(still: boolean): void {
    this.still = still;
    this.ring();
  }

  start(): void {
    this.readers.start(this.deps.config.snapshot_readers);
  }

  /** No stream is read beside the rows. */
  private get alone(): boolean {
    return this.before || this.deps.alone;
  }

  /** Begins no chunk any more, but ends a table that is read as a whole. @returns whether `beside` may be called. */
  turn(): boolean {
    if (!this.turning && this.runs.some((run) => run.task.whole)) return false;
    this.turning = true;
    return this.runs.length === 0;
  }

  /** Of what is to be read the snapshot of the beginning has nothing any more: tables were rewritten since. */
  get restIsLater(): boolean {
    if (this.runs.length > 0 || this.emptying.length > 0 || this.idle) return false;
    const late = new Set(this.tasks.flatMap(({ over, later, wish }) => (later && !over ? [wish.oid] : [])));
    // Who waits for its turn at the same table waits for that, too.
    const isLate = ({ later, phase, wish }: RowTask): boolean => later || (phase === 'waiting' && late.has(wish.oid));
    return this.tasks.every((task) => task.over || isLate(task));
  }

  /** The snapshot of the beginning is about to go. */
  letGo(): void {
    this.turning = true;
  }

  get lettingGo(): boolean {
    return this.turning;
  }

  /** What is left is read under another snapshot, of later. */
  under(snapshot: string): void {
    this.exported = snapshot;
    this.turning = false;
    for (const task of this.tasks) task.later = false;
    this.ring();
  }

  /** From here on the stream is read too, and each chunk takes a snapshot of its own. */
  beside(): void {
    this.before = false;
    this.turning = false;
    for (const task of this.tasks) {
      task.later = false;
      task.beside();
    }
    this.emptying = this.emptying.filter(({ phase }) => phase === 'emptying');
    this.ring();
  }

  /** The stream has been handed over up to `lsn`. */
  passed(lsn: bigint): void {
    this.sifts.passed(lsn);
  }

  /** The place that the stream has to reach before the next rows may go; `null`: nothing waits for it. */
  get waitsFor(): bigint | null {
    const first = this.runs.find((run) => run.pieces.length > 0 && !run.void);
    return first?.snapshot?.lsn ?? null;
  }

  /** The next rows that may enter the log, now that the stream has come to `reached`. @throws what a reader met. */
  take(reached: bigint, at: { readonly lsn: bigint }): RowBatch | null {
    if (this.failure !== null) throw this.failure.error;
    const emptied = this.emptying.shift();
    if (emptied !== undefined) return this.empty(emptied, at.lsn);
    for (let run = this.runs[0], i = 0; run !== undefined; run = this.runs[++i]) {
      if (run.void || (run.pieces.length === 0 && run.finished !== null)) {
        const batch = this.over(run);
        if (batch !== null) return batch;
        i = -1;
        continue;
      }
      if (run.pieces.length === 0 || (!run.task.whole && run.snapshot!.lsn > reached)) continue;
      const piece = run.pieces.shift()!;
      this.readers.taken();
      const events = run.keep(piece);
      if (events === null) {
        i--;
        continue;
      }
      run.advance(piece);
      if (run.pieces.length === 0 && run.finished !== null) this.over(run);
      return { events };
    }
    return null;
  }

  async close(): Promise<void> {
    this.stopped = true;
    for (const task of this.tasks) task.watch.close();
    this.ring();
    await this.readers.close();
  }

  private empty(task: RowTask, lsn: bigint): RowBatch {
    task.forgotten();
    this.ring();
    const { database, clock } = this.deps;
    return { events: [emptiedEvent(task, { database, lsn: lsnText(lsn), atMs: clock.now() })] };
  }

  /** A run has ended, one way or another. @returns what has to be said although there are no rows. */
  private over(run: ChunkRun): RowBatch | null {
    const { task } = run;
    const alive = !run.void;
    run.pieces.length = 0;
    this.runs.splice(this.runs.indexOf(run), 1);
    // Its reader may stand still for pieces that nobody will take any more.
    this.readers.taken();
    if (alive) run.advance(null);
    if (alive && task.whole && run.snapshot !== null) this.siftBehind(run);
    run.close();
    // Its rows can't be told from those that come now.
    if (!alive && task.whole && !task.over) task.restart({ key: [], keyTypes: [], keySorts: [] });
    // A reader may still be at it: it sees that it is void, and the lane is taken up again after that.
    if (task.unready) this.openings.open(task);
    if (task.complete) this.leave(task, 'done');
    this.ring();
    return alive || task.phase === 'done' ? { events: [] } : null;
  }

  private siftBehind({ task, snapshot }: ChunkRun): void {
    if (this.alone || snapshot === null) return;
    this.sifts.add({ oid: task.wish.oid, held: snapshot.text, until: lsnText(snapshot.lsn) });
  }

  private drop(task: RowTask, why: string | null): void {
    for (const run of this.runs) if (run.task === task) run.drop();
    this.leave(task, 'cancelled', why);
    this.ring();
  }

  private leave(task: RowTask, as: 'done' | 'cancelled', why: string | null = null): void {
    task.end(as, why);
    this.emptying = this.emptying.filter((one) => one !== task);
    this.finished.add(task);
    this.deps.waker.stir();
  }

  private next(): { task: RowTask; share: NonNullable<ReturnType<RowTask['share']>> } | null {
    if (this.turning) return null;
    this.openings.look();
    const standing = this.stillFor !== undefined;
    for (const task of this.tasks) {
      if (!this.alone && (task.whole ? !this.still : standing)) continue;
      const share = task.share();
      if (share !== null) return { task, share };
    }
    return null;
  }

  private sayEmptied(task: RowTask): void {
    task.phase = 'emptying';
    this.emptying.push(task);
    this.deps.waker.stir();
  }

  private unopened(task: RowTask, error: unknown): void {
    try {
      this.ends.failed(task, error);
    } catch {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    if (this.stopped) return;
    this.failure ??= { error };
    this.deps.waker.stir();
  }

  private ring(): void {
    this.bell.ring();
    this.deps.waker.stir();
  }
}
