import type { MigrationInterface, QueryRunner } from 'typeorm';

/** `given_up_at`: the generation of the start that gave a lost position up last; 0: there was none. */
export class GivenUpAt1764330000000 implements MigrationInterface {
  readonly name = 'GivenUpAt1764330000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE streams ADD COLUMN given_up_at integer NOT NULL DEFAULT 0');
    await runner.query('UPDATE streams SET given_up_at = generation WHERE on_lost_position IS NOT NULL');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE streams DROP COLUMN given_up_at');
  }
}
