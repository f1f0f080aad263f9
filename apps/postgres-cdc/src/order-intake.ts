import type { Clock, SnapshotOrder } from '@planasonix/core';
import type { OrderBook } from '@planasonix/rows';
import type { Client } from 'pg';
import { wrongOrder } from './check-order.js';
import type { PostgresConfig } from './config.js';
import type { RowFeed } from './rows/row-feed.js';
import { resolveTables, tableMatcher, type SourceTable } from './tables.js';

export interface OrderIntakeDeps {
  readonly config: PostgresConfig;
  readonly clock: Clock;
  readonly feed: RowFeed;
  readonly book: OrderBook;
  /** See `ChunkDeps`. */
  readonly obeys: string | null;
  control(): Promise<Client>;
  /** An order can't be carried out. */
  refuse(order: string, why: string): Promise<void>;
  /** Rows of one are to be read. */
  took(): void;
}

/** Orders that were placed: which rows of which tables that is, or why it can't be. */
export class OrderIntake {
  /** Those whose tables are known. */
  private readonly judged = new Set<string>();

  constructor(private readonly deps: OrderIntakeDeps) {}

  /** Gives up what is not wanted any more, and asks the source nothing. @throws what the store says */
  async takeBack(): Promise<void> {
    const { feed, book } = this.deps;
    const underWay = new Set(feed.all.flatMap(({ wish, over }) => (over ? [] : (wish.order ?? []))));
    if (underWay.size === 0) return;
    const ids = new Set((await book.wanted([...underWay])).map((order) => order.id));
    // What a look has taken up meanwhile may be newer than this answer.
    feed.takeBack((id) => ids.has(id) || !underWay.has(id));
  }

  /** Takes up what is new, and gives up what is not wanted any more. */
  async look(): Promise<void> {
    const { deps } = this;
    const { feed, book } = deps;
    const wanted = await book.wanted(feed.all.flatMap(({ wish, over }) => (over ? [] : (wish.order ?? []))));
    const ids = new Set(wanted.map((order) => order.id));
    feed.takeBack((id) => ids.has(id));
    for (const order of wanted) {
      if (this.judged.has(order.id)) continue;
      const control = await deps.control();
      const match = tableMatcher({ ...deps.config, tables: [...order.tables] });
      const tables = (await resolveTables(control, deps.config, deps.obeys)).filter(
        (one) => match(one.schema, one.table) !== null,
      );
      // Ordered while nobody could ask the source, or tables and rights have changed since.
      const found = await wrongOrder(control, tables, order.where);
      // It is for the next look. What an earlier reader began of it was judged by that, and goes on.
      if (found === 'locked') continue;
      const [wrong] = found;
      this.judged.add(order.id);
      if (tables.length === 0) await deps.refuse(order.id, 'None of its tables is read by the stream.');
      else if (wrong !== undefined) await deps.refuse(order.id, [wrong.message, wrong.fix ?? []].flat().join(' '));
      else this.take(order, tables);
    }
  }

  private take({ id: order, where }: SnapshotOrder, tables: readonly SourceTable[]): void {
    const { feed, clock } = this.deps;
    // Also where it is over before anybody looks.
    this.deps.took();
    // Another reading, of the same order: its rows have other ids (Invariant 4).
    const id = `${order}.${clock.now().toString(36)}`;
    const there = new Set(feed.all.flatMap(({ wish }) => (wish.order === order ? [wish.oid] : [])));
    for (const { oid, schema, table, key } of tables.filter((one) => !there.has(one.oid)))
      feed.add({
        ...{ oid, schema, name: table, order, where, id },
        ...{ keyless: key.length === 0, empties: key.length === 0 && where === null },
      });
  }
}
