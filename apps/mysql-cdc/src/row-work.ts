import {
  ROW_EVENT_TYPES,
  type ChangeBatch,
  type ChangeEvent,
  type SnapshotProgress,
  type SourceContext,
} from '@planasonix/core';
import { endedOrders, OrderBook, TABLES_SHOWN } from '@planasonix/rows';
import { wrongCondition } from './check-order.js';
import { Leftovers } from './leftovers.js';
import { encodeNotes, NOTEBOOK, type Asked, type MySqlPosition, type Unread } from './position.js';
import { RowFeed, type RowFeedDeps } from './rows/row-feed.js';
import type { RowWish } from './rows/row-task.js';
import type { RowsState } from './rows/rows-state.js';
import { isLater } from './rows/table-now.js';
import type { LogPlace } from './server.js';
import { resolveTables, sameTable, tableMatcher, type TableName } from './tables.js';

/** How often it is looked whether there are orders, should nobody have said so. */
const LOOK_EVERY_MS = 5_000;

export interface RowWorkDeps extends Omit<RowFeedDeps, 'refuse'> {
  readonly context: SourceContext;
}

/** What is to be read when reading begins. */
export interface RowsToRead {
  /** Tables of the stream. */
  readonly tables: number;
  readonly asked: readonly Asked[];
  /** Those of them whose rows are not in the log. */
  readonly unread: readonly Unread[];
  /** Ids of orders of which the log has all rows; `null`: it does not say. */
  readonly orders: readonly string[] | null;
  /** How far these have come, and orders. */
  readonly state: RowsState | undefined;
}

/** Which rows are to be read: the stream's own, and what somebody ordered. */
export class RowWork {
  readonly feed: RowFeed;
  readonly leftovers: Leftovers;
  private unread: readonly Unread[];
  private readonly book: OrderBook;
  /** Orders are noted whose end was told. */
  private noteDue = false;
  /** Orders whose tables are known. */
  private readonly orders = new Set<string>();
  private lookAt = 0;
  private looking: Promise<void> | null = null;
  private failure: { readonly error: unknown } | null = null;
  private rowsBefore = 0;
  /** All that is to be read is known: what is not among the tasks is done. */
  private ready = false;
  /** There was something to be read, also where nobody looked meanwhile. */
  private any = false;
  /** An order waits for a table that somebody holds locked. */
  private putOff = false;
  /** How often it was said that orders have changed. */
  private told = 0;
  private asking = 0;

  constructor(
    private readonly deps: RowWorkDeps,
    private readonly toRead: RowsToRead,
  ) {
    this.feed = new RowFeed({ ...deps, refuse: (order, why) => void this.refuse(order, why) });
    this.leftovers = new Leftovers(deps.log);
    this.unread = toRead.unread;
    this.book = new OrderBook(deps.context, toRead.orders);
  }

  /** To be called first, before the notebook is written: which orders were carried out. */
  async open(): Promise<void> {
    await this.book.begin(this.toRead.state);
  }

  async begin(): Promise<void> {
    const { feed, deps, toRead } = this;
    const reads = deps.config.snapshot !== 'never';
    const unread = new Map(this.unread.filter((one) => reads || one.anyway).map((one) => [one.id, one]));
    if (toRead.state !== undefined) {
      const ours = ({ order, id }: { order: string | null; id: string }): boolean => order !== null || unread.has(id);
      feed.restore(toRead.state, ours, await this.book.wanted([]));
    }
    feed.forget(({ order }) => order !== null && this.book.has(order));
    const begun = new Set(feed.all.map((task) => task.wish.id));
    for (const one of unread.values()) if (!begun.has(one.id)) feed.add({ ...one, order: null, where: null });
    await this.takeOrders();
    this.any ||= feed.all.length > 0;
    this.ready = true;
    if (this.told > 0) void this.takeBack();
    feed.start();
  }

  get notebook(): ChangeBatch {
    return {
      partition: NOTEBOOK,
      events: [],
      position: encodeNotes({ asked: this.toRead.asked, unread: this.unread, orders: this.book.ids }),
    };
  }

