import type { DataSource } from 'typeorm';
import { writeAudit, type Actor } from './audit-store.js';
import { depart, type DepartedLog } from './departed-log-store.js';
import type { Stream } from './entities.js';
import { sql } from './sql.js';
import { effectiveStatus, lockStream, ring } from './stream-commands.js';

export type BegunDeletion =
  | {
      readonly kind: 'begun';
      /** Names this deletion: whatever happens to the stream from here on ends it. */
      readonly generation: number;
      /** What to go back to. */
      readonly before: { readonly status: string; readonly desired: string };
    }
  | { readonly kind: 'deleting' | 'missing' };

/** What could not be given back at the source, for the janitor. */
export interface Left {
  readonly id: string;
  readonly sourceType: string;
  readonly spec: string;
  readonly remaining: unknown;
}

/** Deleting a stream, in two transactions with all that has to be given back between them. */
export class StreamDeletion {
  constructor(private readonly store: DataSource) {}

  /** From here on no worker takes it up and no command is accepted, nor another deletion. It is to be stopped. */
  async begin(actor: Actor, id: string): Promise<BegunDeletion> {
    return this.store.transaction(async (tx): Promise<BegunDeletion> => {
      const row = await lockStream(tx, actor, id);
      if (row === null) return { kind: 'missing' };
      if (row.being_deleted) return { kind: 'deleting' };
      const [after] = await sql<Stream>(
        tx,
        `UPDATE streams SET deleting_at = clock_timestamp(), desired_status = 'stopped', generation = generation + 1 WHERE id = $1 RETURNING *`,
        [id],
      );
      await ring(tx, after!);
      // It stays stopped also where the rest of the deletion fails.
      if (!['created', 'stopped'].includes(effectiveStatus(row)))
        await writeAudit(tx, actor, {
          action: 'stream.stop',
          resourceType: 'stream',
          resourceId: id,
          before: { status: row.status },
          after: { status: 'stopped', for: 'delete' },
        });
      return {
        kind: 'begun',
        generation: after!.generation,
        before: { status: row.status, desired: row.desired_status },
      };
    });
  }

  /** It stays, as it is now; unless something has happened to it since. */
  async abort(id: string, generation: number): Promise<void> {
    await sql(this.store, `UPDATE streams SET deleting_at = NULL WHERE id = $1 AND generation = $2`, [id, generation]);
  }

  /**
   * Removes the metadata. In the same transaction what could not be given back is left to the janitor, and the log to
   * whoever comes first. Only from here on is anything taken away: a log without a row can't be missed by its stream.
   * `superseded`: the stream has moved on since the deletion began, and stays.
   */
  async finish(
    actor: Actor,
    id: string,
    generation: number,
    log: DepartedLog,
    left: Left | null,
  ): Promise<'removed' | 'superseded' | 'missing'> {
    return this.store.transaction(async (tx) => {
      const row = await lockStream(tx, actor, id);
      if (row === null) return 'missing';
      if (row.generation !== generation) return 'superseded';
      await sql(tx, `DELETE FROM streams WHERE id = $1`, [id]);
      await sql(tx, `DELETE FROM outbox WHERE stream_id = $1`, [id]);
      await depart(tx, log);
      if (left !== null)
        await sql(
          tx,
          `INSERT INTO forgotten (id, workspace_id, stream_id, source_type, spec, remaining) VALUES ($1, $2, $3, $4, $5, $6)`,
          [left.id, actor.workspaceId, id, left.sourceType, left.spec, JSON.stringify(left.remaining)],
        );
      await writeAudit(tx, actor, {
        action: 'stream.delete',
        resourceType: 'stream',
        resourceId: id,
        before: { name: row.name, status: row.status, config: row.config },
        after: left === null ? null : { not_given_back: left.remaining },
      });
      return 'removed';
    });
  }
}
