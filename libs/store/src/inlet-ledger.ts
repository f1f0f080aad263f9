import type { DesiredStatus, Held, LastError, PipelineOutput, StreamStatus } from '@planasonix/core';
import type { DataSource } from 'typeorm';
import type { Stream } from './entities.js';
import { isHeld, lasts } from './lease.js';
import { unsealed } from './secrets.js';
import type { SecretBox } from './secret-box.js';
import { sql } from './sql.js';
import { streamSecretPlace } from './stream-store.js';

/** For so long after an instance has begun an opening, or said that it is still at it, no other may try. */
const OPENING = `interval '3 seconds'`;
/** The place in `stream_positions` of the log's mark. A name with `#` is not shown to users. */
const MARK = '#log';

/** A stream that every instance serves, as the store has it. */
export interface ServedStream {
  readonly id: string;
  readonly name: string;
  readonly workspaceId: string;
  readonly token: string;
  /** Changes with everything that is here. */
  readonly version: string;
  /** Secrets in the clear. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Why its secrets are not in `config`; `null`: they are. */
  readonly sealed: string | null;
  readonly output: PipelineOutput;
  readonly status: StreamStatus;
  readonly desired: DesiredStatus;
  readonly generation: number;
  readonly epoch: number;
  /** The row says that deliveries find no room. */
  readonly isBlocked: boolean;
  /** Somebody has to open its log: it was started, resumed, or opening it failed. */
  readonly isDue: boolean;
}

type Row = Stream & { readonly output: PipelineOutput; readonly version: string; readonly due: boolean };

const VERSION = `concat_ws(':', s.generation, s.epoch, s.status, s.desired_status, s.observed_generation, s.blocked IS NULL, extract(epoch FROM s.updated_at),
  extract(epoch FROM p.updated_at), s.ingest_token)`;
const FREE = `(s.lease_owner IS NULL OR NOT ${isHeld('s.lease_expires_at')})`;
const IS_DUE = `s.desired_status = 'running' AND s.status <> 'error' AND s.deleting_at IS NULL
  AND (s.status <> 'running' OR s.observed_generation < s.generation)
  AND ${FREE}`;
const FROM = `FROM streams s JOIN pipelines p ON p.id = s.pipeline_id WHERE s.source_type = $1 AND s.ingest_token IS NOT NULL`;

/**
 * Streams with many writers and no single reader. Nobody holds a lease on one that runs: what holds is the epoch, that
 * of the row and that of the log. Whoever opens a stream leaves his name and a lease that has run out, so that the
 * gateway makes a stop or a pause true by itself: it fences the log, then the row (Invariant 3).
 */
export class InletLedger {
  constructor(
    private readonly store: DataSource,
    private readonly box: SecretBox,
  ) {}

  /** Id → version of each stream of the type, and whether it is due. */
  async versions(sourceType: string): Promise<ReadonlyMap<string, string>> {
    const rows = await sql<{ id: string; version: string; due: boolean }>(
      this.store,
      `SELECT s.id, ${VERSION} AS version, ${IS_DUE} AS due ${FROM}`,
      [sourceType],
    );
    return new Map(rows.map(({ id, version, due }) => [id, `${version}${due ? '!' : ''}`]));
  }

  async streams(sourceType: string, ids: readonly string[]): Promise<readonly ServedStream[]> {
    if (ids.length === 0) return [];
    const rows = await sql<Row>(
      this.store,
      `SELECT s.*, p.output, ${VERSION} AS version, ${IS_DUE} AS due ${FROM} AND s.id = ANY($2)`,
      [sourceType, ids],
    );
    return rows.map((row) => this.servedOf(row));
  }

