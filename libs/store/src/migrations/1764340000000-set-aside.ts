import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Records of a source that are no events: where they lie and why. Nothing of the records themselves. */
export class SetAside1764340000000 implements MigrationInterface {
  readonly name = 'SetAside1764340000000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE set_aside');
  }
}

const STATEMENTS = [
  `CREATE TABLE set_aside (
     seq bigint GENERATED ALWAYS AS IDENTITY, stream_id text NOT NULL REFERENCES streams(id) ON DELETE CASCADE,
     record_id text NOT NULL, place text NOT NULL, reason text NOT NULL, record_at timestamptz,
     set_aside_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (stream_id, record_id))`,
  `CREATE INDEX set_aside_page ON set_aside (stream_id, seq DESC)`,
];
