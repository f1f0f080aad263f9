import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Fourteen characters of every key were kept to be shown: of a short one that was given, all of it. How long a
 * `plnx_live_` key is can't be told from that unless it is the whole; one that is given still is cut at boot.
 */
export class ShownPrefix1764370000000 implements MigrationInterface {
  readonly name = 'ShownPrefix1764370000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `UPDATE api_keys SET prefix = left(prefix, least(4, length(prefix) / 4)) WHERE NOT starts_with(prefix, 'plnx_live_')`,
    );
    await runner.query(
      `UPDATE api_keys SET prefix = left(prefix, 10 + (length(prefix) - 10) / 4)
       WHERE starts_with(prefix, 'plnx_live_') AND hash = encode(sha256(convert_to(prefix, 'UTF8')), 'hex')`,
    );
  }

  /** What was cut off is not known any more. */
  async down(): Promise<void> {}
}
