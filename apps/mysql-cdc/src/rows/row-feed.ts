import { Bell, type ChangeEvent, type Log, type SnapshotOrder } from '@planasonix/core';
import { Finished } from '@planasonix/rows';
import { isBefore } from '../position.js';
import type { LogPlace } from '../server.js';
import type { Session } from '../session.js';
import { isKnown } from '../stream-error.js';
import { sameTable, type TableName } from '../tables.js';
import type { ChunkRun } from './chunk-run.js';
import { RowReaders, type RowReadersDeps } from './row-readers.js';
import { newTask, restoredTask, type RowTask, type RowWish, type Share } from './row-task.js';
import { lastBegin, RowWatch, type Begin } from './row-watch.js';
import { emptiedEvent } from './row-writer.js';
import type { RowsState } from './rows-state.js';
import { lookAtTable } from './table-look.js';
import { BUSY, LATER_MS } from './table-now.js';

export interface RowFeedDeps extends Omit<RowReadersDeps, 'delivered' | 'watch'> {
  readonly log: Log;
  readonly ask: <T>(question: (session: Session) => Promise<T>) => Promise<T>;
  /** Where the transaction begins that was handed over last, when reading begins. */
  readonly from: Begin;
  /** An order can't be carried out. */
  refuse(order: string, why: string): void;
}

/** Reads rows of tables beside the log: which ones, by how many readers, and when they may be handed over. */
export class RowFeed {
  readonly finished = new Finished<RowTask>();
  private tasks: RowTask[] = [];
  private readonly readers: RowReaders;
  private readonly watch: RowWatch;
  private readonly same: ReturnType<typeof sameTable>;
  private readonly opening = new Set<RowTask>();
  private readonly bell = new Bell();
  private delivered: Begin;
  private failure: { readonly error: unknown } | null = null;
  private stopped = false;
  /** The log stands still, by wish of `wantsStillness`. */
  private still = false;
  /** A part of a transaction was handed over, and its end was not. */
  private inside = false;
  /** What the next position says is new, and no row comes with it: on a quiet server nothing else would bring it. */
  private moved = false;

  constructor(private readonly deps: RowFeedDeps) {
    this.delivered = deps.from;
    this.watch = new RowWatch(deps.server.foldsCase);
    this.same = sameTable(deps.server.foldsCase);
    this.readers = new RowReaders(
      { ...deps, delivered: () => this.delivered, watch: (run) => this.watch.begin(run.task.wish) },
      {
        next: () => this.next(),
        idle: () => this.idle,
        wait: () => this.bell.wait(),
        failed: (task, error) => this.giveUp(task.wish, error),
        gone: (task) => this.gone(task),
        broke: (error) => this.fail(error),
      },
    );
  }

  private get runs(): ChunkRun[] {
    return this.readers.runs;
  }

  get all(): readonly RowTask[] {
    return this.tasks;
  }

  get idle(): boolean {
    return this.tasks.every((task) => task.over);
  }

  /** What has to be kept; `null`: nothing. */
  get state(): RowsState | null {
    const tables = this.tasks.filter((task) => task.phase !== 'cancelled' && task.begun).map((task) => task.state);
    const sifts = [...this.watch.state];
    if (tables.length === 0 && sifts.length === 0) return null;
    const open = new Set(this.tasks.flatMap(({ wish, over }) => (over ? [] : (wish.order ?? []))));
    return { tables, sifts, open: [...open] };
  }

  /** Goes on where `state` says. @param which of its tables. @param orders those whose rows are to be read. */
  restore(
    state: RowsState,
    which: (table: RowsState['tables'][number]) => boolean,
    orders: readonly SnapshotOrder[],
  ): void {
    const where = new Map(orders.map((order) => [order.id, order.where]));
    for (const table of state.tables.filter(which)) {
      const { order, done } = table;
      const task = restoredTask(table, order === null ? null : (where.get(order) ?? null), this.alone);
      task.takenBack = order !== null && !done && !where.has(order);
      if (task.takenBack && !task.owed) continue;
      this.tasks.push(task);
      if (done) this.finished.add(task);
    }
    for (const sift of state.sifts) this.watch.sift(sift);
    // It tells the end of no order; the next one does.
    this.moved ||= state.open === undefined;
  }

  add(wish: RowWish): void {
    this.tasks.push(newTask(wish, this.alone));
    this.ring();
  }

