import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who committed a position, and as his how manieth: a commit that is carried out late is known for it. */
export class CommitNumbers1764410000000 implements MigrationInterface {
  readonly name = 'CommitNumbers1764410000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE stream_positions ADD COLUMN writer text, ADD COLUMN number bigint');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE stream_positions DROP COLUMN writer, DROP COLUMN number');
  }
}
