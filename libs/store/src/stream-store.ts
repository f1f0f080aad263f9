import type { StreamStatus } from '@planasonix/core';
import type { DataSource, EntityManager } from 'typeorm';
import { writeAudit, type Actor } from './audit-store.js';
import { NameTaken } from './conflicts.js';
import { violates } from './data-source.js';
import type { Stream } from './entities.js';
import { newId } from './id.js';
import { joinSecrets, type SplitConfig } from './secrets.js';
import type { SecretBox } from './secret-box.js';
import { lockStream } from './stream-commands.js';
import { sql, type Db } from './sql.js';

export interface StreamInput {
  readonly name: string;
  readonly sourceType: string;
  readonly pipelineId: string;
  readonly connectionId: string | null;
  readonly config: Readonly<Record<string, unknown>>;
  readonly secrets: string | null;
  readonly ingestToken?: string | null;
}

export interface StreamFilter {
  readonly status?: string | undefined;
  readonly source_type?: string | undefined;
  readonly pipeline_id?: string | undefined;
}

export const streamSecretPlace = (id: string): string => `streams:${id}`;

/** Streams as the gateway sees them: rows, filtered by workspace in every statement (trap 36). */
export class StreamStore {
  constructor(
    private readonly store: DataSource,
    private readonly box: SecretBox,
  ) {}

  async create(actor: Actor, of: StreamInput): Promise<Stream> {
    const id = newId('str');
    return this.store.transaction(async (tx) => {
      const rows = await sql<Stream>(
        tx,
        `INSERT INTO streams (id, workspace_id, name, source_type, pipeline_id, connection_id, config, secrets, ingest_token)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *`,
        [
          id,
          actor.workspaceId,
          of.name,
          of.sourceType,
          of.pipelineId,
          of.connectionId,
          JSON.stringify(of.config),
          this.seal(id, of.secrets),
          of.ingestToken ?? null,
        ],
      ).catch(taken);
      await writeAudit(tx, actor, {
        action: 'stream.create',
        resourceType: 'stream',
        resourceId: id,
        after: { name: of.name, source_type: of.sourceType, config: of.config },
      });
      return rows[0]!;
    });
  }

  async get(workspaceId: string, id: string): Promise<Stream | null> {
    const rows = await sql<Stream>(this.store, `SELECT * FROM streams WHERE workspace_id = $1 AND id = $2`, [
      workspaceId,
      id,
    ]);
    return rows[0] ?? null;
  }

  /** Newest first, those before `before`. */
  list(workspaceId: string, filter: StreamFilter, limit: number, before: string | null): Promise<Stream[]> {
    return sql<Stream>(
      this.store,
      `SELECT * FROM streams WHERE workspace_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR source_type = $3)
         AND ($4::text IS NULL OR pipeline_id = $4) AND ($5::text IS NULL OR id < $5) ORDER BY id DESC LIMIT $6`,
      [workspaceId, filter.status ?? null, filter.source_type ?? null, filter.pipeline_id ?? null, before, limit],
    );
  }

  /** A stream of that connection whose config says so too; `null`: there is none. */
  async named(
    workspaceId: string,
    connectionId: string,
    of: { readonly key: string; readonly value: string; readonly except: string | null },
  ): Promise<Pick<Stream, 'id' | 'name'> | null> {
    const [row] = await sql<Pick<Stream, 'id' | 'name'>>(
      this.store,
      `SELECT id, name FROM streams WHERE workspace_id = $1 AND connection_id = $2 AND config ->> $3::text = $4
         AND ($5::text IS NULL OR id <> $5) ORDER BY id LIMIT 1`,
      [workspaceId, connectionId, of.key, of.value, of.except],
    );
    return row ?? null;
  }

  async countByStatus(workspaceId: string): Promise<Map<StreamStatus, number>> {
    const rows = await sql<{ status: StreamStatus; n: number }>(
      this.store,
      `SELECT status, count(*)::int AS n FROM streams WHERE workspace_id = $1 GROUP BY status`,
      [workspaceId],
    );
    return new Map(rows.map((row) => [row.status, row.n]));
  }

  async ids(workspaceId: string): Promise<string[]> {
    return (await sql<{ id: string }>(this.store, `SELECT id FROM streams WHERE workspace_id = $1`, [workspaceId])).map(
      (row) => row.id,
    );
  }

  /** The config with its secrets in the clear. */
  settings(row: Stream): Record<string, unknown> {
    return joinSecrets(row.config, row.secrets === null ? null : this.box.open(row.secrets, streamSecretPlace(row.id)));
  }

