import type { DataSource } from 'typeorm';
import type { Workspace } from './entities.js';
import { newId } from './id.js';
import { sql, type Db } from './sql.js';

export async function insertWorkspace(db: Db, name: string): Promise<Workspace> {
  const [row] = await sql<Workspace>(db, `INSERT INTO workspaces (id, name) VALUES ($1, $2) RETURNING *`, [
    newId('ws'),
    name,
  ]);
  return row!;
}

export class WorkspaceStore {
  constructor(private readonly store: DataSource) {}

  /** One without a key: nobody can enter it. */
  create(name: string): Promise<Workspace> {
    return insertWorkspace(this.store, name);
  }
}
