import type { DataSource } from 'typeorm';
import { newId } from './id.js';
import type { SecretBox } from './secret-box.js';
import { sql } from './sql.js';

const place = (id: string): string => `drafts:${id}`;

/** Input of a question to a worker that must not lie in a job: sealed, and gone after a minute. */
export class DraftStore {
  constructor(
    private readonly store: DataSource,
    private readonly box: SecretBox,
  ) {}

  async put(workspaceId: string, kind: string, body: unknown): Promise<string> {
    const id = newId('draft');
    await sql(this.store, `DELETE FROM drafts WHERE created_at < clock_timestamp() - interval '1 minute'`);
    await sql(this.store, `INSERT INTO drafts (id, workspace_id, kind, body) VALUES ($1, $2, $3, $4)`, [
      id,
      workspaceId,
      kind,
      this.box.seal(JSON.stringify(body), place(id)),
    ]);
    return id;
  }

  async read(id: string): Promise<unknown> {
    const [row] = await sql<{ body: string }>(this.store, `SELECT body FROM drafts WHERE id = $1`, [id]);
    return row === undefined ? null : (JSON.parse(this.box.open(row.body, place(id))) as unknown);
  }

  async remove(id: string): Promise<void> {
    await sql(this.store, `DELETE FROM drafts WHERE id = $1`, [id]);
  }
}