  /**
   * Begins to open a stream: epoch + 1, and for some seconds nobody else does. `null`: not due any more, or somebody is at it.
   * @param again also one that runs, if it still has this epoch: its log is not what it was
   */
  async beginOpening(
    instance: string,
    id: string,
    again: number | null,
  ): Promise<{ readonly held: Held; readonly generation: number; readonly mark: string | null } | null> {
    const [row] = await sql<{
      epoch: number;
      generation: number;
      mark: string | null;
      on_lost_position: string | null;
    }>(
      this.store,
      `UPDATE streams s SET epoch = epoch + 1, lease_owner = $1, lease_expires_at = clock_timestamp() + ${OPENING}
       WHERE id = $2 AND ((${IS_DUE}) OR (epoch = $3 AND status = 'running' AND desired_status = 'running' AND deleting_at IS NULL
           AND ${FREE}))
       RETURNING epoch, generation, on_lost_position,
         (SELECT position FROM stream_positions WHERE stream_id = s.id AND partition = '${MARK}') AS mark`,
      [instance, id, again],
    );
    if (row === undefined) return null;
    const { epoch, generation, mark, on_lost_position: lost } = row;
    return {
      held: { streamId: id, epoch },
      generation,
      mark: lost === null && mark !== null ? (JSON.parse(mark) as string) : null,
    };
  }

  /** Still at it, if nobody wants anything else by now. One that has ended, or has run out, is not taken up again. */
  async keepOpening({ streamId, epoch }: Held, generation: number): Promise<void> {
    await sql(
      this.store,
      `UPDATE streams SET lease_expires_at = clock_timestamp() + ${OPENING}
       WHERE id = $1 AND epoch = $2 AND generation = $3 AND deleting_at IS NULL AND ${lasts('lease_expires_at')}`,
      [streamId, epoch, generation],
    );
  }

  /** The log is open under this epoch: says `running`. `false`: a newer command or owner decides. */
  async opened({ streamId, epoch }: Held, generation: number, mark: string): Promise<boolean> {
    const rows = await sql(
      this.store,
      `WITH owner AS (UPDATE streams SET status = 'running', observed_generation = generation, last_error = NULL, blocked = NULL,
           on_lost_position = NULL, lease_expires_at = clock_timestamp(), updated_at = clock_timestamp()
         WHERE id = $1 AND epoch = $2 AND generation = $3 AND desired_status = 'running' AND deleting_at IS NULL RETURNING id, epoch)
       INSERT INTO stream_positions (stream_id, partition, position, epoch) SELECT id, '${MARK}', $4, epoch FROM owner
       ON CONFLICT (stream_id, partition) DO UPDATE SET position = excluded.position, epoch = excluded.epoch, updated_at = clock_timestamp()
       RETURNING 1`,
      [streamId, epoch, generation, JSON.stringify(mark)],
    );
    return rows.length > 0;
  }

  /** The opening came to nothing; `error`: and will not without a user. Another look may try again otherwise. */
  async notOpened({ streamId, epoch }: Held, generation: number, why: LastError | null, error: boolean): Promise<void> {
    await sql(
      this.store,
      `UPDATE streams SET lease_expires_at = clock_timestamp(), last_error = CASE WHEN generation = $3 THEN coalesce($4::jsonb, last_error) ELSE last_error END,
         status = CASE WHEN $5 AND generation = $3 THEN 'error' ELSE status END,
         observed_generation = CASE WHEN $5 AND generation = $3 THEN generation ELSE observed_generation END,
         updated_at = clock_timestamp()
       WHERE id = $1 AND epoch = $2`,
      [streamId, epoch, generation, why === null ? null : JSON.stringify(why), error],
    );
  }

  /** Shows, or no longer shows, that deliveries find no room in the log. */
  async blocked({ streamId, epoch }: Held, reason: string | null): Promise<void> {
    await sql(
      this.store,
      `UPDATE streams SET blocked = $3::jsonb WHERE id = $1 AND epoch = $2 AND status = 'running'`,
      [streamId, epoch, reason === null ? null : JSON.stringify({ reason })],
    );
  }

  private servedOf(row: Row): ServedStream {
    const { config, sealed } = unsealed(this.box, row.config, row.secrets, streamSecretPlace(row.id));
    return {
      id: row.id,
      name: row.name,
      workspaceId: row.workspace_id,
      token: row.ingest_token!,
      version: `${row.version}${row.due ? '!' : ''}`,
      config,
      sealed,
      output: row.output,
      status: row.status as StreamStatus,
      desired: row.desired_status as DesiredStatus,
      generation: row.generation,
      epoch: row.epoch,
      isBlocked: row.blocked !== null,
      isDue: row.due,
    };
  }
}
