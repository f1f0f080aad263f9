import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Logs whose streams are gone and that have yet to be told when they expire. */
export class DepartedLogs1764320000000 implements MigrationInterface {
  readonly name = 'DepartedLogs1764320000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE departed_logs (
         stream_id text PRIMARY KEY, output jsonb NOT NULL, epoch integer NOT NULL, expires_at timestamptz NOT NULL,
         next_try_at timestamptz NOT NULL)`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE departed_logs');
  }
}
