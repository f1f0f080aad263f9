import type { PipelineOutput, Sharer, StreamSpec } from '@planasonix/core';
import type { DataSource } from 'typeorm';
import { sql } from './sql.js';

/** A stream as others see it. Secrets in its config are masked. */
export interface NeighbourRow {
  readonly id: string;
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly connection_id: string | null;
  readonly pipeline_id: string;
  readonly output: PipelineOutput;
  /** It is to run, and nothing keeps it from that. */
  readonly runs: boolean;
}

/** Streams beside a stream. */
export class NeighbourStore {
  constructor(private readonly store: DataSource) {}

  /** All of a type and of its workspace, for no other may be shown, but this one. */
  of(workspaceId: string, sourceType: string, streamId: string): Promise<NeighbourRow[]> {
    return sql<NeighbourRow>(
      this.store,
      `SELECT s.id, s.name, s.config, s.connection_id, s.pipeline_id, p.output,
         s.desired_status IN ('running', 'paused') AND s.status <> 'error' AS runs
       FROM streams s JOIN pipelines p ON p.id = s.pipeline_id
       WHERE s.workspace_id = $1 AND s.source_type = $2 AND s.id <> $3 ORDER BY s.id`,
      [workspaceId, sourceType, streamId],
    );
  }

  /**
   * Streams of a type that were started, whosever they are, whose connection is that of `of` or has its host and port. One without a port
   * has any: which one is meant only the source knows.
   */
  async sharers(
    sourceType: string,
    { id, connection }: Pick<StreamSpec, 'id' | 'connection'>,
  ): Promise<readonly Sharer[]> {
    if (connection === null) return [];
    const { host, port } = connection.config;
    return sql<Sharer>(
      this.store,
      `SELECT s.config, c.config ->> 'database' AS database FROM streams s JOIN connections c ON c.id = s.connection_id
       WHERE s.source_type = $1 AND s.id <> $2 AND s.status <> 'created' AND (c.id = $3 OR lower(c.config ->> 'host') = lower($4)
         AND coalesce(c.config ->> 'port', $5) IS NOT DISTINCT FROM coalesce($5, c.config ->> 'port'))`,
      [sourceType, id, connection.id, textOf(host), textOf(port)],
    );
  }
}

const textOf = (value: unknown): string | null =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : null;
