import {
  StreamError,
  type ChangeBatch,
  type SnapshotProgress,
  type SourceContext,
  type TableProgress,
} from '@planasonix/core';
import { OrderBook, TABLES_SHOWN, endedOrders } from '@planasonix/rows';
import type { PostgresConfig } from './config.js';
import { LateTables, type LateTablesDeps } from './late-tables.js';
import type { ExcludedColumns } from './excluded-columns.js';
import type { Beginning } from './opening.js';
import { OrderIntake } from './order-intake.js';
import type { Partitions } from './partitions.js';
import type { Memberships } from './publication.js';
import type { PgPosition } from './position.js';
import { RowFeed, type RowFeedDeps } from './rows/row-feed.js';
import { NOTEBOOK, readNotebook, writeNotebook, type Notebook, type RowsState } from './rows/rows-state.js';
import type { SourceTable } from './tables.js';

/** How often it is looked whether there are new tables: one cheap query. */
const LOOK_EVERY_MS = 5_000;

export interface RowWorkDeps extends Omit<RowFeedDeps, 'alone' | 'exported' | 'refuse'>, LateTablesDeps {
  readonly config: PostgresConfig;
  readonly context: SourceContext;
  readonly excluded: ExcludedColumns;
  /** New tables: their keys and types, before their changes come. */
  learn(tables: readonly SourceTable[]): Promise<void>;
}

const gap = (): StreamError =>
  new StreamError(
    'offset_gap',
    'Tables were taken out of the publication: what was written since is missing, and no rows are to be read.',
  );

