import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Numbers of the reports on streams that nobody reads. Greater than every number that the owner of an epoch counts up
 * to, and than the milliseconds that were such numbers before.
 */
export class ProbeNumbers1764100000000 implements MigrationInterface {
  readonly name = 'ProbeNumbers1764100000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE SEQUENCE probe_numbers AS bigint START 10000000000000');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP SEQUENCE probe_numbers');
  }
}
