import { losesPosition, type Positions } from '@planasonix/core';
import type { DataSource } from 'typeorm';
import { writeAudit, type Actor } from './audit-store.js';
import type { Stream, WantedPosition } from './entities.js';
import { sql, type Db } from './sql.js';
import { lockStream } from './stream-commands.js';

export interface KnownPositions {
  readonly positions: Positions;
  /** When the newest of them was committed or set; `null`: there is none. */
  readonly committedAt: Date | null;
  /** One that is being set, or that somebody was setting when he died: it holds once it has been set once more. */
  readonly pending: { readonly positions: Positions; readonly since: Date } | null;
}

export type BegunPosition =
  | {
      readonly kind: 'begun';
      /** The epoch under which log and store are written; whoever held a lower one is barred. */
      readonly epoch: number;
      /** What `abandon` goes back to. */
      readonly marked: Mark;
      readonly before: Positions;
    }
  | { readonly kind: 'active' | 'deleting' | 'missing' | 'superseded' };

interface Mark {
  readonly pending: boolean;
  readonly wanted: WantedPosition | null;
}

/**
 * A position in the form that users see: one partition shows as its position. A source's own notebooks are hidden, and
 * so is `rows`, how far the reading of rows has come: it holds keys, which are values of rows.
 */
export function visiblePosition(positions: Positions): unknown {
  const places = [...positions].filter(([partition]) => !partition.startsWith('#'));
  if (places.length === 0) return null;
  if (places.length === 1 && places[0]![0] === '') return parsed(places[0]![1]);
  return Object.fromEntries(places.map(([partition, text]) => [partition, parsed(text)]));
}

/** A position is its source's own JSON text. */
function parsed(text: string): unknown {
  try {
    const place = JSON.parse(text) as unknown;
    if (typeof place !== 'object' || place === null || Array.isArray(place)) return place;
    const { rows: _, ...shown } = place as Record<string, unknown>;
    return shown;
  } catch {
    return text;
  }
}

/** Whether a position may be set, but for a lease that somebody holds: it is not read, and no command is under way. */
export const isAtRest = (row: Stream): boolean =>
  (row.status === 'stopped' || row.status === 'error') && row.generation === row.observed_generation;

/**
 * Setting a position by hand. It lies in two places, the log and here, so it is set in two steps with a mark between
 * them: `begin` takes an epoch of its own and marks the stream, then the log is written, then `finish` makes it so
 * here. Whoever dies between leaves the mark, and a marked stream does not start until a position has been set.
 */
export class PositionStore {
  constructor(private readonly store: DataSource) {}

  async read(streamId: string): Promise<KnownPositions> {
    return readFrom(this.store, streamId);
  }

  /** @param seen the row that the wish was judged by; anything that has happened since supersedes it. */
  async begin(
    actor: Actor,
    id: string,
    seen: Pick<Stream, 'generation' | 'epoch'>,
    wanted: Positions,
  ): Promise<BegunPosition> {
    return this.store.transaction(async (tx): Promise<BegunPosition> => {
      const row = await lockStream(tx, actor, id);
      if (row === null) return { kind: 'missing' };
      if (row.being_deleted) return { kind: 'deleting' };
      if (!isAtRest(row) || row.is_leased) return { kind: 'active' };
      if (row.generation !== seen.generation || row.epoch !== seen.epoch) return { kind: 'superseded' };
      const { positions } = await readFrom(tx, id);
      await sql(
        tx,
        `UPDATE streams SET epoch = epoch + 1, lease_owner = NULL, lease_expires_at = NULL, position_pending = true,
           position_wanted = jsonb_build_object('since', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'positions', $2::jsonb)
         WHERE id = $1`,
        [id, JSON.stringify([...wanted])],
      );
      return {
        kind: 'begun',
        epoch: row.epoch + 1,
        marked: { pending: row.position_pending, wanted: row.position_wanted },
        before: positions,
      };
    });
  }

  /** The log was not touched: as before. */
  async abandon(id: string, epoch: number, { pending, wanted }: Mark): Promise<void> {
    await sql(
      this.store,
      `UPDATE streams SET position_pending = $3, position_wanted = $4 WHERE id = $1 AND epoch = $2`,
      [id, epoch, pending, wanted === null ? null : JSON.stringify(wanted)],
    );
  }

  /**
   * The log has it: so it is here. A stream that was in `error` for its lost position has one again and is `stopped`.
   * `null`: the row has moved on meanwhile; nothing was changed.
   */
  async finish(
    actor: Actor,
    id: string,
    { epoch, before }: { readonly epoch: number; readonly before: Positions },
    positions: Positions,
  ): Promise<KnownPositions | null> {
    return this.store.transaction(async (tx) => {
      const row = await lockStream(tx, actor, id);
      if (row === null || row.epoch !== epoch || !row.position_pending || !isAtRest(row) || row.is_leased) return null;
      const found = row.status === 'error' && losesPosition(row.last_error?.code ?? '');
      await sql(
        tx,
        `UPDATE streams SET position_pending = false, position_wanted = NULL, on_lost_position = NULL, updated_at = clock_timestamp(),
           status = CASE WHEN $2 THEN 'stopped' ELSE status END, desired_status = CASE WHEN $2 THEN 'stopped' ELSE desired_status END,
           last_error = CASE WHEN $2 THEN NULL ELSE last_error END WHERE id = $1`,
        [id, found],
      );
      await sql(tx, `DELETE FROM stream_positions WHERE stream_id = $1`, [id]);
      await sql(
        tx,
        `INSERT INTO stream_positions (stream_id, partition, position, epoch)
         SELECT $1, p.partition, p.position, $4 FROM unnest($2::text[], $3::text[]) AS p(partition, position)`,
        [id, [...positions.keys()], [...positions.values()], epoch],
      );
      await writeAudit(tx, actor, {
        action: 'stream.set_position',
        resourceType: 'stream',
        resourceId: id,
        before: { position: visiblePosition(before), status: row.status },
        after: { position: visiblePosition(positions), status: found ? 'stopped' : row.status },
      });
      return readFrom(tx, id);
    });
  }
}

async function readFrom(db: Db, streamId: string): Promise<KnownPositions> {
  const rows = await sql<{ partition: string; position: string; updated_at: Date }>(
    db,
    `SELECT partition, position, updated_at FROM stream_positions WHERE stream_id = $1 ORDER BY updated_at`,
    [streamId],
  );
  const [row] = await sql<Pick<Stream, 'position_wanted'>>(
    db,
    `SELECT position_wanted FROM streams WHERE id = $1 AND position_pending`,
    [streamId],
  );
  const wanted = row?.position_wanted ?? null;
  return {
    positions: new Map(rows.map((row) => [row.partition, row.position])),
    committedAt: rows.at(-1)?.updated_at ?? null,
    pending: wanted === null ? null : { positions: new Map(wanted.positions), since: new Date(wanted.since) },
  };
}
