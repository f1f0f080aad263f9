import type { TableProgress } from '@planasonix/core';
import type { GateSlot, WrittenChange } from '../decode/index.js';
import type { SourceTable } from '../tables.js';
import { same } from '../taken-tables.js';
import type { LaneState, TableState } from './rows-state.js';
import { TableWatch } from './table-watch.js';
import { SEES_NOTHING, type Visibility } from './visibility.js';

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

type TableKey = Pick<SourceTable, 'key' | 'keyTypes' | 'keySorts'>;

/** `emptying`: about to say `op:"t"`. `starting`: waits for writers, cuts lanes. */
export type TaskPhase = 'waiting' | 'emptying' | 'starting' | 'reading' | 'done' | 'cancelled';

/** A piece of the work on a task: a lane's next chunk, some keys by themselves, or the whole table. */
export type Share =
  | { readonly kind: 'lane'; readonly lane: number }
  | { readonly kind: 'again'; readonly keys: readonly (readonly string[])[] }
  | { readonly kind: 'whole' };

/** Keys that are read by themselves in one go. */
const KEYS_AT_ONCE = 200;
/** Keys that are kept for that, in each position. Invariant 6. */
export const MOST_AGAIN = 5_000;
const TAKEN_BACK =
  'Its order was taken back after readers had been told to forget the table: all of its rows are read, for else they would have a part of them.';
const SWEEPING = `More than ${MOST_AGAIN.toLocaleString('en')} keys were changed behind its readers, or the key itself: its rows are gone through once more.`;

/** One table on its way into the log. */
export class RowTask {
  phase: TaskPhase = 'waiting';
  note: string | null = null;
  /** Why its order failed. */
  private why: string | null = null;
  /** Its order is not there any more, and it is read all the same. */
  takenBack = false;
  /** Why it had to be read from its beginning again, for people. */
  begunOver: string | null = null;
  estimated: number | null = null;
  /** See `RowWish`; a table may get or lose its key. */
  keyless: boolean;
  /** The stream has to stand still for it. */
  wantsStill = false;
  /** The publication does not let its rows out. */
  withheld = false;
  /** Why readers go on with other tables meanwhile; see `KeptTables`. */
  kept: 'writers' | 'locked' | null = null;
  /** It can't be read under the snapshot of the beginning: it was rewritten since, or has another key. */
  later = false;
  readonly watch: TableWatch;
  /** An earlier reader left it: the stream may have told of it before it was opened. */
  private left = false;
  private readonly busy = new Set<string>();
  private nextAgain = 0;
  /** The first snapshot that it was read under by this key; `null`: none yet. */
  private first: Visibility | null = null;
  /** Those of `state.again`. */
  private readonly asked: Set<string>;

  constructor(
    readonly wish: RowWish,
    readonly state: TableState,
    readonly slot: GateSlot,
  ) {
    this.keyless = wish.keyless;
    // Who orders rows wants them, whatever the stream has said.
    this.watch = new TableWatch(
      (key, change) => this.moved(key, change),
      wish.order === null ? `${wish.schema}.${wish.name}` : null,
    );
    this.asked = new Set(state.again.map(textOf));
  }

  get whole(): boolean {
    return this.keyless;
  }

  get over(): boolean {
    return this.phase === 'done' || this.phase === 'cancelled';
  }

  /** Without its rows readers would have a part of the table, whoever asked for them (Invariant 2). */
  get owed(): boolean {
    return this.state.owed === true && !this.over;
  }

  /** It has to be opened before a chunk of it is begun: it begins over, or its watch has forgotten something. */
  get unready(): boolean {
    return this.kept !== 'locked' && (this.phase === 'starting' || (this.phase === 'reading' && this.watch.blurred));
  }

  /** From now on it is known what the stream says of the table by itself; of an order, what moves behind its readers. */
  listen(): void {
    const listens = this.wish.order === null || this.watch.reading;
    if (!this.over && listens && !this.wish.keyless) this.slot.gate ??= this.watch;
  }

  /** Its rows are about to be read. */
  watchNow(): void {
    // What the stream said while another watch heard it is not known here.
    if (this.slot.gate !== this.watch) this.watch.forget();
    this.slot.gate = this.watch;
    this.watch.reading = true;
  }

