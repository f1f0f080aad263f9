import type { DataSource } from 'typeorm';
import { sql } from './sql.js';

/** The last computed windows of a stream, for the time when Redis can't be reached. */
export class MetricsSnapshotStore {
  constructor(private readonly store: DataSource) {}

  /** Streams that are gone meanwhile are passed over. An older computation never replaces a newer one. */
  async put(
    rows: readonly {
      readonly streamId: string;
      readonly windows: Readonly<Record<string, unknown>>;
      readonly computedAt: Date;
    }[],
  ): Promise<void> {
    if (rows.length === 0) return;
    await sql(
      this.store,
      `INSERT INTO stream_metrics (stream_id, windows, computed_at)
       SELECT d.id, d.windows, d.at FROM unnest($1::text[], $2::jsonb[], $3::timestamptz[]) AS d(id, windows, at) JOIN streams s ON s.id = d.id
       ON CONFLICT (stream_id) DO UPDATE SET windows = excluded.windows, computed_at = excluded.computed_at
         WHERE stream_metrics.computed_at < excluded.computed_at`,
      [
        rows.map((row) => row.streamId),
        rows.map((row) => JSON.stringify(row.windows)),
        rows.map((row) => row.computedAt.toISOString()),
      ],
    );
  }

  async get(streamId: string): Promise<{ windows: Record<string, unknown>; computed_at: Date } | null> {
    const [row] = await sql<{ windows: Record<string, unknown>; computed_at: Date }>(
      this.store,
      `SELECT windows, computed_at FROM stream_metrics WHERE stream_id = $1`,
      [streamId],
    );
    return row ?? null;
  }

  /** Of all of them together, as it was computed last. */
  async eventsPerSecond(streamIds: readonly string[]): Promise<number> {
    const [row] = await sql<{ rate: number | null }>(
      this.store,
      `SELECT sum((windows #>> '{1m,events_per_second}')::float8) AS rate FROM stream_metrics WHERE stream_id = ANY($1)`,
      [streamIds],
    );
    return row?.rate ?? 0;
  }
}
