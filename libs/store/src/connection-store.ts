import type { ConnectionSettings } from '@planasonix/core';
import type { DataSource } from 'typeorm';
import { writeAudit, type Actor } from './audit-store.js';
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

const about = (what: string, id: string) => ({
  action: `connection.${what}`,
  resourceType: 'connection',
  resourceId: id,
});
/** Secrets are masked in the row. */
const told = (row: Connection) => ({ name: row.name, type: row.type, config: row.config });

const place = (id: string): string => `connections:${id}`;

/** Connections, each change in one transaction with its audit entry. */
export class ConnectionStore {
  constructor(
    private readonly store: DataSource,
    private readonly box: SecretBox,
  ) {}

  async create(actor: Actor, of: ConnectionInput): Promise<Connection> {
    const id = newId('conn');
    return this.store.transaction(async (tx) => {
      const [row] = await sql<Connection>(
        tx,
        `INSERT INTO connections (id, workspace_id, name, type, config, secrets) VALUES ($1, $2, $3, $4, $5, $6) RETURNING *`,
        [id, actor.workspaceId, of.name, of.type, JSON.stringify(of.config), this.seal(id, of.secrets)],
      ).catch(taken);
      await writeAudit(tx, actor, { ...about('create', id), after: told(row!) });
      return row!;
    });
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

  /**
   * Its streams see in their config revision that there is something new.
   * @param secretsChanged for the audit log, which does not hold the secrets
   * @param over what the caller has read, and taken secrets from. @returns `changed`: it is that no more
   */
  async update(
    actor: Actor,
    over: Connection,
    of: ConnectionInput,
    secretsChanged: boolean,
  ): Promise<Connection | 'changed' | null> {
    const { id } = over;
    return this.store.transaction(async (tx) => {
      const [before] = await sql<Connection>(
        tx,
        `SELECT * FROM connections WHERE workspace_id = $1 AND id = $2 FOR UPDATE`,
        [actor.workspaceId, id],
      );
      if (before === undefined) return null;
      // Secrets are sealed anew with each change; where there are none the time tells.
      if (before.secrets !== over.secrets || before.updated_at.getTime() !== over.updated_at.getTime())
        return 'changed';
      const [row] = await sql<Connection>(
        tx,
        `UPDATE connections SET name = $2, type = $3, config = $4, secrets = $5, updated_at = clock_timestamp() WHERE id = $1 RETURNING *`,
        [id, of.name, of.type, JSON.stringify(of.config), this.seal(id, of.secrets)],
      ).catch(taken);
      await sql(tx, `UPDATE streams SET config_revision = config_revision + 1 WHERE connection_id = $1`, [id]);
      const after = { ...told(row!), secrets_changed: secretsChanged };
      await writeAudit(tx, actor, { ...about('update', id), before: told(before), after });
      return row!;
    });
  }

  /** @throws InUse while a stream reads from it, or the log of a pipeline is reached by it. */
  async remove(actor: Actor, id: string): Promise<Connection | null> {
    return this.store.transaction(async (tx) => {
      const [logged] = await sql<{ id: string }>(
        tx,
        `SELECT id FROM pipelines WHERE workspace_id = $1 AND output ->> 'connectionId' = $2 LIMIT 1`,
        [actor.workspaceId, id],
      );
      if (logged !== undefined) throw new InUse('connection', 'pipeline');
      const [row] = await sql<Connection>(
        tx,
        `DELETE FROM connections WHERE workspace_id = $1 AND id = $2 RETURNING *`,
        [actor.workspaceId, id],
      ).catch((error: unknown) => {
        throw violates(error, 'foreign_key') ? new InUse('connection') : error;
      });
      if (row === undefined) return null;
      await writeAudit(tx, actor, { ...about('delete', id), before: told(row) });
      return row;
    });
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
