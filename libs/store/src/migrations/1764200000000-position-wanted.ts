import type { MigrationInterface, QueryRunner } from 'typeorm';

/** `position_wanted`: which position is being set where `position_pending`, and since when: `{since, positions}`. */
export class PositionWanted1764200000000 implements MigrationInterface {
  readonly name = 'PositionWanted1764200000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE streams ADD COLUMN position_wanted jsonb');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE streams DROP COLUMN position_wanted');
  }
}
