import { type ChangeBatch, type SnapshotProgress, type SourceContext } from '@planasonix/core';
import { OrderBook, endedOrders } from '@planasonix/rows';
import type { PostgresConfig } from './config.js';
import { LateTables, type LateTablesDeps } from './late-tables.js';
import type { ExcludedColumns } from './excluded-columns.js';
import type { Beginning } from './opening.js';
import { MissingChanges } from './missing-changes.js';
import { OrderIntake } from './order-intake.js';
import type { Partitions } from './partitions.js';
import type { PgPosition } from './position.js';
import { obeyedName } from './publication-filter.js';
import { progressOf } from './rows/progress.js';
import { RowFeed, type RowFeedDeps } from './rows/row-feed.js';
import { NOTEBOOK, readNotebook, writeNotebook, type RowsState, type StrayState } from './rows/rows-state.js';
import { walEnd } from './slot.js';
import { TakenTables, gap, nameOf } from './taken-tables.js';
import type { SourceTable } from './tables.js';

/** How often it is looked whether there are new tables: one cheap query. */
const LOOK_EVERY_MS = 5_000;
const LEFT_OUT = 'was dropped, or left out of the tables of the stream, before all of its rows were read.';

export interface RowWorkDeps
  extends Omit<RowFeedDeps, 'alone' | 'exported' | 'refuse' | 'renamed' | 'rekeyed' | 'obeys'>, LateTablesDeps {
  readonly config: PostgresConfig;
  readonly context: SourceContext;
  readonly excluded: ExcludedColumns;
  /** New tables: their keys and types, before their changes come. */
  learn(tables: readonly SourceTable[]): Promise<void>;
}

/** Which rows are to be read: those of the beginning, of tables that come later, and what somebody ordered. */
export class RowWork {
  readonly feed: RowFeed;
  private readonly late: LateTables;
  private readonly taken: TakenTables;
  private readonly missing: MissingChanges;
  private readonly partitions: Map<number, Partitions>;
  /** Neither rows nor a word that a table is emptied may go before the stream has passed this place; 0: it has. */
  until = 0n;
  private noteDue = false;
  private rereads: boolean;
  private readonly book: OrderBook;
  private readonly intake: OrderIntake;
  private lookAt = 0;
  private asking = 0;
  private looking: Promise<void> | null = null;
  private failure: { readonly error: unknown } | null = null;
  private rowsBefore = 0;
  /** All that is to be read is known: what is not among the tasks is done. */
  private ready = false;
  /** There was something to be read. */
  private any = false;

  constructor(
    private readonly deps: RowWorkDeps,
    private readonly beginning: Beginning,
    notes: string | undefined,
  ) {
    const obeys = obeyedName(deps.config, deps.publication);
    this.feed = new RowFeed({
      ...deps,
      obeys,
      alone: deps.config.snapshot === 'only',
      exported: beginning.exported?.snapshot ?? null,
      refuse: (order, why) => void this.refuse(order, why),
      renamed: (oid, to) => this.missing.renamed(oid, to),
      rekeyed: (oid, key) => this.missing.rekeyed(oid, key),
    });
    const notebook = beginning.resumes ? readNotebook(notes) : null;
    this.partitions = notebook?.partitions ?? new Map<number, Partitions>();
    this.late = new LateTables(deps, this.partitions);
    this.book = new OrderBook(deps.context, notebook?.orders ?? null);
    this.intake = new OrderIntake({
      ...{ config: deps.config, clock: deps.clock, feed: this.feed, book: this.book, obeys },
      control: () => deps.control(),
      refuse: (order, why) => this.refuse(order, why),
      took: () => void (this.any = true),
    });
    this.rereads = deps.config.snapshot === 'never' && (notebook === null ? beginning.rows : notebook.rereads);
    this.taken = new TakenTables(notebook, () => (this.noteDue = true));
    this.missing = new MissingChanges({
      ...{ config: deps.config, log: deps.log, context: deps.context, feed: this.feed, taken: this.taken },
      rowless: () => this.rowless,
      look: () => this.met(),
    });
    if (notebook !== null || !beginning.resumes) return;
    this.noteAll();
    for (const [root, parts] of beginning.partitions) this.partitions.set(root, parts);
  }