  start(): void {
    this.readers.start();
  }

  /** Ends what belongs to an order that can't be carried out, or to a table that is not there any more. */
  cancel(which: (wish: RowWish) => boolean): void {
    for (const task of this.tasks) if (!task.over && which(task.wish)) this.drop(task);
    this.ring();
  }

  /** Ends orders that nobody wants any more; what readers have forgotten for them they get all the same. */
  takeBack(isWanted: (order: string) => boolean): void {
    for (const task of this.tasks) {
      const { order } = task.wish;
      if (task.over || order === null || isWanted(order)) continue;
      if (task.owed) task.takenBack = true;
      else this.drop(task);
    }
    this.ring();
  }

  /**
   * All rows of a table are others from `place` on, and changes of before are about to be handed over: what is under way begins anew.
   * @returns the stream's own reading of it, if there is one; `held`: its rows are in the log, and of later
   */
  renew(table: TableName, place: LogPlace): RowTask | 'held' | null {
    if (this.watch.holds(table, place)) return 'held';
    const tasks = this.tasks.filter(({ over, wish }) => !over && this.same(wish, table));
    for (const task of tasks) task.renew();
    this.ring();
    return tasks.find(({ wish }) => wish.order === null) ?? null;
  }

  /** Their end is noted. */
  forget(which: (wish: RowWish) => boolean): void {
    this.tasks = this.tasks.filter((task) => !(task.over && which(task.wish)));
  }

  /** A table without a key is to be read: its rows can't be told from changes, so the log has to stand still. */
  get wantsStillness(): boolean {
    return this.standsFor && this.runs.every((run) => run.task.whole);
  }

  /** Everything that was read of the log is handed over, and nothing is read until this is called again. */
  stands(still: boolean): void {
    if (this.still === still) return;
    this.still = still;
    this.ring();
  }

  /** Changes are about to be handed over. @param inside their transaction goes on. @returns those of them that are to be */
  handed(events: ChangeEvent[], inside: boolean): ChangeEvent[] {
    this.delivered = lastBegin(events) ?? this.delivered;
    if (this.inside && !inside) this.ring();
    this.inside = inside;
    return this.watch.handed(events);
  }

  /** Everything up to there was handed over. */
  passed(place: LogPlace): void {
    this.watch.passed(place);
  }

  /**
   * The next rows that may be handed over, now that everything up to `reached` was.
   * @returns `null`: none; an empty list: none, but the state has moved. @throws what a reader met
   */
  take(reached: LogPlace): ChangeEvent[] | null {
    if (this.failure !== null) throw this.failure.error;
    if (this.moved) {
      this.moved = false;
      return [];
    }
    const emptied = this.tasks.find((task) => this.mayEmpty(task));
    if (emptied !== undefined) return [this.empty(emptied, reached)];
    for (let run = this.runs[0], i = 0; run !== undefined; run = this.runs[++i]) {
      if (run.void || (run.pieces.length === 0 && run.finished !== null)) {
        if (this.over(run)) return [];
        i = -1;
        continue;
      }
      if (run.pieces.length === 0 || (!run.task.whole && !this.alone && isBefore(reached, run.place!))) continue;
      const piece = run.pieces.shift()!;
      this.readers.taken();
      const events = run.keep(piece);
      run.advance(piece, events.length);
      if (run.pieces.length === 0 && run.finished !== null) this.over(run);
      return events;
    }
    return null;
  }

  close(): void {
    this.stopped = true;
    this.ring();
    this.readers.close();
  }

  /** Nothing of the log is read beside the rows. */
  private get alone(): boolean {
    return this.deps.alone !== null;
  }

  private get standsFor(): boolean {
    return !this.alone && this.tasks.some((task) => task.phase === 'reading' && task.whole);
  }

  /** Of a table without a key at the last moment: what is told of it after that would be told twice. */
  private mayEmpty(task: RowTask): boolean {
    return task.phase === 'reading' && task.owesEmptied && (!task.whole || this.alone || this.still);
  }

  private empty(task: RowTask, reached: LogPlace): ChangeEvent {
    task.forgotten();
    this.ring();
    const { server, clock, alone } = this.deps;
    const of = { server, place: alone ?? reached, takenAtMs: clock.now(), id: `${task.idHead}-emptied` };
    return emptiedEvent(task.wish, of);
  }

