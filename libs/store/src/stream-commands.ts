import {
  losesPosition,
  transition,
  type DesiredStatus,
  type OnLostPosition,
  type StreamCommand,
  type StreamStatus,
  type Transition,
} from '@planasonix/core';
import type { DataSource, EntityManager } from 'typeorm';
import { writeAudit, type Actor } from './audit-store.js';
import type { Stream } from './entities.js';
import { isHeld } from './lease.js';
import { sql } from './sql.js';

export type CommandOutcome =
  | { readonly kind: 'accepted'; readonly transition: Transition; readonly stream: Stream }
  /** There already (or on its way: then `stream.generation` is the one to wait for). */
  | { readonly kind: 'noop'; readonly transition: Transition; readonly stream: Stream }
  | { readonly kind: 'invalid'; readonly from: StreamStatus; readonly stream: Stream }
  | { readonly kind: 'position_lost'; readonly stream: Stream }
  /** Somebody was setting the position and it is not known how far that got. */
  | { readonly kind: 'position_pending' }
  | { readonly kind: 'deleting' }
  | { readonly kind: 'missing' };

/**
 * The state that a command meets: what was last asked for, if a worker has yet to confirm it, else what is. So the
 * last accepted command wins also over one that is still waiting.
 */
export function effectiveStatus(
  row: Pick<Stream, 'status' | 'desired_status' | 'generation' | 'observed_generation'>,
): StreamStatus {
  const status = row.status as StreamStatus;
  if (row.generation === row.observed_generation) return status;
  const desired = row.desired_status as DesiredStatus;
  if (desired === 'running') return status === 'starting' ? 'starting' : 'running';
  return desired === 'idle' ? status : desired;
}

/** What the waiting side of a command looks at. */
export interface CommandView {
  readonly id: string;
  readonly status: StreamStatus;
  readonly desired: DesiredStatus;
  readonly generation: number;
  readonly observedGeneration: number;
  readonly epoch: number;
  /** A worker holds the lease and it has not run out, by the database's clock. */
  readonly leased: boolean;
  /** Somebody took the lease and has not given it back, or helps whoever had it: may still be writing; also when it has run out. */
  readonly owned: boolean;
  readonly updatedAt: Date;
}

/**
 * In SQL. A deletion takes half a minute at the most; one that is older died with its gateway, and bars nothing any more.
 * Nor does one that the store's clock, set back, has left ahead: its generation tells it that it was overtaken.
 */
export const BEING_DELETED = `coalesce(abs(extract(epoch FROM clock_timestamp() - deleting_at)) < 60, false)`;

export type LockedStream = Stream & {
  readonly being_deleted: boolean;
  /** Somebody holds the lease and it has not run out; a holder who died leaves his name, which says nothing. */
  readonly is_leased: boolean;
};

/** A stream of the actor's workspace for the length of a transaction; nothing else happens to it meanwhile. */
export async function lockStream(tx: EntityManager, actor: Actor, id: string): Promise<LockedStream | null> {
  const [stream] = await sql<LockedStream>(
    tx,
    `SELECT *, ${BEING_DELETED} AS being_deleted,
       coalesce(lease_owner IS NOT NULL AND ${isHeld('lease_expires_at')}, false) AS is_leased
     FROM streams WHERE workspace_id = $1 AND id = $2 FOR UPDATE`,
    [actor.workspaceId, id],
  );
  return stream ?? null;
}

/** An outbox row: a bell for what the row now says. */
export const ring = (tx: EntityManager, of: Pick<Stream, 'id' | 'source_type' | 'generation'>): Promise<unknown> =>
  sql(tx, `INSERT INTO outbox (stream_id, source_type, generation) VALUES ($1, $2, $3)`, [
    of.id,
    of.source_type,
    of.generation,
  ]);

/** Whether a command starts the stream, and whether it gives its position up: parameters of the statement that accepts it. */
const [STARTS, GIVES_UP] = ['$3', '$5'];

/** Accepting commands: what a stream should be, each in one transaction with its outbox row and its audit entry. */
export class StreamCommands {
  constructor(private readonly store: DataSource) {}

