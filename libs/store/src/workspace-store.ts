import type { DataSource } from 'typeorm';
import type { Workspace } from './entities.js';
import { newId } from './id.js';
import { sql } from './sql.js';

export class WorkspaceStore {
  constructor(private readonly store: DataSource) {}

  async create(name: string): Promise<Workspace> {
    const rows = await sql<Workspace>(this.store, `INSERT INTO workspaces (id, name) VALUES ($1, $2) RETURNING *`, [
      newId('ws'),
      name,
    ]);
    return rows[0]!;
  }
}
