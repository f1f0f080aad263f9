import type { Neighbour, StreamSpec } from '@planasonix/core';
import type { DataSource } from 'typeorm';
import { sql } from './sql.js';

/** Which other streams may use what one has made at its source. */
export class NeighbourStore {
  constructor(private readonly store: DataSource) {}

  /**
   * Streams of a type, whosever they are, whose connection is that of `of` or has its host and port. One without a port
   * has any: which one is meant only the source knows.
   */
  async neighbours(
    sourceType: string,
    { id, connection }: Pick<StreamSpec, 'id' | 'connection'>,
  ): Promise<readonly Neighbour[]> {
    if (connection === null) return [];
    const { host, port } = connection.config;
    return sql<Neighbour>(
      this.store,
      `SELECT s.config, c.config ->> 'database' AS database FROM streams s JOIN connections c ON c.id = s.connection_id
       WHERE s.source_type = $1 AND s.id <> $2 AND (c.id = $3 OR lower(c.config ->> 'host') = lower($4)
         AND coalesce(c.config ->> 'port', $5) IS NOT DISTINCT FROM coalesce($5, c.config ->> 'port'))`,
      [sourceType, id, connection.id, textOf(host), textOf(port)],
    );
  }
}

const textOf = (value: unknown): string | null =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : null;