  /** The notebook, when a table of the stream's own has been read or is not there any more, or an order is over. */
  note(): ChangeBatch | null {
    const { feed, book } = this;
    const noted = ({ order }: RowWish): boolean => order === null || book.has(order);
    const over = feed.all.filter((task) => task.over && noted(task.wish));
    if (over.length === 0 && !this.noteDue) return null;
    this.noteDue = false;
    const ids = new Set(over.map((task) => task.wish.id));
    this.unread = this.unread.filter((one) => !ids.has(one.id));
    this.rowsBefore += over.reduce((sum, { state }) => sum + state.rows, 0);
    feed.forget(noted);
    return this.notebook;
  }

  /**
   * Rows of these tables are others by a change that did not say which: they are read from their beginning, also where the
   * stream has `snapshot: never`. What is in the log of them is forgotten there (`op:"t"`) with that change.
   * @param place where it ends
   * @returns the notebook, which has to be handed over before a position that holds the change; `null`: nothing is to be noted
   */
  renew(tables: readonly TableName[], place: LogPlace): ChangeBatch | null {
    const { clock, log, server } = this.deps;
    const same = sameTable(server.foldsCase);
    const begins = `${clock.now().toString(36)}.${place.pos.toString(36)}`;
    let isNew = false;
    for (const [i, { schema, table }] of tables.entries()) {
      const own = this.feed.renew({ schema, table }, place);
      if (own === 'held') continue;
      const id = own?.wish.id ?? `${begins}.${i.toString(36)}`;
      const empties = own?.wish.empties ?? false;
      const others = this.unread.filter((one) => !same(one, { schema, table }));
      this.unread = [...others, { schema, table, id, empties, anyway: true, renewed: true }];
      if (own === null) this.feed.add({ schema, table, id, empties, order: null, where: null });
      this.any = isNew = true;
      log.warn(
        { schema, table },
        'the table has rows that the log did not tell under its name: all of its rows are read again',
      );
    }
    return isNew ? this.notebook : null;
  }

  /** What a position has to hold of the rows; spread into it. */
  get state(): Pick<MySqlPosition, 'rows'> {
    return { rows: this.feed.state ?? undefined };
  }

  /** A position is committed: orders that it tells the end of are told so. */
  async committed({ rows }: MySqlPosition): Promise<void> {
    if (!this.ready) return;
    for (const id of endedOrders(rows)) {
      if (this.feed.all.some((task) => task.wish.order === id && !task.over)) continue;
      // Positions tell of it until the notebook does.
      if (!(await this.book.close(id))) continue;
      this.noteDue = true;
      this.deps.waker.stir();
    }
  }

  ordersChanged(): void {
    this.told++;
    this.lookAt = 0;
    this.deps.waker.stir();
    if (this.ready) void this.takeBack();
  }

  /** Nothing is to be read, as far as is known, and nobody is about to look. */
  get idle(): boolean {
    return this.feed.idle && this.looking === null && this.lookAt > 0;
  }

  /** To be called often: looks for orders now and then. @throws what a look met */
  look(): void {
    if (this.failure !== null) throw this.failure.error;
    const now = this.deps.clock.monotonic();
    if (this.looking !== null || now < this.lookAt) return;
    this.lookAt = now + LOOK_EVERY_MS;
    this.looking = this.takeOrders()
      .catch((error: unknown) => void (this.failure = { error }))
      .finally(() => {
        this.looking = null;
        this.deps.waker.stir();
      });
  }

  /** The next rows; see `RowFeed.take`. None while some order may have been cancelled, and the store is asked which. */
  take(reached: LogPlace): ChangeEvent[] | null {
    if (this.asking > 0) return null;
    const events = this.feed.take(reached);
    const [first] = events ?? [];
    if (first?.type === ROW_EVENT_TYPES.t) this.leftovers.forgotten(first.subject);
    return events;
  }

