import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Stops that were accepted and not carried out: workers look for them as they look for streams to run. */
export class UnconfirmedStops1764310000000 implements MigrationInterface {
  readonly name = 'UnconfirmedStops1764310000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE INDEX streams_unconfirmed ON streams (source_type) WHERE desired_status = 'stopped' AND observed_generation < generation`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX streams_unconfirmed');
  }
}