  async accept(
    actor: Actor,
    id: string,
    command: StreamCommand,
    onLostPosition: OnLostPosition | null = null,
  ): Promise<CommandOutcome> {
    return this.store.transaction(async (tx): Promise<CommandOutcome> => {
      const stream = await lockStream(tx, actor, id);
      if (stream === null) return { kind: 'missing' };
      if (stream.being_deleted) return { kind: 'deleting' };
      const from = effectiveStatus(stream);
      const to = transition(from, command);
      if (to === null) return { kind: 'invalid', from, stream };
      if (to.noop) return { kind: 'noop', transition: to, stream };
      // Giving the position up needs neither the old place nor the new one.
      if (to.to === 'starting' && stream.position_pending && onLostPosition === null)
        return { kind: 'position_pending' };
      const lost = to.to === 'starting' && (stream.position_pending || losesPosition(stream.last_error?.code ?? ''));
      if (lost && onLostPosition === null) return { kind: 'position_lost', stream };
      const [after] = await sql<Stream>(
        tx,
        `UPDATE streams SET
           desired_status = $2,
           generation = generation + 1,
           deleting_at = NULL,
           updated_at = clock_timestamp(),
           status = CASE WHEN ${STARTS} THEN 'starting' ELSE status END,
           last_error = CASE WHEN ${STARTS} THEN NULL ELSE last_error END,
           blocked = CASE WHEN ${STARTS} THEN NULL ELSE blocked END,
           on_lost_position = CASE WHEN ${STARTS} THEN $4 ELSE on_lost_position END,
           position_pending = position_pending AND NOT ${STARTS},
           snapshot = CASE WHEN ${GIVES_UP} THEN NULL ELSE snapshot END,
           given_up_at = CASE WHEN ${GIVES_UP} THEN generation + 1 ELSE given_up_at END
         WHERE id = $1 RETURNING *`,
        [id, to.desired, to.to === 'starting', lost ? onLostPosition : stream.on_lost_position, lost],
      );
      await ring(tx, after!);
      await writeAudit(tx, actor, {
        action: `stream.${command}`,
        resourceType: 'stream',
        resourceId: id,
        before: { status: stream.status },
        after: { status: to.to, ...(lost ? { on_lost_position: onLostPosition } : {}) },
      });
      return { kind: 'accepted', transition: to, stream: after! };
    });
  }

  async view(id: string): Promise<CommandView | null> {
    const [row] = await sql<{
      id: string;
      status: StreamStatus;
      desired_status: DesiredStatus;
      generation: number;
      observed_generation: number;
      epoch: number;
      leased: boolean;
      owned: boolean;
      updated_at: Date;
    }>(
      this.store,
      `SELECT id, status, desired_status, generation, observed_generation, epoch, updated_at,
              lease_owner IS NOT NULL OR EXISTS (
                SELECT 1 FROM stream_helpers h
                WHERE h.stream_id = streams.id AND h.epoch = streams.epoch AND h.share IS NOT NULL
              ) AS owned,
              lease_owner IS NOT NULL AND ${isHeld('lease_expires_at')} AS leased
       FROM streams WHERE id = $1`,
      [id],
    );
    if (row === undefined) return null;
    return {
      id: row.id,
      status: row.status,
      desired: row.desired_status,
      generation: row.generation,
      observedGeneration: row.observed_generation,
      epoch: row.epoch,
      leased: row.leased,
      owned: row.owned,
      updatedAt: row.updated_at,
    };
  }

  /**
   * Bars the present owner: epoch + 1, no lease, and the status that is now true. Call it after the log has been
   * fenced to `epoch + 1` (Invariant 3). `false`: the row has moved on meanwhile; nothing was changed.
   */
  async fence(id: string, of: { generation: number; epoch: number; status: StreamStatus }): Promise<boolean> {
    const rows = await sql(
      this.store,
      `UPDATE streams SET epoch = epoch + 1, lease_owner = NULL, lease_expires_at = NULL, status = $4, observed_generation = generation,
         blocked = NULL, updated_at = clock_timestamp() WHERE id = $1 AND generation = $2 AND epoch = $3 RETURNING 1`,
      [id, of.generation, of.epoch, of.status],
    );
    return rows.length > 0;
  }

  /** Takes back a command that could not be carried out, if nothing has happened to the stream since. */
  async takeBack(id: string, generation: number, before: { status: string; desired: string }): Promise<boolean> {
    const rows = await sql(
      this.store,
      `UPDATE streams SET generation = generation + 1, observed_generation = generation + 1, desired_status = $3, status = $4, deleting_at = NULL, updated_at = clock_timestamp()
       WHERE id = $1 AND generation = $2 AND observed_generation < generation RETURNING 1`,
      [id, generation, before.desired, before.status],
    );
    return rows.length > 0;
  }
}
