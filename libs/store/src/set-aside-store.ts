import type { DataSource } from 'typeorm';
import { sql } from './sql.js';

export interface SetAsideRow {
  /** Place in the order of setting aside. */
  readonly id: string;
  readonly record_id: string;
  readonly place: string;
  readonly reason: string;
  readonly record_at: Date | null;
  readonly set_aside_at: Date;
}

/** Records that were set aside, from the gateway's side; filtered by workspace (trap 36). Workers write them. */
export class SetAsideStore {
  constructor(private readonly store: DataSource) {}

  /** Newest first, those before `before`. */
  list(workspaceId: string, streamId: string, limit: number, before: string | null): Promise<SetAsideRow[]> {
    return sql<SetAsideRow>(
      this.store,
      `SELECT a.seq::text AS id, a.record_id, a.place, a.reason, a.record_at, a.set_aside_at
       FROM set_aside a JOIN streams s ON s.id = a.stream_id
       WHERE s.workspace_id = $1 AND a.stream_id = $2 AND ($3::bigint IS NULL OR a.seq < $3) ORDER BY a.seq DESC LIMIT $4`,
      [workspaceId, streamId, before, limit],
    );
  }
}
