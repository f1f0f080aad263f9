import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Workers that help the holder of a stream's lease, each with a share of its partitions. `session` is the opening of the
 * log under which a helper was seated, `epoch` the lead's. `streams.shares`: over how many readers it could be spread.
 */
export class StreamHelpers1764400000000 implements MigrationInterface {
  readonly name = 'StreamHelpers1764400000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE streams ADD COLUMN shares integer NOT NULL DEFAULT 1');
    await runner.query(
      `CREATE TABLE stream_helpers (
         stream_id text NOT NULL REFERENCES streams(id) ON DELETE CASCADE, worker_id text NOT NULL,
         joined_at timestamptz NOT NULL DEFAULT clock_timestamp(), expires_at timestamptz NOT NULL,
         epoch integer, share integer, shares integer, session text, report jsonb, PRIMARY KEY (stream_id, worker_id))`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE stream_helpers');
    await runner.query('ALTER TABLE streams DROP COLUMN shares');
  }
}
