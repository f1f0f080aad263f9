/** Transactions as a function of the seed: the same seed, writer and number always give the same statements. */
import type { Change } from './ledger.js';
import { random, type Random } from './random.js';
import { briefRow, type Row } from './rows.js';
import { DOOMED, keyText, TABLES, type Table } from './tables.js';

export interface Statement {
  readonly sql: string;
  readonly values?: readonly unknown[];
  /** What it changed, from the rows that the server gave back. */
  readonly effect?: (rows: readonly Returned[]) => Change[];
  /** `open` a savepoint, go `back` to it, or `release` it. */
  readonly savepoint?: 'open' | 'back' | 'release';
}

export interface Returned {
  readonly row: Row;
  readonly inserted?: boolean;
  /** The end of the WAL when it was written, of `mark` alone. */
  readonly lsn?: string;
}

export interface Plan {
  readonly statements: readonly Statement[];
  readonly end: 'commit' | 'rollback';
  /** Committed by itself, without BEGIN: with others like it, commits that touch in the WAL (trap 1). */
  readonly tiny: boolean;
  readonly pauseMs: number;
}

/** Rows that a writer has to itself in each table. */
const SLOTS = 150;
const DOOMED_TABLE: Table = { name: DOOMED.subject, subject: DOOMED.subject, key: ['id'], columns: '' };
/** Rows of the large transaction. */
export const LARGE_ROWS = 20_000;

const made =
  (of: Table, op: 'c' | 'u') =>
  (rows: readonly Returned[]): Change[] =>
    rows.map(({ row }) => ({ op, subject: of.subject, key: keyText(of, row), after: briefRow(row) }));
const either = (of: Table) => (rows: readonly Returned[]) =>
  rows.flatMap((one) => made(of, one.inserted === true ? 'c' : 'u')([one]));
const gone = (of: Table) => (rows: readonly Returned[]) =>
  rows.map(({ row }): Change => ({ op: 'd', subject: of.subject, key: keyText(of, row), after: null }));

/** The first statement of each transaction. */
export const mark = (writer: number, n: number): Statement => ({
  sql: `UPDATE ${TABLES.marker.name} AS t SET n = $2 WHERE writer = $1 RETURNING to_jsonb(t) AS row, pg_current_wal_insert_lsn()::text AS lsn`,
  values: [writer, n],
  effect: made(TABLES.marker, 'u'),
});

/** Insert or update, so that tables stay bounded whatever the seed says. */
function put(of: Table, row: Row): Statement {
  const columns = Object.keys(row).map((name) => `"${name}"`);
  return {
    sql: `INSERT INTO ${of.name} AS t (${columns.join(', ')}) VALUES (${columns.map((_, i) => `$${i + 1}`).join(', ')})
      ON CONFLICT (${of.key.map((name) => `"${name}"`).join(', ')}) DO UPDATE SET ${columns.map((name) => `${name} = excluded.${name}`).join(', ')}
      RETURNING to_jsonb(t) AS row, xmax = 0 AS inserted`,
    values: Object.values(row),
    effect: either(of),
  };
}

const bigText = (rng: Random): string | null =>
  rng.chance(0.5) ? null : `${rng.below(1e9)} `.repeat(rng.between(300, 1500));

