import type { TableProgress } from '@planasonix/core';
import type { KeyColumn } from './key-column.js';
import type { TableState } from './rows-state.js';

/** Rows of one table that are to be read. */
export interface RowWish {
  readonly schema: string;
  readonly table: string;
  /** `null`: the stream's own, once per table. */
  readonly order: string | null;
  readonly where: string | null;
  /** Names the snapshot in ids. */
  readonly id: string;
  /** Readers have to forget what they have of the table first. */
  readonly empties: boolean;
}

/** `starting`: its key is looked at, lanes are cut. */
export type TaskPhase = 'waiting' | 'starting' | 'reading' | 'done' | 'cancelled';

/** A piece of the work on a task: a lane's next chunk, or the whole table. */
export type Share = { readonly kind: 'lane'; readonly lane: number } | { readonly kind: 'whole' };

const NO_KEY =
  'It has no key that its rows could be read by in parts: they are read as a whole while the changes of all tables wait.';

const TAKEN_BACK =
  'Its order was taken back after readers had been told to forget the table: all of its rows are read, for else they would have a part of them.';

/** One table on its way into the log. */
export class RowTask {
  phase: TaskPhase = 'waiting';
  /** What its rows wait for; `null`: nothing. */
  waitsFor: string | null = null;
  estimated: number | null = null;
  /** Its order is not there any more, and it is read all the same. */
  takenBack = false;
  private readonly busy = new Set<number>();

  constructor(
    readonly wish: RowWish,
    readonly state: TableState,
    /** Nothing of the log is read beside it. */
    private readonly alone: boolean,
  ) {}

  /** It has no key: it is read as a whole, while the log stands. */
  get whole(): boolean {
    return this.state.key?.length === 0;
  }

  get over(): boolean {
    return this.phase === 'done' || this.phase === 'cancelled';
  }

  /** Something of it would be lost if it were not kept: of the attempts too, or ids of one would come again. */
  get begun(): boolean {
    const { attempt, lanes, emptied, done } = this.state;
    return this.phase !== 'waiting' || attempt > 1 || lanes.length > 0 || emptied || done;
  }

  get owesEmptied(): boolean {
    return this.state.empties && !this.state.emptied;
  }

  /** Without its rows readers would have a part of the table, whoever asked for them (Invariant 2). */
  get owed(): boolean {
    return this.state.owed === true && !this.over;
  }

  /** The next piece that nobody works at. */
  share(): Share | null {
    if (this.phase !== 'reading' || this.owesEmptied) return null;
    if (this.whole) return this.busy.size > 0 || this.state.done ? null : { kind: 'whole' };
    const lane = this.state.lanes.findIndex(({ done }, i) => done !== true && !this.busy.has(i));
    return lane < 0 ? null : { kind: 'lane', lane };
  }

  take(share: Share): void {
    this.busy.add(share.kind === 'lane' ? share.lane : 0);
  }

  give(share: Share): void {
    this.busy.delete(share.kind === 'lane' ? share.lane : 0);
  }

  /** Everything is in the log, or on its way there. */
  get complete(): boolean {
    if (this.phase !== 'reading' || this.busy.size > 0) return false;
    return this.whole ? this.state.done : this.state.lanes.every((lane) => lane.done);
  }

  /** Readers are told to forget what they have of it. */
  forgotten(): void {
    this.state.emptied = this.state.owed = true;
  }

  end(as: 'done' | 'cancelled'): void {
    this.phase = as;
    this.state.done = true;
  }

  /** From the beginning, by the key that the table has now. What was read before comes again, with other ids. */
  restart(key: readonly KeyColumn[]): void {
    this.state.attempt++;
    this.keyBecomes(key);
    if (this.phase === 'reading') this.phase = 'starting';
  }

  /** All rows of its table are others, and so may its key be: from the beginning, once that was looked at. */
  renew(): void {
    this.state.attempt++;
    this.state.key = null;
    this.state.lanes = [];
    if (this.phase === 'reading') this.phase = 'starting';
  }

  /** Rows without a key can't be told from those of before, nor from changes of before: readers forget these first. */
  keyBecomes(key: readonly KeyColumn[]): void {
    this.state.key = key.map(({ form }) => form);
    this.state.lanes = [];
    if (!this.whole) return;
    this.state.empties ||= this.wish.where === null && !(this.alone && this.state.attempt === 1);
    this.state.emptied = false;
  }

  keyIs(key: readonly KeyColumn[]): boolean {
    const { key: before } = this.state;
    return before?.length === key.length && key.every(({ form }, i) => form === before[i]);
  }

  /** `snap-<snapshot>-<attempt>-<table>-<chunk>-`; a chunk that is read again has another number. */
  idPrefix(share: Share): string {
    const chunk = share.kind === 'whole' ? 'w' : `${share.lane}.${this.state.lanes[share.lane]!.chunk++}`;
    return `${this.idHead}-${chunk}-`;
  }

  get idHead(): string {
    const { id, attempt, schema, table } = this.state;
    return `snap-${id}-${attempt}-${JSON.stringify([schema, table])}`;
  }

  get progress(): TableProgress {
    const why = this.takenBack ? TAKEN_BACK : this.whole ? NO_KEY : null;
    const note = this.over ? null : (this.waitsFor ?? why);
    return {
      table: `${this.wish.schema}.${this.wish.table}`,
      state: this.over ? (this.phase as 'done' | 'cancelled') : this.phase === 'waiting' ? 'waiting' : 'running',
      rows_done: this.state.rows,
      rows_estimated: this.estimated,
      ...{ order: this.wish.order, note },
    };
  }
}

export function newTask(wish: RowWish, alone: boolean): RowTask {
  const { schema, table, order, id, empties } = wish;
  const named = { schema, table, order, id, empties, emptied: false, done: false };
  return new RowTask(wish, { ...named, attempt: 1, key: null, lanes: [], rows: 0 }, alone);
}

/** One that an earlier reader began. What was read as a whole and broken off begins anew, and readers forget what they have of it. */
export function restoredTask(state: TableState, where: string | null, alone: boolean): RowTask {
  const { schema, table, order, id, done, empties } = state;
  const task = new RowTask({ schema, table, order, id, where, empties }, structuredClone(state), alone);
  if (done) task.phase = 'done';
  else {
    task.state.attempt++;
    // A position of an earlier version does not say it.
    task.state.owed ||= state.emptied;
    if (task.whole) task.keyBecomes([]);
  }
  return task;
}