  get progress(): SnapshotProgress | 'over' | null {
    const { all, finished } = this.feed;
    const running = all.filter((task) => !task.over);
    const left = this.leftovers.told;
    this.any ||= left.length > 0;
    if (!this.any) return this.ready && !this.putOff ? 'over' : null;
    const estimates = running.map((task) => task.estimated ?? null);
    const rows = this.rowsBefore + all.reduce((sum, task) => sum + task.state.rows, 0);
    const ahead = running.reduce(
      (sum, { estimated, state }) => sum + Math.max(estimated ?? 0, state.rows) - state.rows,
      0,
    );
    const own = running.filter((task) => task.wish.order === null).length;
    const total = Math.max(this.toRead.tables, own);
    return {
      state: running.length > 0 ? 'running' : 'done',
      tables_total: total,
      tables_done: total - own,
      rows_done: rows,
      rows_estimated: estimates.includes(null) ? null : rows + ahead,
      tables: [
        ...running.slice(0, TABLES_SHOWN).map((task) => task.progress),
        ...left.slice(0, TABLES_SHOWN),
        ...finished.last.map((task) => task.progress),
      ],
    };
  }

  close(): void {
    this.feed.close();
  }

  /** Where the store does not hear of it now, it is tried and refused once more when the stream is next begun. */
  private async refuse(order: string, why: string): Promise<void> {
    this.feed.cancel((wish) => wish.order === order);
    await this.book.refuse(order, why).catch(() => undefined);
    this.noteDue ||= this.book.has(order);
    this.deps.waker.stir();
  }

  /** Orders of which rows are still to be read. */
  private get underWay(): ReadonlySet<string> {
    return new Set(this.feed.all.flatMap(({ wish, over }) => (over ? [] : (wish.order ?? []))));
  }

  /**
   * Gives up what is not wanted any more, and asks the source nothing. Also where nobody pulls: rows of what is cancelled while
   * the stream is paused must not come when it goes on.
   */
  private async takeBack(): Promise<void> {
    const { feed, book, underWay } = this;
    if (underWay.size === 0) return;
    this.asking++;
    try {
      const ids = new Set((await book.wanted([...underWay])).map((order) => order.id));
      // What a look has taken up meanwhile may be newer than this answer.
      feed.takeBack((id) => ids.has(id) || !underWay.has(id));
    } catch {
      // Where the store does not answer, the next look says so.
    }
    this.asking--;
    this.deps.waker.stir();
  }

  /** Whether an order is wanted as of the last time that it was said that orders have changed. @param since how often it was when that was known */
  private async isWanted(id: string, since: number): Promise<boolean> {
    for (let told = since; told !== this.told;) {
      told = this.told;
      if (!(await this.book.wanted([])).some((order) => order.id === id)) return false;
    }
    return true;
  }

  private async takeOrders(): Promise<void> {
    const { deps, feed, orders, book, told } = this;
    const wanted = await book.wanted([...this.underWay]);
    const ids = new Set(wanted.map((order) => order.id));
    let putOff = false;
    feed.takeBack((id) => ids.has(id));
    for (const order of wanted) {
      if (orders.has(order.id)) continue;
      const { config, server, excludedOf, ask } = deps;
      const match = tableMatcher({ tables: [...order.tables], exclude_tables: [] }, server.foldsCase);
      const found = await ask((session) => resolveTables(session, server, config));
      const tables = found.filter(({ form, schema, table }) => form !== 'SEQUENCE' && match(schema, table));
      if (tables.length === 0) {
        orders.add(order.id);
        await this.refuse(order.id, 'None of its tables is read by the stream.');
        continue;
      }
      // Ordered while nobody could ask the source, or the tables have changed since.
      const { where } = order;
      const wrong =
        where === null ? null : await ask((session) => wrongCondition(session, tables, excludedOf, where)).catch(waits);
      // Somebody holds a table locked: looked at again with the next look.
      putOff ||= wrong === 'later';
      if (wrong === 'later' || !(await this.isWanted(order.id, told))) continue;
      orders.add(order.id);
      if (wrong !== null) {
        await this.refuse(order.id, wrong.message);
        continue;
      }
      this.any = true;
      // Once more, after a position that was set or lost, it is another reading: its rows may be others.
      const id = `${order.id}.${deps.clock.now().toString(36)}`;
      const same = sameTable(server.foldsCase);
      const there = feed.all.filter(({ wish }) => wish.order === order.id).map(({ wish }) => wish);
      for (const { schema, table } of tables)
        if (!there.some((one) => same(one, { schema, table })))
          feed.add({ schema, table, order: order.id, where, id, empties: false });
    }
    this.putOff = putOff;
  }
}

function waits(error: unknown): 'later' {
  if (isLater(error)) return 'later';
  throw error;
}
