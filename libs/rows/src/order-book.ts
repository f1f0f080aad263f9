import type { SnapshotOrder, SnapshotOrders, SourceContext } from '@planasonix/core';

/** What a position says of orders; a part of how far rows have come. */
export interface OrdersTold {
  /** Tables whose rows are being read, or are all in the log; `order`: `null` for rows of the stream's own. */
  readonly tables: readonly { readonly order: string | null; readonly done: boolean }[];
  /** Ids of orders of which something is still to be read: `tables` leaves out what waits for its turn. Absent: of an earlier version. */
  readonly open?: readonly string[];
}

/** So many ids the log keeps, more than the store is asked for. Invariant 6. */
const KEPT = 200;

/**
 * Which orders are to be carried out. The log's notebook says which ones were: an order that the store holds for done and the
 * log does not has lost rows with the log's last entries (a fail-over to a copy that lagged), also where its place is
 * the same. Its rows are read again (Invariant 2).
 */
export class OrderBook {
  private readonly lost = new Map<string, SnapshotOrder>();
  private carried: string[];
  /** Of these the log's position says so, and the notebook not yet. */
  private told = new Set<string>();
  /** Their end is being told. */
  private readonly closing = new Set<string>();
  /** Of these rows are missing, whether the store has heard of it or not. */
  private readonly refused = new Set<string>();

  /** @param noted ids that the log's notebook has; `null`: it has no such list, and nothing is known of what was before */
  constructor(
    private readonly context: Pick<SourceContext, 'streamId' | 'orders' | 'log' | 'step'>,
    private readonly noted: readonly string[] | null,
  ) {
    this.carried = [...(noted ?? [])];
  }

  /** Ids of orders that were carried out, newest last; for the notebook. */
  get ids(): readonly string[] {
    return this.carried;
  }

  /** To be called before anything is read. @param rows what the log's position says. @returns whether the notebook has to be written */
  async begin(rows: OrdersTold | undefined): Promise<boolean> {
    this.told = endedOrders(rows);
    const done = await this.context.orders.done();
    if (this.noted !== null) this.miss(done);
    else this.carried = done.map(({ id }) => id).reverse();
    return this.noted === null;
  }

  /**
   * Orders whose rows are to be read.
   * @param underWay ids of those that are being read: one that was closed meanwhile, by a reader who had seen more of the log, is not over
   */
  async wanted(underWay: readonly string[]): Promise<readonly SnapshotOrder[]> {
    const open = await this.context.orders.open();
    const ids = new Set(open.map(({ id }) => id));
    if (underWay.some((id) => !ids.has(id) && !this.lost.has(id))) this.miss(await this.context.orders.done());
    return [...open, ...[...this.lost.values()].filter(({ id }) => !ids.has(id))];
  }

  has(id: string | null): boolean {
    return id !== null && this.carried.includes(id);
  }

  /** The log's position says that all of its rows are there: the store is told. @returns whether it has heard of it now */
  async close(id: string): Promise<boolean> {
    if (this.closing.has(id) || this.refused.has(id) || this.has(id)) return false;
    this.told.add(id);
    this.closing.add(id);
    const { orders, step } = this.context;
    step?.('order-done');
    const heard = await orders.close(id, { failed: null }).then(
      () => true,
      () => false,
    );
    if (heard) this.carriedOut(id);
    this.closing.delete(id);
    return heard;
  }

  /** There is nothing left of it to be done, and the store says so too. */
  private carriedOut(id: string): void {
    this.lost.delete(id);
    this.told.delete(id);
    this.carried = [...this.carried, id].slice(-KEPT);
  }

  /** It can't be carried out. One that was lost must not be tried again whenever the stream is begun. */
  async refuse(id: string, why: string): Promise<void> {
    this.refused.add(id);
    if (this.lost.has(id)) this.carriedOut(id);
    else await this.context.orders.close(id, { failed: why });
  }

  private miss(done: readonly SnapshotOrder[]): void {
    const { log, streamId } = this.context;
    for (const order of done) {
      if (this.has(order.id) || this.told.has(order.id) || this.lost.has(order.id)) continue;
      this.lost.set(order.id, order);
      log.warn({ streamId, order: order.id }, 'rows of an order that was done are not in the log: they are read again');
    }
  }
}

/** Ids of orders of which a position says that all rows are in the log. One of an earlier version can't say it. */
export function endedOrders(rows: OrdersTold | undefined): Set<string> {
  if (rows?.open === undefined) return new Set();
  const ended = new Set(rows.tables.flatMap(({ order, done }) => (order !== null && done ? [order] : [])));
  for (const id of rows.open) ended.delete(id);
  return ended;
}

/** A stream with `snapshot: "only"` that is over reads nothing any more. */
export async function refuseOrders(orders: SnapshotOrders): Promise<void> {
  for (const { id } of await orders.open())
    await orders.close(id, { failed: 'The stream read its rows once (snapshot "only") and has ended.' });
}
