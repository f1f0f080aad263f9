import type { StreamSpec } from '@planasonix/core';
import type { DataSource } from 'typeorm';
import { newId } from './id.js';
import type { SecretBox } from './secret-box.js';
import { sql } from './sql.js';
import type { Left } from './stream-deletion.js';

export interface Forgotten {
  readonly id: string;
  readonly streamId: string;
  readonly spec: StreamSpec;
}

const place = (id: string): string => `forgotten:${id}`;

/** What forced deletes could not give back at the source. The janitor goes on trying. */
export class ForgottenStore {
  constructor(
    private readonly store: DataSource,
    private readonly box: SecretBox,
  ) {}

  /** The row for `StreamDeletion.finish`. */
  row(spec: StreamSpec, remaining: unknown): Left {
    const id = newId('fgt');
    return { id, sourceType: spec.sourceType, spec: this.box.seal(JSON.stringify(spec), place(id)), remaining };
  }

  /**
   * One that is due, put off for everybody else in the same statement: by so much less than half a minute that with the
   * janitor's own pause it is tried again within one.
   * @throws StreamError where its secrets can't be opened
   */
  async due(sourceType: string): Promise<Forgotten | null> {
    const [row] = await sql<{ id: string; stream_id: string; spec: string }>(
      this.store,
      `UPDATE forgotten SET next_try_at = clock_timestamp() + interval '18 seconds', tries = tries + 1
       WHERE id = (SELECT id FROM forgotten WHERE source_type = $1 AND next_try_at <= clock_timestamp() ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING id, stream_id, spec`,
      [sourceType],
    );
    if (row === undefined) return null;
    try {
      const spec = JSON.parse(this.box.open(row.spec, place(row.id))) as StreamSpec;
      return { id: row.id, streamId: row.stream_id, spec };
    } catch (error) {
      await this.failed(row.id, error instanceof Error ? error.message : 'unknown');
      throw error;
    }
  }

  async failed(id: string, why: string): Promise<void> {
    await sql(this.store, `UPDATE forgotten SET last_error = $2 WHERE id = $1`, [id, why]);
  }

  async done(id: string): Promise<void> {
    await sql(this.store, `DELETE FROM forgotten WHERE id = $1`, [id]);
  }
}
