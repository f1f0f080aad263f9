import type { DataSource } from 'typeorm';
import { InUse, NameTaken } from './conflicts.js';
import { violates } from './data-source.js';
import type { Pipeline } from './entities.js';
import { newId } from './id.js';
import { sql } from './sql.js';

export interface PipelineInput {
  readonly name: string;
  readonly output: Readonly<Record<string, unknown>>;
}

export class PipelineStore {
  constructor(private readonly store: DataSource) {}

  async create(workspaceId: string, of: PipelineInput): Promise<Pipeline> {
    const rows = await sql<Pipeline>(
      this.store,
      `INSERT INTO pipelines (id, workspace_id, name, output) VALUES ($1, $2, $3, $4) RETURNING *`,
      [newId('pl'), workspaceId, of.name, JSON.stringify(of.output)],
    ).catch(taken);
    return rows[0]!;
  }

  async get(workspaceId: string, id: string): Promise<Pipeline | null> {
    const rows = await sql<Pipeline>(this.store, `SELECT * FROM pipelines WHERE workspace_id = $1 AND id = $2`, [
      workspaceId,
      id,
    ]);
    return rows[0] ?? null;
  }

  list(workspaceId: string, limit: number, before: string | null): Promise<Pipeline[]> {
    return sql<Pipeline>(
      this.store,
      `SELECT * FROM pipelines WHERE workspace_id = $1 AND ($2::text IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
      [workspaceId, before, limit],
    );
  }

  async update(workspaceId: string, id: string, of: PipelineInput): Promise<Pipeline | null> {
    const rows = await sql<Pipeline>(
      this.store,
      `UPDATE pipelines SET name = $3, output = $4, updated_at = clock_timestamp() WHERE workspace_id = $1 AND id = $2 RETURNING *`,
      [workspaceId, id, of.name, JSON.stringify(of.output)],
    ).catch(taken);
    return rows[0] ?? null;
  }

  /** @throws InUse while a stream feeds it. */
  async remove(workspaceId: string, id: string): Promise<Pipeline | null> {
    const rows = await sql<Pipeline>(
      this.store,
      `DELETE FROM pipelines WHERE workspace_id = $1 AND id = $2 RETURNING *`,
      [workspaceId, id],
    ).catch((error: unknown) => {
      throw violates(error, 'foreign_key') ? new InUse('pipeline') : error;
    });
    return rows[0] ?? null;
  }
}

function taken(error: unknown): never {
  throw violates(error, 'unique') ? new NameTaken('pipeline') : error;
}
