import type { TableProgress } from '@planasonix/core';
import type { GateSlot } from '../decode/index.js';
import type { SourceTable } from '../tables.js';
import type { TableState } from './rows-state.js';
import { TableWatch } from './table-watch.js';

/** Rows of one table that are to be read. */
export interface RowWish {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `null`: the stream's own, once per table. */
  readonly order: string | null;
  readonly where: string | null;
  /** Names the snapshot in ids. */
  readonly id: string;
  /** Readers have to forget what they have of the table first. */
  readonly empties: boolean;
  /** It has no key, as far as is known: it is read as a whole, while the stream stands still. */
  readonly keyless: boolean;
}

/** `emptying`: about to say `op:"t"`. `starting`: waits for writers, cuts lanes. */
export type TaskPhase = 'waiting' | 'emptying' | 'starting' | 'reading' | 'done' | 'cancelled';

/** A piece of the work on a task: a lane's next chunk, some keys by themselves, or the whole table. */
export type Share =
  | { readonly kind: 'lane'; readonly lane: number }
  | { readonly kind: 'again'; readonly keys: readonly (readonly string[])[] }
  | { readonly kind: 'whole' };

/** Keys that are read by themselves in one go. */
const KEYS_AT_ONCE = 200;
/** So many of them, and the table is read anew instead. Invariant 6. */
const MOST_AGAIN = 5_000;

/** One table on its way into the log. */
export class RowTask {
  phase: TaskPhase = 'waiting';
  note: string | null = null;
  estimated: number | null = null;
  /** See `RowWish`; also where it turns out later. */
  empties: boolean;
  readonly watch: TableWatch;
  private readonly busy = new Set<string>();
  private nextAgain = 0;

  constructor(
    readonly wish: RowWish,
    readonly state: TableState,
    readonly slot: GateSlot,
  ) {
    this.empties = wish.empties;
    // Who orders rows wants them, whatever the stream has said.
    this.watch = new TableWatch((key) => this.readAgain(key), wish.order === null);
  }

  get whole(): boolean {
    return this.state.key.length === 0;
  }

  get over(): boolean {
    return this.phase === 'done' || this.phase === 'cancelled';
  }

  /** Its rows are about to be read. */
  watchNow(): void {
    this.slot.gate = this.watch;
    this.watch.reading = true;
  }

  /** The next piece that nobody works at. */
  share(): Share | null {
    if (this.phase !== 'reading' || this.watch.blurred) return null;
    if (this.whole) return this.busy.has('whole') || this.state.done ? null : { kind: 'whole' };
    const { lanes, again } = this.state;
    for (let lane = 0; lane < lanes.length; lane++)
      if (lanes[lane]!.done !== true && !this.busy.has(`lane ${lane}`)) return { kind: 'lane', lane };
    if (again.length === 0 || this.busy.size > 0) return null;
    return { kind: 'again', keys: again.slice(0, KEYS_AT_ONCE) };
  }

  take(share: Share): void {
    this.busy.add(name(share));
  }

  give(share: Share): void {
    this.busy.delete(name(share));
  }

  /** Everything is in the log, or on its way there. */
  get complete(): boolean {
    if (this.phase !== 'reading' || this.busy.size > 0) return false;
    return this.whole ? this.state.done : this.state.lanes.every((lane) => lane.done) && this.state.again.length === 0;
  }

  readAgain(key: readonly string[]): void {
    if (this.over || this.state.again.some((one) => same(one, key))) return;
    this.state.again.push([...key]);
    if (this.state.again.length > MOST_AGAIN) this.restart(this.state.key);
  }

  /** They have been read. */
  gone(keys: readonly (readonly string[])[]): void {
    this.state.again = this.state.again.filter((one) => !keys.some((key) => same(one, key)));
  }

  /** From the beginning, by the key that the table has now. What was read before comes again, with other ids. */
  restart(key: readonly string[]): void {
    this.state.attempt++;
    this.state.key = [...key];
    this.state.lanes = [];
    this.state.again = [];
    if (this.phase === 'reading') this.phase = 'starting';
  }

  keyIs(table: SourceTable): boolean {
    return same(this.state.key, table.key);
  }

  /** `snap-<snapshot>-<attempt>-<table>-<chunk>-`; a chunk that is read again has another number. */
  idPrefix(share: Share): string {
    const { id, attempt, table, lanes } = this.state;
    const chunk =
      share.kind === 'whole'
        ? 'w'
        : share.kind === 'lane'
          ? `${share.lane}.${lanes[share.lane]!.chunk++}`
          : `a${this.nextAgain++}`;
    return `snap-${id}-${attempt}-${table}-${chunk}-`;
  }

  get progress(): TableProgress {
    return {
      table: `${this.wish.schema}.${this.wish.name}`,
      state: this.over ? (this.phase as 'done' | 'cancelled') : this.phase === 'waiting' ? 'waiting' : 'running',
      rows_done: this.state.rows,
      rows_estimated: this.estimated,
      order: this.wish.order,
      note: this.note,
    };
  }
}

export function newTask(wish: RowWish, slot: GateSlot): RowTask {
  const state: TableState = {
    ...{ oid: wish.oid, table: JSON.stringify([wish.schema, wish.name]), order: wish.order, id: wish.id },
    ...{ attempt: 1, key: [], lanes: [], again: [], rows: 0, emptied: false, done: false },
  };
  return new RowTask(wish, state, slot);
}

/** One that an earlier reader began. What was read as a whole and broken off begins anew, and readers forget what they have of it. */
export function restoredTask(table: TableState, where: string | null, slotOf: (oid: number) => GateSlot): RowTask {
  const [schema = '', name = ''] = JSON.parse(table.table) as string[];
  const keyless = table.key.length === 0;
  const wish = { oid: table.oid, schema, name, order: table.order, id: table.id, where, keyless };
  const state = { ...table, attempt: table.attempt + (table.done ? 0 : 1), emptied: table.emptied && !keyless };
  return new RowTask({ ...wish, empties: table.emptied || keyless }, state, slotOf(table.oid));
}

const name = (share: Share): string => (share.kind === 'lane' ? `lane ${share.lane}` : share.kind);
const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, i) => text === b[i]);
