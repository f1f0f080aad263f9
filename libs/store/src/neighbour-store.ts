import type { PipelineOutput } from '@planasonix/core';
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

/** Streams beside a stream: of its workspace, for no other may be known. */
export class NeighbourStore {
  constructor(private readonly store: DataSource) {}

  /** All of a type but this one. */
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
}
