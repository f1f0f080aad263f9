/** What happens to a source by chance: tables of each kind, statements that writers make, and what else is done meanwhile. */

/** Chance that can be played again. */
export interface Dice {
  /** A whole number below `sides`. */
  readonly upTo: (sides: number) => number;
  readonly pick: <T>(of: readonly T[]) => T;
}

/** The same throws for the same seed (mulberry32). */
export function dice(seed: number): Dice {
  let state = Math.imul(seed, 2654435761);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const upTo = (sides: number): number => Math.floor(next() * sides);
  return { upTo, pick: (of) => of[upTo(of.length)]! };
}

const B = `CREATE TABLE b (k text COLLATE "C", n int, v bigint NOT NULL DEFAULT nextval('versions'), big text, PRIMARY KEY (k, n));
  ALTER TABLE b ALTER big SET STORAGE EXTERNAL;`;

/** `a`: several chunks; `b`: a key of two columns; `c`: no key; `p`: partitions. `v` tells each version of a row from all others. */
export const TABLES = `CREATE TABLE marks (m text PRIMARY KEY); CREATE SEQUENCE versions;
  CREATE TABLE a (id int PRIMARY KEY, alt int NOT NULL DEFAULT nextval('versions'), v bigint NOT NULL DEFAULT nextval('versions'), big text);
  ALTER TABLE a ALTER big SET STORAGE EXTERNAL; CREATE UNIQUE INDEX a_alt ON a (alt);
  INSERT INTO a (id, big) SELECT i, CASE WHEN i % 20 = 0 THEN repeat(md5(i::text), 90) END FROM generate_series(1, 30000) i;
  ${B} INSERT INTO b SELECT md5((i % 100)::text), i, nextval('versions'), CASE WHEN i % 9 = 0 THEN repeat(md5(i::text), 90) END FROM generate_series(1, 3000) i;
  CREATE TABLE c (id int, v bigint NOT NULL DEFAULT nextval('versions'), big text); ALTER TABLE c REPLICA IDENTITY FULL;
  INSERT INTO c SELECT i FROM generate_series(1, 500) i;
  CREATE TABLE p (id int PRIMARY KEY, v bigint NOT NULL DEFAULT nextval('versions'), big text) PARTITION BY RANGE (id);
  CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (-100000) TO (1000); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (100000);
  INSERT INTO p SELECT i FROM generate_series(1, 2000) i; ANALYZE`;

/** Of each table: the column that is written by, and the end of what it has at the beginning. */
export const WRITTEN = { a: ['id', 30_000], b: ['n', 3000], c: ['id', 500], p: ['id', 2000] } as const;
export const NAMES = ['a', 'b', 'c', 'p'] as const;

/** What a writer does next; it may fail, or end in a rollback. */
export function written({ upTo, pick }: Dice): string {
  const count = upTo(12) === 0 ? 3000 : 1 + upTo(20);
  const table = pick([...NAMES, 'a', 'a'] as const);
  const [column, most] = WRITTEN[table];
  const from = upTo(most);
  const within = `WHERE ${column} BETWEEN ${from} AND ${from + count}`;
  const update = `UPDATE ${table} SET v = nextval('versions')${pick(['', ', big = repeat(md5(random()::text), 90)', ', big = NULL'])}`;
  const moves = (by: string, which: string): string =>
    `UPDATE ${table} SET ${column} = ${column} ${by}, v = nextval('versions') ${which}`;
  const numbers = (to: number): string => `generate_series(${from}, ${from + to}) i`;
  const inserts = {
    b: `INSERT INTO b (k, n, big) SELECT md5(i::text), i, repeat('q', 3000) FROM ${numbers(count)} ON CONFLICT DO NOTHING`,
    c: `INSERT INTO c (id) SELECT i FROM ${numbers(count % 30)}`,
  };
  return pick([
    `${update} ${within}`,
    `${update} ${within}`,
    `DELETE FROM ${table} WHERE ${column} BETWEEN ${from} AND ${from + (count >> 2)}`,
    table === 'b' || table === 'c'
      ? inserts[table]
      : `INSERT INTO ${table} (id, big) SELECT i, repeat('z', 3000) FROM ${numbers(count)} ON CONFLICT DO NOTHING`,
    moves('+ 40000', `WHERE ${column} BETWEEN ${from} AND ${from + (count % 50)}`),
    moves('- 40000', `WHERE ${column} > 40000 AND ${column} % 7 = ${upTo(7)}`),
    `BEGIN; ${update} WHERE ${column} < ${count}; ROLLBACK`,
    `BEGIN; ${update} WHERE ${column} = ${from}; SAVEPOINT s; DELETE FROM ${table} WHERE ${column} < ${count}; ROLLBACK TO s; UPDATE a SET v = nextval('versions') WHERE id = ${from}; COMMIT`,
  ]);
}