  /**
   * Name and config, the latter only while nothing reads (checked in the statement itself).
   * @param of.over the config revision that the config was made over
   * @returns the row, `'busy'` when the config can't be changed now, `'changed'` when it is over another than what is
   *   there by now, or `null` when there is no such stream.
   */
  async patch(
    actor: Actor,
    id: string,
    of: { name?: string; config?: Readonly<Record<string, unknown>>; secrets?: string | null; over?: number },
  ): Promise<Stream | 'busy' | 'changed' | null> {
    return this.store.transaction(async (tx) => {
      const [before] = await sql<Stream>(tx, `SELECT * FROM streams WHERE workspace_id = $1 AND id = $2 FOR UPDATE`, [
        actor.workspaceId,
        id,
      ]);
      if (before === undefined) return null;
      const settled =
        before.generation === before.observed_generation && before.status !== 'starting' && before.status !== 'running';
      if (of.config !== undefined && !settled && before.status !== 'created') return 'busy';
      if (of.over !== undefined && of.over !== before.config_revision) return 'changed';
      const [after] = await sql<Stream>(
        tx,
        `UPDATE streams SET name = coalesce($2, name), config = coalesce($3::jsonb, config), secrets = CASE WHEN $3::jsonb IS NULL THEN secrets ELSE $4 END,
           config_revision = config_revision + CASE WHEN $3::jsonb IS NULL THEN 0 ELSE 1 END,
           updated_at = clock_timestamp() WHERE id = $1 RETURNING *`,
        [
          id,
          of.name ?? null,
          of.config === undefined ? null : JSON.stringify(of.config),
          of.secrets ? this.seal(id, of.secrets) : null,
        ],
      ).catch(taken);
      await writeAudit(tx, actor, {
        action: 'stream.update',
        resourceType: 'stream',
        resourceId: id,
        before: { name: before.name, config: before.config },
        after: { name: after!.name, config: after!.config },
      });
      return after!;
    });
  }

  /**
   * Changes the config also while the stream runs: only for what takes effect in mid-stream. The revision grows, so that
   * a `patch` that was made over the config before does not undo it; what runs goes on.
   * @param change gets the config with its secrets in the clear; what it throws undoes all.
   * @param keep called in the transaction, for what has to be there exactly if the change is
   */
  async reconfigure(
    actor: Actor,
    id: string,
    action: string,
    change: (config: Record<string, unknown>) => SplitConfig,
    keep: (db: Db, row: Stream) => Promise<void> = () => Promise.resolve(),
  ): Promise<Stream | null> {
    return this.store.transaction(async (tx) => {
      const before = await lockStream(tx, actor, id);
      if (before === null) return null;
      const { shown, secrets } = change(this.settings(before));
      const set = 'config = $2::jsonb, secrets = $3, config_revision = config_revision + 1';
      const values = [JSON.stringify(shown), this.seal(id, secrets)];
      const after = await this.altered(tx, actor, { id, action, before }, set, values);
      await keep(tx, after);
      return after;
    });
  }

  /** The address before it is unknown from here on. */
  async rotateIngestToken(actor: Actor, id: string, token: string): Promise<Stream | null> {
    return this.store.transaction(async (tx) => {
      const before = await lockStream(tx, actor, id);
      if (before === null) return null;
      return this.altered(tx, actor, { id, action: 'stream.rotate_ingest_url', before }, 'ingest_token = $2', [token]);
    });
  }

  private async altered(
    tx: EntityManager,
    actor: Actor,
    of: { readonly id: string; readonly action: string; readonly before: Stream },
    set: string,
    values: readonly unknown[],
  ): Promise<Stream> {
    const [after] = await sql<Stream>(
      tx,
      `UPDATE streams SET ${set}, updated_at = clock_timestamp() WHERE id = $1 RETURNING *`,
      [of.id, ...values],
    );
    await writeAudit(tx, actor, {
      action: of.action,
      resourceType: 'stream',
      resourceId: of.id,
      before: { config: of.before.config },
      after: { config: after!.config },
    });
    return after!;
  }

  /** Position per partition, as the worker last committed it. */
  async positions(id: string): Promise<ReadonlyMap<string, string>> {
    const rows = await sql<{ partition: string; position: string }>(
      this.store,
      `SELECT partition, position FROM stream_positions WHERE stream_id = $1`,
      [id],
    );
    return new Map(rows.map((row) => [row.partition, row.position]));
  }

  /** id → epoch and age of all streams there are, for those who check reports. */
  async epochs(ids: readonly string[]): Promise<Map<string, { epoch: number; createdAt: Date }>> {
    const rows = await sql<{ id: string; epoch: number; created_at: Date }>(
      this.store,
      `SELECT id, epoch, created_at FROM streams WHERE id = ANY($1)`,
      [ids],
    );
    return new Map(rows.map((row) => [row.id, { epoch: row.epoch, createdAt: row.created_at }]));
  }

  private seal(id: string, secrets: string | null): string | null {
    return secrets === null ? null : this.box.seal(secrets, streamSecretPlace(id));
  }
}

function taken(error: unknown): never {
  throw violates(error, 'unique') ? new NameTaken('stream') : error;
}