  /** The next piece that nobody works at. */
  share(): Share | null {
    if (this.phase !== 'reading' || this.watch.blurred || this.later || this.kept !== null) return null;
    if (this.whole) return this.busy.has('whole') || this.state.done ? null : { kind: 'whole' };
    const { lanes, again } = this.state;
    const alone = { kind: 'again', keys: again.slice(0, KEYS_AT_ONCE) } as const;
    if (again.length >= KEYS_AT_ONCE && !this.busy.has('again')) return alone;
    // They become fewer first: a chunk may bring more of them.
    if (again.length > MOST_AGAIN / 2) return null;
    const lane = lanes.findIndex((one, i) => !one.done && !this.busy.has(`lane ${i}`) && this.isDue(one));
    if (lane >= 0) return { kind: 'lane', lane };
    return again.length === 0 || this.busy.size > 0 ? null : alone;
  }

  /** One sweep at a time: what comes up during one is for the next, so there are never more than two. */
  private isDue(lane: LaneState): boolean {
    const begun = (one: LaneState) => one.sweep === true && !one.done && one.after !== null;
    return lane.sweep !== true || lane.after !== null || !this.state.lanes.some(begun);
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

  /** Nothing of it is read any more, and nobody stands at the table for it. */
  end(as: 'done' | 'cancelled', why: string | null = null): void {
    this.why = why;
    this.phase = as;
    this.state.done = true;
    this.wantsStill = false;
    this.kept = this.note = this.begunOver = null;
    if (this.slot.gate === this.watch) this.slot.gate = null;
    this.watch.close();
  }

  /** An earlier reader has left it. @param again by whatever key the table had then */
  goesOn(again: TableState['again']): void {
    this.left = true;
    if (this.state.lanes.length === 0) return;
    this.first = SEES_NOTHING;
    if (again.some((texts) => texts.length !== this.state.key?.length)) this.sweep();
  }

  /** A chunk is about to be read by the key that the table has under this snapshot. */
  readUnder(seen: Visibility): void {
    this.first ??= seen;
  }

  /** The stream tells of a row that has got another key without all of its values. @param texts of the columns `by` */
  private moved(texts: readonly string[], { by, xid, commitLsn }: WrittenChange): void {
    const { key, types } = this.state;
    const at = (key ?? []).map((name, i) =>
      by.findIndex((column) => column.name === name && (types === undefined || column.typeOid === types[i])),
    );
    if (at.length === by.length && !at.includes(-1)) this.readAgain(at.map((i) => texts[i]!));
    // Nothing can be asked for by columns of another key. What the first snapshot saw, all rows that were read by this key
    // hold. Since then the table has another one, which the next chunk finds; or it had one for a while, and a sweep tells all.
    else if (this.first?.sees(xid, commitLsn) === false) this.sweep();
  }

  /** The stream is read too, from here on. */
  beside(): void {
    if (!this.keyless && this.phase === 'reading') this.watchNow();
    if (!this.keyless || this.over) return;
    // Without a key what the stream will say of it can't be told from its rows; and nobody has asked for stillness yet.
    this.emptiesAgain();
    if (this.phase !== 'waiting') this.phase = 'starting';
  }

  /** Readers are to forget what they have of it, also where they were told so before: by another id then (Invariant 4). */
  private emptiesAgain(): void {
    if (this.state.emptied) this.state.attempt++;
    Object.assign(this.state, { empties: true, emptied: false });
  }

  /** Readers are told to forget what they have of it, with what the stream has told before. */
  forgotten(): void {
    this.state.emptied = true;
    this.state.owed = true;
    this.state.rows = 0;
    this.watch.forget();
    this.phase = this.whole ? 'reading' : 'waiting';
  }

  readAgain(key: readonly string[]): void {
    const text = textOf(key);
    if (this.over || this.asked.has(text)) return;
    this.asked.add(text);
    this.state.again.push([...key]);
    if (this.state.again.length > MOST_AGAIN) this.sweep();
  }

  /** Whether so many more keys can be read by themselves. */
  hasRoomFor(keys: number): boolean {
    return this.state.again.length + keys <= MOST_AGAIN;
  }

  /** They have been read. */
  gone(keys: readonly (readonly string[])[]): void {
    for (const key of keys) this.asked.delete(textOf(key));
    this.state.again = this.state.again.filter((one) => this.asked.has(textOf(one)));
  }

  /**
   * Too many keys to be read by themselves: all ranges are gone through once more, beside the lanes, which lose nothing.
   * Its snapshots, and those of the lanes from here on, see everything that was delivered.
   */
  private sweep(): void {
    this.forgetAgain();
    this.watch.blur();
    const { lanes } = this.state;
    const sweeps = lanes.filter((lane) => lane.sweep === true);
    // Without lanes nothing has been read; and what has not begun comes behind everything that was delivered.
    if (lanes.length === 0 || sweeps.some((lane) => !lane.done && lane.after === null)) return;
    const over = sweeps.find((lane) => lane.done);
    if (over === undefined) lanes.push({ after: null, upto: null, chunk: 0, sweep: true });
    else Object.assign(over, { after: null, done: false });
  }

  private forgetAgain(): void {
    this.state.again = [];
    this.asked.clear();
  }

  /** From the beginning, by the key that the table has now. */
  restart(table: TableKey): void {
    this.keyBecomes(table);
    if (this.phase === 'reading') this.phase = 'starting';
  }

  /**
   * What was read by another one before comes again, with other ids. Rows without a key can't be told from those that were
   * read before, and those that came by other columns are others to readers: they forget these first.
   */
  keyBecomes({ key, keyTypes, keySorts }: TableKey): void {
    const before = this.state.key;
    if (this.state.key !== null) this.state.attempt++;
    this.state.key = [...key];
    this.state.types = [...keyTypes];
    this.state.sorts = [...keySorts];
    this.state.lanes = [];
    this.forgetAgain();
    this.first = null;
    this.keyless = key.length === 0;
    // Since it was emptied, or left, the stream may have told of rows that come again now.
    const { rows, emptied } = this.state;
    if ((this.keyless || before?.length === 0) && (rows > 0 || emptied || this.left)) this.emptiesAgain();
  }

  /** By columns of another type, or sorted otherwise, its keys would be others or in another order: some would never be read. */
  keyIs({ key, keyTypes, keySorts }: TableKey): boolean {
    const { key: known, types = keyTypes, sorts = keySorts } = this.state;
    return known !== null && same(known, key) && same(types, keyTypes) && same(sorts, keySorts);
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

  private get sweeping(): boolean {
    return this.state.lanes.some((lane) => lane.sweep && !lane.done);
  }

  get progress(): TableProgress {
    return {
      table: `${this.wish.schema}.${this.wish.name}`,
      state: this.over ? (this.phase as 'done' | 'cancelled') : this.phase === 'waiting' ? 'waiting' : 'running',
      ...{ rows_done: this.state.rows, rows_estimated: this.estimated, order: this.wish.order },
      note: this.why ?? this.note ?? (this.takenBack ? TAKEN_BACK : this.sweeping ? SWEEPING : this.begunOver),
    };
  }
}

export function newTask(wish: RowWish, slot: GateSlot): RowTask {
  const state: TableState = {
    ...{ oid: wish.oid, table: JSON.stringify([wish.schema, wish.name]), order: wish.order, id: wish.id },
    ...{ attempt: 1, key: null, lanes: [], again: [], rows: 0, empties: wish.empties, emptied: false, done: false },
  };
  return new RowTask(wish, state, slot);
}

/** One that an earlier reader began. What was read as a whole and broken off begins anew, and readers forget what they have of it. */
export function restoredTask(table: TableState, where: string | null, slotOf: (oid: number) => GateSlot): RowTask {
  const [schema = '', name = ''] = JSON.parse(table.table) as string[];
  const keyless = table.key?.length === 0;
  // Rows that came before readers were told to forget them are to come again.
  const owes = table.empties && !table.emptied;
  const wish = { oid: table.oid, schema, name, order: table.order, id: table.id, where, keyless };
  const { lanes, again } = table;
  // All of it was read, by one who did not live to say so: a chunk that was void was still on its way.
  const read = !owes && lanes.length > 0 && again.length === 0 && lanes.every((lane) => lane.done);
  const done = table.done || read;
  const state = {
    ...table,
    ...(owes ? { lanes: [], again: [] } : {}),
    done,
    attempt: table.attempt + (done ? 0 : 1),
    empties: table.empties || keyless,
    emptied: table.emptied && !keyless,
    // A position of an earlier version does not say it.
    ...(table.emptied ? { owed: true } : {}),
  };
  const task = new RowTask({ ...wish, empties: state.empties }, state, slotOf(table.oid));
  task.goesOn(state.again);
  // What moves behind the readers from now on is seen, also before their turn.
  task.watch.reading = state.lanes.length > 0;
  if (done) task.phase = 'done';
  return task;
}

const name = (share: Share): string => (share.kind === 'lane' ? `lane ${share.lane}` : share.kind);
const textOf = (key: readonly string[]): string => key.join('\0');
