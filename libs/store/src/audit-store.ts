import type { DataSource } from 'typeorm';
import type { AuditEntry } from './entities.js';
import { sql, type Db } from './sql.js';

/** Who did it, with which key, from where. */
export interface Actor {
  readonly workspaceId: string;
  readonly keyId: string | null;
  readonly address: string | null;
  readonly requestId: string | null;
}

export interface AuditInput {
  readonly action: string;
  readonly resourceType: string;
  readonly resourceId: string | null;
  /** Secrets masked. */
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Append-only: a trigger in the database refuses changes. */
export async function writeAudit(db: Db, actor: Actor, of: AuditInput): Promise<void> {
  await sql(
    db,
    `INSERT INTO audit_log (workspace_id, key_id, action, resource_type, resource_id, before, after, address, request_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [
      actor.workspaceId,
      actor.keyId,
      of.action,
      of.resourceType,
      of.resourceId,
      json(of.before),
      json(of.after),
      actor.address,
      actor.requestId,
    ],
  );
}

const json = (value: unknown): string | null => (value === undefined || value === null ? null : JSON.stringify(value));

export class AuditStore {
  constructor(private readonly store: DataSource) {}

  append(actor: Actor, of: AuditInput): Promise<void> {
    return writeAudit(this.store, actor, of);
  }

  list(workspaceId: string, limit: number, before: string | null): Promise<AuditEntry[]> {
    return sql<AuditEntry>(
      this.store,
      `SELECT * FROM audit_log WHERE workspace_id = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
      [workspaceId, before, limit],
    );
  }
}
