/** The tables of the battery: each has something that has cost others data. Their names are the same at every kind of server. */
import type { Origin, Session } from './origin.js';
import type { Row } from './rows.js';

export interface Table {
  /** With double quotes, as standard SQL has them. */
  readonly name: string;
  /** As events name it. */
  readonly subject: string;
  readonly key: readonly string[];
  readonly columns: string;
}

const table = (name: string, key: readonly string[], columns: string): Table => ({
  name: `public."${name}"`,
  subject: `public.${name}`,
  key,
  columns,
});

export const TABLES = {
  /** One row per writer, changed by each of its transactions: which transaction an event belongs to. */
  marker: table('marker', ['writer'], 'writer int PRIMARY KEY, n int NOT NULL'),
  account: table('account', ['id'], 'id int PRIMARY KEY, v int NOT NULL, note text, big text'),
  pair: table('Pair', ['a', 'B'], 'a int, "B" varchar(40), v int NOT NULL, PRIMARY KEY (a, "B")'),
  /** In Postgres every column is flagged as key (trap 14). */
  whole: table('whole', ['id'], 'id int PRIMARY KEY, v int NOT NULL, big text'),
  /** Rows that all writers fight for: the order per key is the order of commits (Invariant 5). */
  hot: table('hot', ['id'], 'id int PRIMARY KEY, v int NOT NULL, writer int NOT NULL'),
  bulk: table('bulk', ['id'], 'id int PRIMARY KEY, v text NOT NULL'),
  /** Where columns come and go amid the load (trap 20): `FLEETING`. */
  shape: table('shape', ['id'], 'id int PRIMARY KEY, v int NOT NULL'),
} as const;

export const ALL_TABLES: readonly Table[] = Object.values(TABLES);

/**
 * A column that comes and goes. Each change has it or not, as it was made; rows that nobody changed since are in a log as
 * they were, and so it is no part of what a log gives in the end.
 */
export const FLEETING = 'passing';

/**
 * A table of more rows than a chunk has, and than a lane has: several chunks of it are read at once. Outside of what the
 * scene's own stream reads.
 */
export const VAST: Table = {
  name: 'vast."rows"',
  subject: 'vast.rows',
  key: ['id'],
  columns: 'id int PRIMARY KEY, v int NOT NULL, words text NOT NULL, big text',
};

/** In Postgres: tables whose updates and deletes say the whole row from before, by REPLICA IDENTITY FULL. */
export const WITH_OLD_ROWS: ReadonlySet<string> = new Set([TABLES.whole.subject]);

/** Highest number of a writer; 0 is the battery's own. */
export const WRITERS_MOST = 9;

/** First and last key of what a writer has to itself. */
export const ownRows = (writer: number): readonly [from: number, to: number] => [writer * 1000, writer * 1000 + 999];

/** The key as an event has it. */
export const keyText = (of: Table, row: Row): string =>
  JSON.stringify(Object.fromEntries(of.key.map((column) => [column, row[column]])));

/** A row as the folded log names it: subject and key. */
export const placeOf = (of: Table, row: Row): string => `${of.subject} ${keyText(of, row)}`;

/** What the tables hold now: subject and key → row. */
export async function tableRows(
  origin: Origin,
  session: Session,
  tables: readonly Table[] = ALL_TABLES,
): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>();
  for (const one of tables)
    for await (const page of origin.pages(session, one)) for (const row of page) rows.set(placeOf(one, row), row);
  return rows;
}
