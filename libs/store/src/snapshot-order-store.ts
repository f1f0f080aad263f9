import type { SnapshotOrder, StreamStatus } from '@planasonix/core';
import type { DataSource, EntityManager } from 'typeorm';
import { writeAudit, type Actor } from './audit-store.js';
import type { SnapshotOrderRow, Stream } from './entities.js';
import { newId } from './id.js';
import { sql, type Db } from './sql.js';
import { effectiveStatus, lockStream } from './stream-commands.js';

/** Open orders of one stream at the most. Invariant 6. */
export const MOST_OPEN_ORDERS = 100;

interface Placed {
  readonly kind: 'placed';
  readonly stream: Stream;
  readonly order: SnapshotOrderRow;
}

export type PlacedOrder =
  | Placed
  | { readonly kind: 'invalid'; readonly from: StreamStatus }
  | { readonly kind: 'deleting' | 'full' | 'missing' };

export type CancelledOrder =
  | { readonly kind: 'cancelled'; readonly stream: Stream; readonly order: SnapshotOrderRow }
  | { readonly kind: 'over'; readonly order: SnapshotOrderRow }
  | { readonly kind: 'missing' };

/** States in which rows can be ordered: carried out when the stream runs. */
const TAKES_ORDERS: ReadonlySet<StreamStatus> = new Set(['starting', 'running', 'paused', 'stopped']);

/**
 * Orders for rows, from the gateway's side, filtered by workspace in every statement (trap 36). Whoever changes one
 * locks the stream's row first, as the owner who closes one does.
 */
export class SnapshotOrderStore {
  constructor(private readonly store: DataSource) {}

  /** @param keep writes what is answered, in the transaction of the order */
  async place(
    actor: Actor,
    streamId: string,
    of: Omit<SnapshotOrder, 'id'>,
    keep: (db: Db, placed: Placed) => Promise<void> = () => Promise.resolve(),
  ): Promise<PlacedOrder> {
    return this.store.transaction(async (tx): Promise<PlacedOrder> => {
      const stream = await lockStream(tx, actor, streamId);
      if (stream === null) return { kind: 'missing' };
      if (stream.being_deleted) return { kind: 'deleting' };
      const from = effectiveStatus(stream);
      if (!TAKES_ORDERS.has(from)) return { kind: 'invalid', from };
      const [open] = await sql<{ n: number }>(
        tx,
        `SELECT count(*)::int AS n FROM snapshot_orders WHERE stream_id = $1 AND done_at IS NULL AND cancelled_at IS NULL`,
        [streamId],
      );
      if (open!.n >= MOST_OPEN_ORDERS) return { kind: 'full' };
      const [order] = await sql<SnapshotOrderRow>(
        tx,
        `INSERT INTO snapshot_orders (id, stream_id, workspace_id, tables, where_sql) VALUES ($1, $2, $3, $4, $5) RETURNING *`,
        [newId('snap'), streamId, actor.workspaceId, of.tables, of.where],
      );
      await revise(tx, streamId);
      await audit(tx, actor, 'order', order!, { after: { tables: of.tables, where: of.where } });
      const placed: Placed = { kind: 'placed', stream, order: order! };
      await keep(tx, placed);
      return placed;
    });
  }

  /** Newest first, those before `before`. */
  list(workspaceId: string, streamId: string, limit: number, before: string | null): Promise<SnapshotOrderRow[]> {
    return sql<SnapshotOrderRow>(
      this.store,
      `SELECT * FROM snapshot_orders WHERE workspace_id = $1 AND stream_id = $2 AND ($3::text IS NULL OR id < $3) ORDER BY id DESC LIMIT $4`,
      [workspaceId, streamId, before, limit],
    );
  }

  /** Orders that have ended this long ago are forgotten; the audit log keeps them. */
  async purge(): Promise<void> {
    await sql(
      this.store,
      `DELETE FROM snapshot_orders WHERE coalesce(done_at, cancelled_at) < clock_timestamp() - interval '30 days'`,
    );
  }

  /** Once more is as good as once; one that is done or failed can't be taken back. */
  async cancel(actor: Actor, streamId: string, id: string): Promise<CancelledOrder> {
    return this.store.transaction(async (tx): Promise<CancelledOrder> => {
      const stream = await lockStream(tx, actor, streamId);
      if (stream === null) return { kind: 'missing' };
      const [order] = await sql<SnapshotOrderRow>(
        tx,
        `SELECT * FROM snapshot_orders WHERE workspace_id = $1 AND stream_id = $2 AND id = $3`,
        [actor.workspaceId, streamId, id],
      );
      if (order === undefined) return { kind: 'missing' };
      if (order.done_at !== null) return { kind: 'over', order };
      if (order.cancelled_at !== null) return { kind: 'cancelled', stream, order };
      const [cancelled] = await sql<SnapshotOrderRow>(
        tx,
        `UPDATE snapshot_orders SET cancelled_at = clock_timestamp() WHERE id = $1 RETURNING *`,
        [id],
      );
      await revise(tx, streamId);
      await audit(tx, actor, 'cancel', cancelled!, { before: { tables: order.tables, where: order.where_sql } });
      return { kind: 'cancelled', stream, order: cancelled! };
    });
  }
}

const revise = (tx: EntityManager, streamId: string): Promise<unknown> =>
  sql(tx, `UPDATE streams SET orders_revision = orders_revision + 1 WHERE id = $1`, [streamId]);

const audit = (
  tx: EntityManager,
  actor: Actor,
  what: 'order' | 'cancel',
  { id, stream_id }: SnapshotOrderRow,
  of: { readonly before?: object; readonly after?: object },
): Promise<void> =>
  writeAudit(tx, actor, {
    action: `stream_snapshot.${what}`,
    resourceType: 'stream_snapshot',
    resourceId: id,
    ...(of.before === undefined ? {} : { before: { stream_id, ...of.before } }),
    ...(of.after === undefined ? {} : { after: { stream_id, ...of.after } }),
  });
