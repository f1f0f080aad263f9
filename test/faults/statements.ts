/** Transactions as a function of the seed: the same seed, writer and turn always give the same statements. */
import type { Change } from './ledger.js';
import type { Grammar, Statement } from './origin.js';
import { random, type Random, type Seed } from './random.js';
import { briefRow, type Row } from './rows.js';
import { keyText, ownRows, TABLES, type Table } from './tables.js';

export interface Plan {
  /** Outside of the transaction and before it. */
  readonly before: readonly Statement[];
  readonly statements: readonly Statement[];
  readonly end: 'commit' | 'rollback';
  /** Committed by itself, without BEGIN: with others like it, commits that touch in the log (trap 1). */
  readonly tiny: boolean;
  readonly pauseMs: number;
}

/** Rows that a writer has to itself in each table. */
const SLOTS = 150;
/** Rows of the large transaction. */
export const LARGE_ROWS = 20_000;
const LARGE_EVERY = 250;

/** What is made of rows that the server gave back. */
export const made = (of: Table, op: 'c' | 'u', rows: readonly Row[]): Change[] =>
  rows.map((row) => ({ op, subject: of.subject, key: keyText(of, row), after: briefRow(row) }));
export const gone = (of: Table, rows: readonly Row[]): Change[] =>
  rows.map((row) => ({ op: 'd', subject: of.subject, key: keyText(of, row), after: null }));
export const emptied = (of: Table): Change[] => [{ op: 't', subject: of.subject, key: '', after: null }];
export const marked = (writer: number, n: number): Change[] => made(TABLES.marker, 'u', [{ writer, n }]);

const bigText = (rng: Random): string | null =>
  rng.chance(0.5) ? null : `${rng.below(1e9)} `.repeat(rng.between(300, 1500));

function changing(sql: Grammar, rng: Random, writer: number): Statement[] {
  const [base] = ownRows(writer);
  const id = (): number => base + rng.below(SLOTS);
  const v = rng.below(1e6);
  const { account, pair, whole, hot, shape } = TABLES;
  switch (rng.below(11)) {
    case 0:
    case 1:
      return [sql.put(account, { id: id(), v, note: `note ${v} "é\\ \u0001`, big: bigText(rng) })];
    case 2:
      return [sql.put(whole, { id: id(), v, big: bigText(rng) })];
    case 3:
      return [sql.put(pair, { a: id(), B: rng.pick(['', 'x', 'ß "quoted"', '\\']), v })];
    case 4:
      return [sql.put(hot, { id: rng.below(12), v, writer })];
    case 5: {
      // Values that are not sent again (trap 14).
      const of = rng.pick([account, whole]);
      const from = id();
      return [sql.raise(of, from, from + rng.below(8))];
    }
    case 6: {
      const of = rng.pick([account, whole]);
      const from = id();
      return [sql.remove(of, from, from + rng.below(4))];
    }
    case 7: {
      const of = rng.pick([account, whole]);
      return [sql.move(of, id(), id())];
    }
    case 8:
    case 9:
      return savepoint(sql, rng, writer);
    default:
      // Rarely: a truncate waits for everybody else, and everybody for it.
      if (!rng.chance(0.05)) return [sql.put(shape, { id: id(), v })];
      return [sql.clear(pair, writer)];
  }
}

function savepoint(sql: Grammar, rng: Random, writer: number): Statement[] {
  const name = `s${rng.below(1e6)}`;
  const inner = changing(sql, rng, writer);
  return [
    { sql: `SAVEPOINT ${name}`, savepoint: 'open' },
    ...inner,
    rng.chance(0.5)
      ? { sql: `ROLLBACK TO SAVEPOINT ${name}`, savepoint: 'back' }
      : { sql: `RELEASE SAVEPOINT ${name}`, savepoint: 'release' },
  ];
}

/** Where the turns of a round begin: its large transaction comes early in some, late in others. */
export const firstTurn = (seed: Seed): number => random(seed, 'turns').below(LARGE_EVERY);

/**
 * What a writer says.
 * @param turn which of the seed's transactions it is
 * @param n of all of the writer's transactions, from 1: its marker
 */
export function plan(sql: Grammar, seed: Seed, writer: number, turn: number, n = turn): Plan {
  const rng = random(seed, 'writer', writer, turn);
  const tiny = turn % 40 >= 30;
  if (tiny) return { before: [], statements: [sql.mark(writer, n)], end: 'commit', tiny, pauseMs: 0 };
  // Two writers would wait for each other's TRUNCATE of the same table.
  const isLarge = writer === 1 && turn % LARGE_EVERY === 60;
  const body = isLarge
    ? sql.fill(LARGE_ROWS, String(rng.below(1e9)))
    : Array.from({ length: rng.between(1, 5) }, () => changing(sql, rng, writer)).flat();
  return {
    before: sql.before(writer, turn, isLarge),
    statements: [sql.mark(writer, n), ...body],
    end: rng.chance(0.12) ? 'rollback' : 'commit',
    tiny,
    pauseMs: rng.between(2, 25),
  };
}
