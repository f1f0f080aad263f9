import type { DataSource } from 'typeorm';
import { sql, type Db } from './sql.js';

export type IdempotencyState =
  | { readonly kind: 'new' }
  | { readonly kind: 'stored'; readonly status: number; readonly answer: string }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'in_progress' };

/** Answers of POSTs that carried an `Idempotency-Key`, for 24 hours. */
export class IdempotencyStore {
  constructor(private readonly store: DataSource) {}

  /** Takes the key for this request, or says what became of it. One that is in progress for over a minute is taken over. */
  async begin(of: {
    workspaceId: string;
    keyId: string;
    key: string;
    route: string;
    bodyHash: string;
  }): Promise<IdempotencyState> {
    const taken = await sql(
      this.store,
      `INSERT INTO idempotency (workspace_id, key_id, key, route, body_hash) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (key_id, key) DO UPDATE SET route = $4, body_hash = $5, status = NULL, answer = NULL, created_at = clock_timestamp()
         WHERE idempotency.created_at < clock_timestamp() - interval '24 hours'
            OR (idempotency.status IS NULL AND idempotency.created_at < clock_timestamp() - interval '1 minute')
       RETURNING 1`,
      [of.workspaceId, of.keyId, of.key, of.route, of.bodyHash],
    );
    if (taken.length > 0) return { kind: 'new' };
    const [found] = await sql<{ route: string; body_hash: string; status: number | null; answer: string | null }>(
      this.store,
      `SELECT route, body_hash, status, answer FROM idempotency WHERE key_id = $1 AND key = $2`,
      [of.keyId, of.key],
    );
    if (found === undefined) return { kind: 'in_progress' };
    if (found.route !== of.route || found.body_hash !== of.bodyHash) return { kind: 'conflict' };
    if (found.status === null || found.answer === null) return { kind: 'in_progress' };
    return { kind: 'stored', status: found.status, answer: found.answer };
  }

  /** @param db the transaction of what is answered, where one may not be there without the other */
  async finish(keyId: string, key: string, status: number, answer: string, db: Db = this.store): Promise<void> {
    await sql(db, `UPDATE idempotency SET status = $3, answer = $4 WHERE key_id = $1 AND key = $2`, [
      keyId,
      key,
      status,
      answer,
    ]);
  }

  /** The request failed for a reason that a repetition may mend: the key is free again. */
  async abandon(keyId: string, key: string): Promise<void> {
    await sql(this.store, `DELETE FROM idempotency WHERE key_id = $1 AND key = $2 AND status IS NULL`, [keyId, key]);
  }

  async purge(): Promise<void> {
    await sql(this.store, `DELETE FROM idempotency WHERE created_at < clock_timestamp() - interval '24 hours'`);
  }
}
