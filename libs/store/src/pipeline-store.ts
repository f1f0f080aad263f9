import type { DataSource } from 'typeorm';
import { writeAudit, type Actor } from './audit-store.js';
import { InUse, NameTaken } from './conflicts.js';
import { violates } from './data-source.js';
import type { Pipeline } from './entities.js';
import { newId } from './id.js';
import { sql } from './sql.js';

export interface PipelineInput {
  readonly name: string;
  readonly output: Readonly<Record<string, unknown>>;
}

const about = (what: string, id: string) => ({
  action: `pipeline.${what}`,
  resourceType: 'pipeline',
  resourceId: id,
});
const told = (row: Pipeline) => ({ name: row.name, output: row.output });

/** Pipelines, each change in one transaction with its audit entry. */
export class PipelineStore {
  constructor(private readonly store: DataSource) {}

  async create(actor: Actor, of: PipelineInput): Promise<Pipeline> {
    return this.store.transaction(async (tx) => {
      const [row] = await sql<Pipeline>(
        tx,
        `INSERT INTO pipelines (id, workspace_id, name, output) VALUES ($1, $2, $3, $4) RETURNING *`,
        [newId('pl'), actor.workspaceId, of.name, JSON.stringify(of.output)],
      ).catch(taken);
      await writeAudit(tx, actor, { ...about('create', row!.id), after: told(row!) });
      return row!;
    });
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

  async update(actor: Actor, id: string, of: PipelineInput): Promise<Pipeline | null> {
    return this.store.transaction(async (tx) => {
      const [before] = await sql<Pipeline>(
        tx,
        `SELECT * FROM pipelines WHERE workspace_id = $1 AND id = $2 FOR UPDATE`,
        [actor.workspaceId, id],
      );
      if (before === undefined) return null;
      const [row] = await sql<Pipeline>(
        tx,
        `UPDATE pipelines SET name = $2, output = $3, updated_at = clock_timestamp() WHERE id = $1 RETURNING *`,
        [id, of.name, JSON.stringify(of.output)],
      ).catch(taken);
      await writeAudit(tx, actor, { ...about('update', id), before: told(before), after: told(row!) });
      return row!;
    });
  }

  /** @throws InUse while a stream feeds it. */
  async remove(actor: Actor, id: string): Promise<Pipeline | null> {
    return this.store.transaction(async (tx) => {
      const [row] = await sql<Pipeline>(tx, `DELETE FROM pipelines WHERE workspace_id = $1 AND id = $2 RETURNING *`, [
        actor.workspaceId,
        id,
      ]).catch((error: unknown) => {
        throw violates(error, 'foreign_key') ? new InUse('pipeline') : error;
      });
      if (row === undefined) return null;
      await writeAudit(tx, actor, { ...about('delete', id), before: told(row) });
      return row;
    });
  }
}

function taken(error: unknown): never {
  throw violates(error, 'unique') ? new NameTaken('pipeline') : error;
}