/** Which rows are to be read: those of the beginning, of tables that come later, and what somebody ordered. */
export class RowWork {
  readonly feed: RowFeed;
  private readonly late: LateTables;
  /** OID → name of the tables whose rows the log has, or was not to get. */
  private readonly noted: Map<number, string>;
  /** OID → its membership of the publication when its changes were first taken. */
  private readonly published: Map<number, string>;
  private readonly partitions: Map<number, Partitions>;
  private noteDue = false;
  private rereads: boolean;
  private readonly book: OrderBook;
  private readonly intake: OrderIntake;
  private lookAt = 0;
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
    this.feed = new RowFeed({
      ...deps,
      alone: deps.config.snapshot === 'only',
      exported: beginning.exported?.snapshot ?? null,
      refuse: (order, why) => void this.refuse(order, why),
    });
    const notebook = beginning.resumes ? readNotebook(notes) : null;
    this.partitions = notebook?.partitions ?? new Map<number, Partitions>();
    this.late = new LateTables(deps, this.partitions);
    this.book = new OrderBook(deps.context, notebook?.orders ?? null);
    this.intake = new OrderIntake({
      ...{ config: deps.config, clock: deps.clock, feed: this.feed, book: this.book },
      control: () => deps.control(),
      refuse: (order, why) => this.refuse(order, why),
      took: () => void (this.any = true),
    });
    this.rereads = deps.config.snapshot === 'never' && (notebook === null ? beginning.rows : notebook.rereads);
    this.noted = notebook?.tables ?? (beginning.resumes ? this.everything() : new Map<number, string>());
    this.published = notebook?.published ?? new Map<number, string>();
  }

  async begin(): Promise<void> {
    const { beginning, feed, deps } = this;
    const state: RowsState | undefined = beginning.position.rows;
    for (const { oid, xid } of state?.emptyings ?? []) deps.emptyings.say(oid, xid);
    this.noteDue = await this.book.begin(state);
    if (state !== undefined) feed.restore(state, await this.book.wanted([]));
    feed.forget(({ order }) => this.book.has(order));
    const asked = new Set(beginning.tables.map((table) => table.oid));
    this.noteGone((oid) => !asked.has(oid));
    this.noteUnpublished([...beginning.unpublished, ...this.putBack(beginning.membership)]);
    if (!this.rereads && (beginning.resumes ? deps.config.snapshot === 'never' : !beginning.rows)) this.noteAll();
    this.join(asked, beginning.membership);
    // Also where there is nothing in it yet: one that is missing says that there was nothing to be read.
    if (!beginning.resumes) this.noteDue = true;
    this.take(beginning.tables, beginning.restarts || this.rereads, beginning.resumes);
    await this.intake.look();
    this.any = feed.all.length > 0;
    this.ready = true;
    feed.start();
  }

  private get notebook(): Notebook {
    const { noted: tables, published, partitions, book, rereads } = this;
    return { tables, published, partitions, orders: book.ids, rereads, excluded: this.deps.excluded.memory };
  }

  /** What a position has to say of it; `null`: nothing. */
  get state(): RowsState | null {
    const emptyings = [...this.deps.emptyings.state];
    const rows = this.feed.state;
    return emptyings.length === 0 ? rows : { ...(rows ?? { tables: [], sifts: [] }), emptyings };
  }

  /** The notebook, when there is something new in it. */
  note(): ChangeBatch | null {
    const done = this.feed.all.filter((task) => task.phase === 'done' && task.wish.order === null);
    for (const { wish, state } of done) {
      this.noted.set(wish.oid, `${wish.schema}.${wish.name}`);
      this.rowsBefore += state.rows;
      this.noteDue = true;
    }
    const left = !this.ready || this.feed.all.some(({ over, wish }) => !over && wish.order === null);
    this.noteDue ||= (this.rereads && !left) || this.deps.excluded.changed;
    this.rereads &&= left;
    this.deps.emptyings.noted();
    if (!this.noteDue) return null;
    this.noteDue = this.deps.excluded.changed = false;
    for (const { wish, state } of this.feed.all) if (this.book.has(wish.order)) this.rowsBefore += state.rows;
    this.feed.forget(({ order }) => order === null || this.book.has(order));
    return { partition: NOTEBOOK, events: [], position: writeNotebook(this.notebook) };
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
    const { all, finished } = this.feed;
    const own = all.filter((task) => task.wish.order === null && task.phase !== 'cancelled');
    const running = all.filter((task) => !task.over);
    this.any ||= running.length > 0 || this.late.refused.length + this.late.told.length > 0;
    if (!this.any) return this.ready ? 'over' : null;
    const estimates = running.map((task) => task.estimated ?? null);
    const rows = this.rowsBefore + all.reduce((sum, task) => sum + task.state.rows, 0);
    const left = running.reduce(
      (sum, { estimated, state }) => sum + Math.max(estimated ?? 0, state.rows) - state.rows,
      0,
    );
    const tables: TableProgress[] = [
      ...running.slice(0, TABLES_SHOWN).map((task) => task.progress),
      ...[...this.late.refused, ...this.late.told].slice(0, TABLES_SHOWN),
      ...finished.last.map((task) => task.progress),
    ];
    const done = own.filter((task) => task.over).length;
    const noted = [...this.noted.keys()].filter((oid) => oid > 0).length;
    return {
      state: running.length > 0 ? 'running' : 'done',
      tables_total: noted + own.length,
      tables_done: noted + done,
      rows_done: rows,
      rows_estimated: estimates.includes(null) ? null : rows + left,
      tables,
    };
  }

  /** No rows are wanted of any of them. */
  private noteAll(): void {
    if (this.beginning.tables.some(({ oid }) => this.noted.has(-oid) && !this.published.has(oid))) throw gap();
    for (const [oid, name] of this.everything()) {
      if (this.noted.get(oid) === name) continue;
      this.noted.delete(-oid);
      this.noted.set(oid, name);
      this.noteDue = true;
    }
  }

  private everything(): Map<number, string> {
    return new Map(this.beginning.tables.map(({ oid, schema, table }) => [oid, `${schema}.${table}`]));
  }

  /** Tables that were taken out of the publication and put back: what was written in between is missing. */
  private putBack(membership: Memberships): number[] {
    return [...this.published].flatMap(([oid, before]) => (membership(oid) === before ? [] : [oid]));
  }

  /** Their changes are taken from here on. */
  private join(oids: Iterable<number>, membership: Memberships): void {
    for (const oid of oids) {
      const now = membership(oid);
      if (now === null || this.published.get(oid) === now) continue;
      this.published.set(oid, now);
      this.noteDue = true;
    }
  }

  /** Their rows are read anew, as soon as their changes are published: readers forget what they have. */
  private noteUnpublished(oids: readonly number[]): void {
    const lost = new Set(oids);
    for (const oid of lost) this.noteDue = this.published.delete(oid) || this.noteDue;
    for (const { wish } of this.feed.all)
      if (lost.has(wish.oid) && wish.order === null) this.noted.set(wish.oid, `${wish.schema}.${wish.name}`);
    const known = oids.filter((oid) => this.noted.has(oid));
    if (known.length === 0) return;
    const { log, context } = this.deps;
    log.warn(
      { streamId: context.streamId, tables: known.length },
      'changes of tables are missing, for their publication or partitions have changed; their rows are read anew',
    );
    this.feed.cancel((wish) => lost.has(wish.oid) && wish.order === null);
    this.feed.forget((wish) => lost.has(wish.oid) && wish.order === null);
    this.noteGone((oid) => lost.has(oid));
  }

  /** What is not taken any more may come back: then its rows are read anew, for its changes are missing. */
  private noteGone(which: (oid: number) => boolean): void {
    for (const [oid, name] of [...this.noted])
      if (oid > 0 && which(oid)) {
        this.noted.delete(oid);
        this.noted.set(-oid, name);
        this.noteDue = true;
      }
  }

  /** Tables whose rows nobody has read. One that was made anew under a name that was there before says so first. */
  private take(tables: readonly SourceTable[], restarts: boolean, late: boolean): void {
    const known = this.known();
    for (const { oid, schema, table, key } of tables) {
      if (known.has(oid)) continue;
      const name = `${schema}.${table}`;
      const before = [...this.noted].filter(([, of]) => of === name);
      for (const [old] of before) this.noted.delete(old);
      const keyless = key.length === 0;
      const id = `${this.deps.clock.now().toString(36)}.${oid.toString(36)}`;
      this.feed.add({
        ...{ oid, schema, name: table, order: null, where: null, id, keyless },
        // Without a key what the stream has said of it already can't be told from its rows.
        empties: restarts || before.length > 0 || (keyless && (late || this.beginning.exported === null)),
      });
    }
  }

  /** OIDs of tables that are the stream's already. */
  private known(): Map<number, string> {
    const tasks = this.feed.all.filter(({ wish }) => wish.order === null);
    return new Map([...this.noted, ...tasks.map(({ wish }) => [wish.oid, `${wish.schema}.${wish.name}`] as const)]);
  }

  private async lookAround(): Promise<void> {
    const { deps } = this;
    if (deps.config.snapshot !== 'only') {
      const { taken, lost, repartitioned, accept, membership } = await this.late.look(this.known());
      accept();
      this.noteDue ||= repartitioned;
      const missed = [...lost, ...this.putBack(membership)];
      if (missed.length > 0) {
        this.noteUnpublished(missed);
        this.lookAt = 0;
      }
      this.join(
        taken.map((table) => table.oid),
        membership,
      );
      if (taken.length > 0) await this.takeLate(taken);
    }
    await this.intake.look();
    deps.waker.stir();
  }

  private async takeLate(tables: readonly SourceTable[]): Promise<void> {
    const { deps } = this;
    await deps.learn(tables);
    for (const { oid } of tables) if (deps.slotOf(oid).gate?.admits(0, 0n) === false) deps.slotOf(oid).gate = null;
    deps.log.info({ streamId: deps.context.streamId, tables: tables.length }, 'new tables are taken up');
    if (deps.config.snapshot === 'never') {
      if (tables.some(({ oid }) => this.noted.has(-oid))) throw gap();
      for (const { oid, schema, table } of tables) this.noted.set(oid, `${schema}.${table}`);
      this.noteDue = true;
    } else this.take(tables, false, true);
  }

  /** Where the store does not hear of it now, it is tried and refused once more when the stream is next begun. */
  private async refuse(order: string, why: string): Promise<void> {
    this.feed.cancel((wish) => wish.order === order, why);
    await this.book.refuse(order, why).catch(() => undefined);
    this.noteDue ||= this.book.has(order);
  }
}