  async begin(): Promise<void> {
    const { beginning, feed, deps } = this;
    const state: RowsState | undefined = beginning.position.rows;
    for (const { oid, xid } of state?.emptyings ?? []) deps.emptyings.say(oid, xid);
    this.noteDue = await this.book.begin(state);
    if (state !== undefined) feed.restore(state, await this.book.wanted([]));
    feed.forget(({ order }) => this.book.has(order));
    const asked = new Set(beginning.tables.map((table) => table.oid));
    for (const { wish, over } of feed.all)
      if (!over && wish.order !== null && !asked.has(wish.oid))
        void this.refuse(wish.order, `${wish.schema}.${wish.name} ${LEFT_OUT}`);
    const left = this.missing.goOn(asked);
    this.taken.leave((oid) => !asked.has(oid));
    const begun = new Set(feed.all.map(({ wish }) => wish.oid));
    for (const table of beginning.tables) {
      if (beginning.resumes && !this.rowless) this.taken.recall(table.oid, nameOf(table), table.key);
      if (!begun.has(table.oid)) this.taken.isMet(table.oid, nameOf(table));
    }
    // One that waited for its turn and was dropped meanwhile: what was made anew in its place can't be told from others.
    const vanished = this.taken.forgetVanished(asked);
    this.missing.readAnew([...beginning.unpublished, ...this.taken.putBack(beginning.membership), ...left]);
    for (const one of state?.strays ?? []) this.missing.stray(one);
    this.taken.join(asked, beginning.membership);
    // Also where there is nothing in it yet: one that is missing says that there was nothing to be read.
    if (!beginning.resumes) this.noteDue = true;
    if (!this.rereads && (beginning.resumes ? deps.config.snapshot === 'never' : !beginning.rows)) {
      if (beginning.tables.some(({ oid }) => this.taken.missed.has(oid))) throw gap();
      this.noteAll();
    }
    const known = beginning.resumes ? this.missing.known() : new Map<number, string>();
    const fresh = beginning.tables.filter(({ oid }) => !known.has(oid));
    if (deps.config.snapshot !== 'only') await this.late.noteParts(fresh, beginning.partitions);
    this.take(beginning.tables, beginning.restarts || this.rereads || vanished, beginning.resumes);
    await this.intake.look();
    this.any = feed.all.length > 0;
    this.ready = true;
    feed.start();
  }

  private get notebook(): string {
    const { partitions, book, rereads } = this;
    const { noted: tables, waiting, gone, published, missed, keys } = this.taken;
    const excluded = this.deps.excluded.memory;
    return writeNotebook({
      tables,
      waiting,
      gone,
      published,
      missed,
      keys,
      partitions,
      orders: book.ids,
      rereads,
      excluded,
    });
  }

  /** What a position has to say of it; `null`: nothing. */
  get state(): RowsState | null {
    const emptyings = [...this.deps.emptyings.state];
    const strays = [...this.taken.strays];
    const rows = this.feed.state;
    if (emptyings.length + strays.length === 0) return rows;
    const besides = { ...(emptyings.length > 0 ? { emptyings } : {}), ...(strays.length > 0 ? { strays } : {}) };
    return { ...(rows ?? { tables: [], sifts: [] }), ...besides };
  }

  /** The notebook, when there is something new in it. */
  note(): ChangeBatch | null {
    const done = this.feed.all.filter((task) => task.phase === 'done' && task.wish.order === null);
    for (const { wish, state } of done) {
      this.taken.note(wish.oid, `${wish.schema}.${wish.name}`, state.key);
      this.rowsBefore += state.rows;
    }
    const left = !this.ready || this.feed.all.some(({ over, wish }) => !over && wish.order === null);
    this.missing.leaveDropped();
    this.noteDue ||= (this.rereads && !left) || this.deps.excluded.changed;
    this.rereads &&= left;
    this.deps.emptyings.noted();
    if (!this.noteDue) return null;
    this.noteDue = this.deps.excluded.changed = false;
    this.taken.written();
    for (const { wish, state } of this.feed.all) if (this.book.has(wish.order)) this.rowsBefore += state.rows;
    this.feed.forget(({ order }) => order === null || this.book.has(order));
    return { partition: NOTEBOOK, events: [], position: this.notebook };
  }

  /** A position is committed: orders that it tells the end of are told so. */
  async committed({ rows }: PgPosition): Promise<void> {
    if (!this.ready) return;
    for (const id of endedOrders(rows)) {
      if (this.feed.all.some((task) => task.wish.order === id && !task.over)) continue;
      // Positions tell of it until the notebook does.
      if (await this.book.close(id)) this.noteDue = true;
    }
  }

  ordersChanged(): void {
    this.lookAt = 0;
    this.deps.waker.stir();
    if (this.ready) void this.takeBack();
  }

  /** Some order may have been cancelled: no rows go until that is known. */
  get doubts(): boolean {
    return this.asking > 0;
  }

  /** Also where nobody pulls: rows of what is cancelled while the stream is paused must not come when it goes on. */
  private async takeBack(): Promise<void> {
    this.asking++;
    // Where the store does not answer, the next look says so.
    await this.intake.takeBack().catch(() => undefined);
    this.asking--;
    this.deps.waker.stir();
  }

  /** Nothing is to be read, as far as is known, and nobody is about to look. */
  get idle(): boolean {
    const looks = this.deps.config.snapshot === 'only' && (this.looking !== null || this.lookAt === 0);
    return this.feed.idle && !looks;
  }