/** One after the other, with a while of chance in between. */
export type Act = readonly string[];

const key = (column: string): string =>
  `BEGIN; ALTER TABLE a DROP CONSTRAINT a_pkey; ALTER TABLE a ADD CONSTRAINT a_pkey PRIMARY KEY (${column}); COMMIT`;
const SWAP = `BEGIN; ALTER TABLE a RENAME TO tmp_; ALTER TABLE b RENAME TO a; ALTER TABLE tmp_ RENAME TO b; COMMIT`;

/** What is done to tables beside what writers do. */
export const ACTS: Readonly<Record<string, (dice: Dice, nth: number) => Act>> = {
  truncate: ({ pick }) => [
    `TRUNCATE ${pick(['a', 'b', 'c', 'p', 'a, b'])}`,
    ...pick([[], ["BEGIN; TRUNCATE b; INSERT INTO b (k, n) VALUES ('x', 1); COMMIT"]]),
  ],
  rename: ({ pick }) => {
    const table = pick(NAMES);
    return [`ALTER TABLE ${table} RENAME TO ${table}_x`, `ALTER TABLE ${table}_x RENAME TO ${table}`];
  },
  swap: () => [SWAP, SWAP],
  recreate: () => [
    `BEGIN; DROP TABLE b; ${B} INSERT INTO b SELECT md5(i::text), i FROM generate_series(1, 800) i; COMMIT`,
  ],
  column: ({ pick }) => [
    pick([
      'ALTER TABLE a ADD z int DEFAULT 5',
      'ALTER TABLE a DROP COLUMN IF EXISTS z',
      'ALTER TABLE b ADD y text',
      'ALTER TABLE b DROP COLUMN y',
    ]),
  ],
  type: ({ pick }) => [
    `ALTER TABLE ${pick(['a ALTER id TYPE bigint', 'a ALTER id TYPE int', 'b ALTER n TYPE bigint', 'a ALTER v TYPE numeric', 'a ALTER v TYPE bigint'])}`,
  ],
  key: () => [key('alt'), key('id')],
  identity: ({ pick }) => [
    `ALTER TABLE ${pick(['a REPLICA IDENTITY FULL', 'a REPLICA IDENTITY USING INDEX a_alt', 'b REPLICA IDENTITY FULL'])}`,
    'ALTER TABLE a REPLICA IDENTITY DEFAULT; ALTER TABLE b REPLICA IDENTITY DEFAULT',
  ],
  collate: ({ pick }) => [`ALTER TABLE b ALTER k TYPE text COLLATE "${pick(['C', 'default', 'POSIX'])}"`],
  attach: ({ upTo }) => {
    const from = 100_000 + upTo(1000) * 1000;
    return [
      `CREATE TABLE px${from} (LIKE p INCLUDING ALL); INSERT INTO px${from} SELECT i FROM generate_series(${from}, ${from + 200}) i`,
      `ALTER TABLE p ATTACH PARTITION px${from} FOR VALUES FROM (${from}) TO (${from + 1000})`,
    ];
  },
  publication: ({ pick }) => {
    const table = pick(NAMES);
    const alter = (how: string): string =>
      `DO $$ BEGIN EXECUTE (SELECT format('ALTER PUBLICATION %I ${how} TABLE ${table}', pubname) FROM pg_publication); END $$`;
    return [alter('DROP'), ...pick([[], [alter('ADD')]])];
  },
  vacuum: () => ['VACUUM FULL b'],
  prepared: ({ upTo }, nth) => [
    `BEGIN; UPDATE a SET v = nextval('versions') WHERE id % 500 = ${upTo(500)}; PREPARE TRANSACTION 'g${nth}'`,
    `COMMIT PREPARED 'g${nth}'`,
  ],
};
