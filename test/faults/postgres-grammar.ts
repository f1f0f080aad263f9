/** What the battery says to Postgres. Rows come back as `to_jsonb` gives them: the oracle of every value. */
import type { Change } from './ledger.js';
import { sortable } from './log-law.js';
import type { Grammar, Statement } from './origin.js';
import type { Row } from './rows.js';
import { emptied, gone, made, marked } from './statements.js';
import { keyText, TABLES, type Table } from './tables.js';

const rowsOf = (rows: readonly Row[]): Row[] => rows.map(({ row }) => row as Row);
const makes =
  (of: Table, op: 'c' | 'u') =>
  (rows: readonly Row[]): Change[] =>
    made(of, op, rowsOf(rows));
const ends =
  (of: Table) =>
  (rows: readonly Row[]): Change[] =>
    gone(of, rowsOf(rows));

const clear = (of: Table): Statement => ({ sql: `TRUNCATE ${of.name}`, effect: () => emptied(of) });

export const postgresGrammar: Grammar = {
  mark: (writer, n) => ({
    sql: `UPDATE ${TABLES.marker.name} SET n = $2 WHERE writer = $1 RETURNING pg_current_wal_insert_lsn()::text AS lsn`,
    values: [writer, n],
    effect: () => marked(writer, n),
    place: ([row]) => sortable(String(row!['lsn'])),
  }),
  put(of, row) {
    const columns = Object.keys(row).map((name) => `"${name}"`);
    return {
      sql: `INSERT INTO ${of.name} AS t (${columns.join(', ')}) VALUES (${columns.map((_, i) => `$${i + 1}`).join(', ')})
        ON CONFLICT (${of.key.map((name) => `"${name}"`).join(', ')}) DO UPDATE SET ${columns.map((name) => `${name} = excluded.${name}`).join(', ')}
        RETURNING to_jsonb(t) AS row, xmax = 0 AS inserted`,
      values: Object.values(row),
      effect: (rows) => rows.flatMap((one) => made(of, one['inserted'] === true ? 'c' : 'u', rowsOf([one]))),
    };
  },
  raise: (of, from, to) => ({
    sql: `UPDATE ${of.name} AS t SET v = v + 1 WHERE id BETWEEN $1 AND $2 RETURNING to_jsonb(t) AS row`,
    values: [from, to],
    effect: makes(of, 'u'),
  }),
  remove: (of, from, to) => ({
    sql: `DELETE FROM ${of.name} AS t WHERE id BETWEEN $1 AND $2 RETURNING to_jsonb(t) AS row`,
    values: [from, to],
    effect: ends(of),
  }),
  move: (of, from, to) => ({
    sql: `UPDATE ${of.name} AS t SET id = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM ${of.name} WHERE id = $2) RETURNING to_jsonb(t) AS row`,
    values: [from, to],
    effect: (rows) => [
      ...rows.map((): Change => ({ op: 'd', subject: of.subject, key: keyText(of, { id: from }), after: null })),
      ...makes(of, 'c')(rows),
    ],
  }),
  clear,
  fill: (rows, seed) => [
    clear(TABLES.bulk),
    {
      sql: `INSERT INTO ${TABLES.bulk.name} AS t SELECT i, md5($1 || i) FROM generate_series(1, ${rows}) i RETURNING to_jsonb(t) AS row`,
      values: [seed],
      effect: makes(TABLES.bulk, 'c'),
    },
  ],
  before: () => [],
};

const DOOMED_TABLE: Table = {
  name: 'public.doomed',
  subject: 'public.doomed',
  key: ['id'],
  columns: 'id int PRIMARY KEY',
};

/** A table that is dropped under a reader that has not come to its last changes. It ends empty. */
export const DOOMED = {
  create: `CREATE TABLE ${DOOMED_TABLE.name} (${DOOMED_TABLE.columns})`,
  drop: `DROP TABLE ${DOOMED_TABLE.name}`,
  /** Fills it, and empties it again. */
  statements: [
    {
      sql: `INSERT INTO ${DOOMED_TABLE.name} AS t SELECT generate_series(1, 300) RETURNING to_jsonb(t) AS row`,
      effect: makes(DOOMED_TABLE, 'c'),
    },
    { sql: `DELETE FROM ${DOOMED_TABLE.name} AS t RETURNING to_jsonb(t) AS row`, effect: ends(DOOMED_TABLE) },
  ] satisfies Statement[],
} as const;
