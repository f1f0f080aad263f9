import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Snapshots that users order, and positions that they set by hand. `orders_revision` grows with each order that is
 * placed or cancelled. `position_pending`: a position is being set and the log may have it already; until that is
 * settled nothing starts.
 */
export class OrdersAndPositions1764000000000 implements MigrationInterface {
  readonly name = 'OrdersAndPositions1764000000000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE snapshot_orders');
    await runner.query('ALTER TABLE streams DROP COLUMN orders_revision, DROP COLUMN position_pending');
  }
}

const STATEMENTS = [
  `CREATE TABLE snapshot_orders (
     id text PRIMARY KEY, stream_id text NOT NULL REFERENCES streams(id) ON DELETE CASCADE, workspace_id text NOT NULL,
     tables text[] NOT NULL, where_sql text, requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
     cancelled_at timestamptz, done_at timestamptz, failed text)`,
  `CREATE INDEX snapshot_orders_page ON snapshot_orders (stream_id, id DESC)`,
  `ALTER TABLE streams ADD COLUMN orders_revision integer NOT NULL DEFAULT 0,
     ADD COLUMN position_pending boolean NOT NULL DEFAULT false`,
];
