/**
 * A table of more rows than a chunk has, and than a lane has: several chunks of it are read at once. Outside of what the
 * scene's own stream reads; beside a stream that reads it, its rows are changed at random places, and mostly without their
 * big value being sent.
 */
import type { Random } from './random.js';
import type { Scene } from './scene.js';
import type { Table } from './tables.js';

export const VAST: Table = {
  name: 'vast."rows"',
  subject: 'vast.rows',
  key: ['id'],
  columns: 'id int PRIMARY KEY, v int NOT NULL, words text NOT NULL, big text',
};
/** As configurations name it. */
export const VAST_TABLES = 'vast.*';

const ROWS = 105_000;
/** Even ids are there from the beginning, odd ones come and go. Pages are mostly empty: a table of few MiB is one lane. */
const MAKE = `
  CREATE SCHEMA IF NOT EXISTS vast;
  CREATE TABLE IF NOT EXISTS ${VAST.name} (${VAST.columns}) WITH (fillfactor = 20);
  ALTER TABLE ${VAST.name} ALTER big SET STORAGE EXTERNAL;
  INSERT INTO ${VAST.name} SELECT 2 * i, i, md5(i::text), CASE WHEN i % 20 = 0 THEN repeat(md5(i::text), 80) END
    FROM generate_series(1, ${ROWS}) i
    ON CONFLICT DO NOTHING;
  ANALYZE ${VAST.name};`;

export async function makeVast(scene: Scene): Promise<void> {
  const [there] = await scene.sourceQuery<{ rows: number }>(
    `SELECT reltuples::int AS rows FROM pg_class WHERE oid = to_regclass($1)`,
    [VAST.name],
  );
  if ((there?.rows ?? 0) < ROWS / 2) await scene.sourceQuery(MAKE);
}

/** Changes as they come by chance over the whole range of the key. */
const CHANGES: readonly ((at: number, rng: Random) => string)[] = [
  (at, rng) => `UPDATE ${VAST.name} SET v = ${rng.below(1e6)} WHERE id BETWEEN ${at} AND ${at + 60}`,
  (at) => `DELETE FROM ${VAST.name} WHERE id BETWEEN ${at} AND ${at + 6}`,
  (at, rng) => `INSERT INTO ${VAST.name} VALUES (${at | 1}, ${rng.below(1e6)}, 'new') ON CONFLICT DO NOTHING`,
  // A changed key: from one chunk into another.
  (at, rng) => {
    const to = 2 * rng.below(ROWS) + 1;
    return `UPDATE ${VAST.name} SET id = ${to} WHERE id = ${at & ~1} AND NOT EXISTS (SELECT FROM ${VAST.name} WHERE id = ${to})`;
  },
];

/** Changes the table until the function that it gives is called. */
export function churn(scene: Scene, rng: Random): () => Promise<void> {
  let over = false;
  const run = async (): Promise<void> => {
    const client = await scene.admin();
    while (!over) {
      await client.query(rng.pick(CHANGES)(2 + rng.below(2 * ROWS), rng));
      await scene.load.goOn(rng.below(8));
    }
    await client.end();
  };
  const running = run();
  running.catch(() => undefined);
  return () => {
    over = true;
    return running;
  };
}
