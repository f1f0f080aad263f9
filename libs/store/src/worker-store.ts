import type { JsonSchema } from '@planasonix/core';
import type { DataSource } from 'typeorm';
import { sql } from './sql.js';

/** In SQL. A worker that was not seen for 8 s does not count as live, nor one that was seen by a clock since set back. Heartbeats come each 2 s. */
const LIVE = `abs(extract(epoch FROM clock_timestamp() - last_seen_at)) < 8`;

export interface Announcement {
  readonly id: string;
  readonly sourceType: string;
  readonly connectionTypes: readonly string[];
  readonly configSchema: JsonSchema;
  readonly host: string;
  readonly pid: number;
}

export interface SourceTypeRow {
  readonly type: string;
  readonly connection_types: string[];
  readonly config_schema: JsonSchema;
  readonly workers: number;
}

/** Which connectors there are. The gateway knows source types from here alone. */
export class WorkerStore {
  constructor(private readonly store: DataSource) {}

  async announce(of: Announcement): Promise<void> {
    await sql(
      this.store,
      `INSERT INTO source_types (type, connection_types, config_schema) VALUES ($1, $2, $3)
       ON CONFLICT (type) DO UPDATE SET connection_types = $2, config_schema = $3, updated_at = clock_timestamp()`,
      [of.sourceType, of.connectionTypes, JSON.stringify(of.configSchema)],
    );
    await this.heartbeat(of);
  }

  /** Seen; also after the row was swept away in an outage. */
  async heartbeat(of: Announcement): Promise<void> {
    await sql(
      this.store,
      `INSERT INTO workers (id, source_type, host, pid, last_seen_at) VALUES ($1, $2, $3, $4, clock_timestamp())
       ON CONFLICT (id) DO UPDATE SET last_seen_at = clock_timestamp()`,
      [of.id, of.sourceType, of.host, of.pid],
    );
    await sql(this.store, `DELETE FROM workers WHERE last_seen_at < clock_timestamp() - interval '10 minutes'`);
  }

  async forget(id: string): Promise<void> {
    await sql(this.store, 'DELETE FROM workers WHERE id = $1', [id]);
  }

  async live(sourceType: string): Promise<number> {
    const [row] = await sql<{ n: number }>(
      this.store,
      `SELECT count(*)::int AS n FROM workers WHERE source_type = $1 AND ${LIVE}`,
      [sourceType],
    );
    return row!.n;
  }

  /** Live workers of a type, in a fixed order: work that one of them has to do is dealt out by position. */
  async liveIds(sourceType: string): Promise<string[]> {
    const rows = await sql<{ id: string }>(
      this.store,
      `SELECT id FROM workers WHERE source_type = $1 AND ${LIVE} ORDER BY id`,
      [sourceType],
    );
    return rows.map((row) => row.id);
  }

  sourceTypes(): Promise<SourceTypeRow[]> {
    return sql<SourceTypeRow>(
      this.store,
      `SELECT type, connection_types, config_schema,
              (SELECT count(*)::int FROM workers w WHERE w.source_type = type AND ${LIVE}) AS workers
       FROM source_types ORDER BY type`,
    );
  }
}