  /** A run has ended, one way or another. @returns whether the state has moved with that */
  private over(run: ChunkRun): boolean {
    const { task, place } = run;
    const alive = !run.void;
    run.pieces.length = 0;
    this.runs.splice(this.runs.indexOf(run), 1);
    // Its reader may stand still for pieces that nobody will take any more.
    this.readers.taken();
    if (alive) run.advance(null, 0);
    const { schema, table, where } = task.wish;
    // Of a table that lost its key amid an order with a condition not all rows are there: its changes come, some of them twice.
    const holdsAll = task.whole && where === null;
    if (alive && holdsAll && !this.alone && place !== null) this.watch.sift({ schema, table, ...place });
    run.close();
    // Its rows can't be told from those that come now.
    if (!alive && task.whole && !task.over) task.restart([]);
    if (task.complete) this.leave(task, 'done');
    this.ring();
    return alive;
  }

  private drop(task: RowTask): void {
    for (const run of this.runs) if (run.task === task) run.drop();
    this.leave(task, 'cancelled');
    this.moved = true;
  }

  private leave(task: RowTask, as: 'done' | 'cancelled'): void {
    task.end(as);
    this.finished.add(task);
    this.deps.waker.stir();
  }

  /** Its table is not there any more; an order of which nothing else is left ends with that. */
  private gone({ wish, over }: RowTask): void {
    const { order, schema, table } = wish;
    this.cancel((one) => one === wish);
    if (over || order === null || this.tasks.some((one) => one.wish.order === order && one.phase !== 'cancelled'))
      return;
    this.deps.refuse(order, `${schema}.${table} was dropped before all of its rows were read.`);
  }

  /** A condition that fails on a row ends its order alone; the server's words could hold that row's values. */
  private giveUp({ order, where, schema, table }: RowWish, error: unknown): void {
    const { sqlState = '', errno = 0 } = error as { sqlState?: string; errno?: number };
    const judged = /^(?:22|42)/.test(sqlState) || (errno >= 3685 && errno < 3700);
    // A right that is missing, or a limit that is reached, is told by the same classes.
    if (order === null || where === null || !judged || isKnown(error)) throw error;
    this.deps.refuse(order, `Its condition fails on rows of ${schema}.${table} (error ${errno}).`);
  }

  private next(): { task: RowTask; share: Share } | null {
    if (this.inside) return null;
    this.beginNext();
    const standing = this.standsFor;
    for (const task of this.tasks) {
      if (!this.alone && (task.whole ? !this.still : standing)) continue;
      const share = task.share();
      if (share !== null) return { task, share };
    }
    return null;
  }

  /** As many tables at once as there are readers, and each table once at a time. */
  private beginNext(): void {
    for (const task of this.tasks) if (task.phase === 'starting') void this.begin(task);
    const active = this.tasks.filter((task) => !task.over && task.phase !== 'waiting');
    if (active.length >= this.deps.config.snapshot_readers) return;
    const isActive = ({ wish }: RowTask): boolean => active.some((one) => this.same(one.wish, wish));
    const next = this.tasks.find((task) => task.phase === 'waiting' && !isActive(task));
    if (next === undefined) return;
    next.phase = 'starting';
    void this.begin(next);
    this.beginNext();
  }

  /** Looks at its key, and cuts it into lanes. */
  private async begin(task: RowTask): Promise<void> {
    if (this.opening.has(task)) return;
    this.opening.add(task);
    try {
      const { attempt } = task.state;
      const found = await this.deps.ask((session) => lookAtTable(session, task, this.deps));
      if (task.over || this.stopped || task.state.attempt !== attempt) return;
      if (found === 'gone') return this.gone(task);
      task.waitsFor = found === 'busy' ? BUSY : null;
      if (found === 'busy') {
        await this.deps.clock.sleep(LATER_MS);
        return;
      }
      const { table, key, lanes } = found;
      if (!task.keyIs(key)) task.keyBecomes(key);
      task.estimated ??= table.estimatedRows;
      if (!task.whole) task.state.lanes = lanes;
      task.phase = 'reading';
      if (!task.complete) return;
      this.leave(task, 'done');
      this.moved = true;
    } catch (error) {
      this.fail(error);
    } finally {
      this.opening.delete(task);
      this.ring();
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
