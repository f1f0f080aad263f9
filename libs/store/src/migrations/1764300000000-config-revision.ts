import type { MigrationInterface, QueryRunner } from 'typeorm';

/** `config_revision` grows with each change of a stream's config, and of its connection: a worker that keeps a source sees it. */
export class ConfigRevision1764300000000 implements MigrationInterface {
  readonly name = 'ConfigRevision1764300000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE streams ADD COLUMN config_revision integer NOT NULL DEFAULT 0');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE streams DROP COLUMN config_revision');
  }
}