function changing(rng: Random, writer: number): Statement[] {
  const base = writer * 1000;
  const id = (): number => base + rng.below(SLOTS);
  const v = rng.below(1e6);
  const { account, pair, whole, hot } = TABLES;
  switch (rng.below(11)) {
    case 0:
    case 1:
      return [put(account, { id: id(), v, note: `note ${v} "é\\ \u0001`, big: bigText(rng) })];
    case 2:
      return [put(whole, { id: id(), v, big: bigText(rng) })];
    case 3:
      return [put(pair, { a: id(), B: rng.pick(['', 'x', 'ß "quoted"', '\\']), v })];
    case 4:
      return [put(hot, { id: rng.below(12), v, writer })];
    case 5: {
      // Values that are not sent again (trap 14).
      const of = rng.pick([account, whole]);
      const from = id();
      return [
        {
          sql: `UPDATE ${of.name} AS t SET v = v + 1 WHERE id BETWEEN $1 AND $2 RETURNING to_jsonb(t) AS row`,
          values: [from, from + rng.below(8)],
          effect: made(of, 'u'),
        },
      ];
    }
    case 6: {
      const of = rng.pick([account, whole]);
      const from = id();
      return [
        {
          sql: `DELETE FROM ${of.name} AS t WHERE id BETWEEN $1 AND $2 RETURNING to_jsonb(t) AS row`,
          values: [from, from + rng.below(4)],
          effect: gone(of),
        },
      ];
    }
    case 7: {
      // A changed key is a delete and an insert.
      const of = rng.pick([account, whole]);
      const [from, to] = [id(), id()];
      return [
        {
          sql: `UPDATE ${of.name} AS t SET id = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM ${of.name} WHERE id = $2) RETURNING to_jsonb(t) AS row`,
          values: [from, to],
          effect: (rows) => [
            ...rows.map((): Change => ({ op: 'd', subject: of.subject, key: keyText(of, { id: from }), after: null })),
            ...made(of, 'c')(rows),
          ],
        },
      ];
    }
    case 8:
    case 9:
      return savepoint(rng, writer);
    default:
      // Rarely: a truncate waits for everybody else, and everybody for it.
      if (!rng.chance(0.05)) return [put(hot, { id: rng.below(12), v, writer })];
      return [
        { sql: `TRUNCATE ${pair.name}`, effect: () => [{ op: 't', subject: pair.subject, key: '', after: null }] },
      ];
  }
}

function savepoint(rng: Random, writer: number): Statement[] {
  const name = `s${rng.below(1e6)}`;
  const inner = changing(rng, writer);
  return [
    { sql: `SAVEPOINT ${name}`, savepoint: 'open' },
    ...inner,
    rng.chance(0.5)
      ? { sql: `ROLLBACK TO ${name}`, savepoint: 'back' }
      : { sql: `RELEASE ${name}`, savepoint: 'release' },
  ];
}

function large(rng: Random): Statement[] {
  const { bulk } = TABLES;
  return [
    { sql: `TRUNCATE ${bulk.name}`, effect: () => [{ op: 't', subject: bulk.subject, key: '', after: null }] },
    {
      sql: `INSERT INTO ${bulk.name} AS t SELECT i, md5($1 || i) FROM generate_series(1, ${LARGE_ROWS}) i RETURNING to_jsonb(t) AS row`,
      values: [String(rng.below(1e9))],
      effect: made(bulk, 'c'),
    },
  ];
}

/** Fills the table that is to be dropped, and empties it again. */
export const DOOMED_STATEMENTS: readonly Statement[] = [
  {
    sql: `INSERT INTO ${DOOMED.subject} AS t SELECT generate_series(1, 300) RETURNING to_jsonb(t) AS row`,
    effect: made(DOOMED_TABLE, 'c'),
  },
  { sql: `DELETE FROM ${DOOMED.subject} AS t RETURNING to_jsonb(t) AS row`, effect: gone(DOOMED_TABLE) },
];

/** @param n of the writer's transactions, from 1 */
export function plan(seed: number, writer: number, n: number): Plan {
  const rng = random(seed, 'writer', writer, n);
  const tiny = n % 40 >= 30;
  if (tiny) return { statements: [mark(writer, n)], end: 'commit', tiny, pauseMs: 0 };
  // Two writers would wait for each other's TRUNCATE of the same table.
  const isLarge = writer === 1 && n % 250 === 60;
  const body = isLarge ? large(rng) : Array.from({ length: rng.between(1, 5) }, () => changing(rng, writer)).flat();
  return {
    statements: [mark(writer, n), ...body],
    end: rng.chance(0.12) ? 'rollback' : 'commit',
    tiny,
    pauseMs: rng.between(2, 25),
  };
}