  /** To be called often: looks for new tables and orders now and then. @throws what a look met. */
  look(): void {
    if (this.failure !== null) throw this.failure.error;
    const now = this.deps.clock.monotonic();
    if (this.looking !== null || now < this.lookAt) return;
    this.lookAt = now + LOOK_EVERY_MS;
    this.looking = this.lookAround()
      .catch((error: unknown) => {
        this.failure = { error };
        this.deps.waker.stir();
      })
      .finally(() => (this.looking = null));
  }

  /** A table that was not there before has sent a change, or one with partitions was emptied. */
  met(): void {
    this.lookAt = 0;
    this.deps.waker.stir();
  }

  get progress(): SnapshotProgress | 'over' | null {
    const { feed, taken, rowsBefore } = this;
    const told = [...this.late.refused, ...this.late.told];
    this.any ||= told.length > 0 || !feed.idle;
    if (!this.any) return this.ready ? 'over' : null;
    const progress = progressOf(feed, { noted: taken.noted.size, rowsBefore, told });
    // Rows that are wanted anew are not done while they wait for the look that finds their tables.
    return this.missing.wanted === this.missing.answered ? progress : { ...progress, state: 'running' };
  }

  /** No rows are wanted of any of them. */
  private noteAll(): void {
    for (const table of this.beginning.tables)
      if (this.taken.noted.get(table.oid) !== nameOf(table)) this.taken.note(table.oid, nameOf(table));
  }

  /** No rows are to be read: what is missing stays missing. */
  private get rowless(): boolean {
    return this.deps.config.snapshot === 'never' && !this.rereads;
  }

  nameOf(oid: number): string | undefined {
    return this.missing.nameOf(oid);
  }

  keyOf(oid: number): readonly string[] | undefined {
    return this.taken.keys.get(oid);
  }

  /** The stream has come to changes of a table under this name, or by this key. */
  came(one: StrayState): void {
    this.missing.came(one);
  }

  /** Tables whose rows nobody has read. One that was made anew under a name that was there before says so first. */
  private take(tables: readonly SourceTable[], restarts: boolean, late: boolean): void {
    const known = this.missing.known();
    for (const { oid, schema, table, key } of tables) {
      if (known.has(oid)) continue;
      const name = nameOf({ schema, table });
      const before = this.taken.takeOver(name, oid) || this.missing.begunAs(name);
      const others = this.taken.take(oid, name, key);
      const keyless = key.length === 0;
      const id = `${this.deps.clock.now().toString(36)}.${oid.toString(36)}`;
      this.feed.add({
        ...{ oid, schema, name: table, order: null, where: null, id, keyless },
        // Without a key what the stream has said of it already can't be told from its rows.
        empties: restarts || before || others || (keyless && (late || this.beginning.exported === null)),
      });
    }
  }

  private async lookAround(): Promise<void> {
    const { deps } = this;
    const { wanted } = this.missing;
    const looked = await this.late.look(this.missing.known(), this.taken.missed);
    const { taken, lost, renamed, repartitioned, accept, membership } = looked;
    accept();
    this.noteDue ||= repartitioned;
    if (this.rowless)
      for (const one of renamed) if (this.taken.noted.has(one.oid)) this.taken.note(one.oid, nameOf(one));
    const others = this.rowless ? [] : renamed.map(({ oid }) => oid);
    const missed = [...lost, ...others, ...(membership === null ? [] : this.taken.putBack(membership))];
    if (missed.length > 0) {
      this.missing.readAnew(missed);
      this.lookAt = 0;
    }
    const oids = taken.map((table) => table.oid);
    if (membership !== null) this.taken.join(oids, membership);
    if (taken.length === 0 || (await this.takeLate(taken))) this.missing.answered = wanted;
    await this.intake.look();
    deps.waker.stir();
  }

  /** @returns `false`: they are for the next look. */
  private async takeLate(tables: readonly SourceTable[]): Promise<boolean> {
    const { deps } = this;
    await deps.learn(tables);
    await this.late.noteParts(tables);
    const until = this.rowless ? 0n : await walEnd(await deps.control());
    // A stream that stands for a table without a key would never get there.
    if (!this.rowless && this.feed.wantsStillness) return false;
    for (const { oid } of tables) if (deps.slotOf(oid).gate?.admits(0, 0n) === false) deps.slotOf(oid).gate = null;
    deps.log.info({ streamId: deps.context.streamId, tables: tables.length }, 'new tables are taken up');
    if (this.rowless) {
      if (tables.some(({ oid }) => this.taken.missed.has(oid))) throw gap();
      for (const table of tables) this.taken.note(table.oid, nameOf(table));
      return true;
    }
    // What the stream has yet to say may be of a time in which another table, or none, had this name.
    this.until = until;
    this.any = this.noteDue = true;
    this.take(tables, false, true);
    return true;
  }

  /** Where the store does not hear of it now, it is tried and refused once more when the stream is next begun. */
  private async refuse(order: string, why: string): Promise<void> {
    this.feed.cancel((wish) => wish.order === order, why);
    await this.book.refuse(order, why).catch(() => undefined);
    this.noteDue ||= this.book.has(order);
  }
}
