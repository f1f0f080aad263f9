import type { ConnectionSettings } from '@planasonix/core';
import type { DataSource } from 'typeorm';
import { InUse, NameTaken } from './conflicts.js';
import { violates } from './data-source.js';
import type { Connection } from './entities.js';
import { newId } from './id.js';
import { joinSecrets } from './secrets.js';
import type { SecretBox } from './secret-box.js';
import { sql } from './sql.js';

export interface ConnectionInput {
  readonly name: string;
  readonly type: string;
  /** Secrets replaced by the mask. */
  readonly config: Readonly<Record<string, unknown>>;
  /** From `splitSecrets`: what is to be sealed. */
  readonly secrets: string | null;
}

const place = (id: string): string => `connections:${id}`;

export class ConnectionStore {
  constructor(
    private readonly store: DataSource,
    private readonly box: SecretBox,
  ) {}

  async create(workspaceId: string, of: ConnectionInput): Promise<Connection> {
    const id = newId('conn');
    const rows = await sql<Connection>(
      this.store,
      `INSERT INTO connections (id, workspace_id, name, type, config, secrets) VALUES ($1, $2, $3, $4, $5, $6) RETURNING *`,
      [id, workspaceId, of.name, of.type, JSON.stringify(of.config), this.seal(id, of.secrets)],
    ).catch(taken);
    return rows[0]!;
  }

  async get(workspaceId: string, id: string): Promise<Connection | null> {
    const rows = await sql<Connection>(this.store, `SELECT * FROM connections WHERE workspace_id = $1 AND id = $2`, [
      workspaceId,
      id,
    ]);
    return rows[0] ?? null;
  }

  list(workspaceId: string, limit: number, before: string | null): Promise<Connection[]> {
    return sql<Connection>(
      this.store,
      `SELECT * FROM connections WHERE workspace_id = $1 AND ($2::text IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
      [workspaceId, before, limit],
    );
  }

  async update(workspaceId: string, id: string, of: ConnectionInput): Promise<Connection | null> {
    const rows = await sql<Connection>(
      this.store,
      `UPDATE connections SET name = $3, type = $4, config = $5, secrets = $6, updated_at = clock_timestamp() WHERE workspace_id = $1 AND id = $2 RETURNING *`,
      [workspaceId, id, of.name, of.type, JSON.stringify(of.config), this.seal(id, of.secrets)],
    ).catch(taken);
    return rows[0] ?? null;
  }

  /** @throws InUse while a stream reads from it, or the log of a pipeline is reached by it. */
  async remove(workspaceId: string, id: string): Promise<Connection | null> {
    const [logged] = await sql<{ id: string }>(
      this.store,
      `SELECT id FROM pipelines WHERE workspace_id = $1 AND output ->> 'connectionId' = $2 LIMIT 1`,
      [workspaceId, id],
    );
    if (logged !== undefined) throw new InUse('connection', 'pipeline');
    const rows = await sql<Connection>(
      this.store,
      `DELETE FROM connections WHERE workspace_id = $1 AND id = $2 RETURNING *`,
      [workspaceId, id],
    ).catch((error: unknown) => {
      throw violates(error, 'foreign_key') ? new InUse('connection') : error;
    });
    return rows[0] ?? null;
  }

  /** The config with its secrets in the clear, for a driver or to merge a change into. */
  settings(row: Connection): ConnectionSettings {
    return {
      id: row.id,
      type: row.type,
      config: joinSecrets(row.config, row.secrets === null ? null : this.box.open(row.secrets, place(row.id))),
    };
  }

  /** For a worker, which is told an id by the gateway; `null`: gone meanwhile. */
  async settingsOf(id: string): Promise<ConnectionSettings | null> {
    const [row] = await sql<Connection>(this.store, `SELECT * FROM connections WHERE id = $1`, [id]);
    return row === undefined ? null : this.settings(row);
  }

  private seal(id: string, secrets: string | null): string | null {
    return secrets === null ? null : this.box.seal(secrets, place(id));
  }
}

function taken(error: unknown): never {
  throw violates(error, 'unique') ? new NameTaken('connection') : error;
}
