import type { DataSource } from 'typeorm';
import { sql } from './sql.js';

export interface OutboxRow {
  readonly id: string;
  readonly stream_id: string;
  readonly source_type: string;
  readonly generation: number;
}

/** Commands that were accepted and whose bell has not been rung yet. */
export class OutboxStore {
  constructor(private readonly store: DataSource) {}

  /**
   * Hands up to `limit` rows to `relay` and removes them when it resolves; when it throws they stay. Two relays at
   * once get different rows.
   * @returns how many were relayed.
   */
  async relay(limit: number, relay: (rows: readonly OutboxRow[]) => Promise<void>): Promise<number> {
    return this.store.transaction(async (tx) => {
      const rows = await sql<OutboxRow>(
        tx,
        `SELECT id, stream_id, source_type, generation FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED`,
        [limit],
      );
      if (rows.length === 0) return 0;
      await relay(rows);
      await sql(tx, `DELETE FROM outbox WHERE id = ANY($1::bigint[])`, [rows.map((row) => row.id)]);
      return rows.length;
    });
  }
}
