/** The tables of the battery: each has something that has cost others data. */
import type { Client } from 'pg';
import type { Row } from './rows.js';

export interface Table {
  readonly name: string;
  /** As events name it. */
  readonly subject: string;
  readonly key: readonly string[];
  readonly columns: string;
  /** After it is made. */
  readonly more?: string;
}

const table = (name: string, key: readonly string[], columns: string, more?: string): Table => ({
  name: `public."${name}"`,
  subject: `public.${name}`,
  key,
  columns,
  more,
});

export const TABLES = {
  /** One row per writer, changed by each of its transactions: which transaction an event belongs to. */
  marker: table('marker', ['writer'], 'writer int PRIMARY KEY, n int NOT NULL'),
  /** TOAST values that many updates leave alone (trap 14). */
  account: table(
    'account',
    ['id'],
    'id int PRIMARY KEY, v int NOT NULL, note text, big text',
    'ALTER TABLE public."account" ALTER big SET STORAGE EXTERNAL',
  ),
  pair: table('Pair', ['a', 'B'], 'a int, "B" text, v int NOT NULL, PRIMARY KEY (a, "B")'),
  /** Every column is flagged as key (trap 14). */
  whole: table(
    'whole',
    ['id'],
    'id int PRIMARY KEY, v int NOT NULL, big text',
    'ALTER TABLE public."whole" REPLICA IDENTITY FULL; ALTER TABLE public."whole" ALTER big SET STORAGE EXTERNAL',
  ),
  /** Rows that all writers fight for: the order per key is the order of commits (Invariant 5). */
  hot: table('hot', ['id'], 'id int PRIMARY KEY, v int NOT NULL, writer int NOT NULL'),
  bulk: table('bulk', ['id'], 'id int PRIMARY KEY, v text NOT NULL'),
} as const;

export const ALL_TABLES: readonly Table[] = Object.values(TABLES);

/** Tables whose updates and deletes say the whole row from before: REPLICA IDENTITY FULL. */
export const WITH_OLD_ROWS: ReadonlySet<string> = new Set([TABLES.whole.subject]);

/** A table that is dropped under a reader that has not come to its last changes. It ends empty. */
export const DOOMED = {
  create: 'CREATE TABLE public.doomed (id int PRIMARY KEY)',
  drop: 'DROP TABLE public.doomed',
  subject: 'public.doomed',
} as const;

/** Highest number of a writer; 0 is the battery's own. */
export const WRITERS_MOST = 9;

export async function makeTables(source: Client): Promise<void> {
  for (const { name, columns, more } of ALL_TABLES) {
    await source.query(`CREATE TABLE ${name} (${columns})`);
    if (more !== undefined) await source.query(more);
  }
  await source.query(DOOMED.create);
  await source.query(`INSERT INTO ${TABLES.marker.name} SELECT i, 0 FROM generate_series(0, ${WRITERS_MOST}) i`);
  await source.query(`INSERT INTO ${TABLES.bulk.name} SELECT i, md5(i::text) FROM generate_series(1, 5000) i`);
}

/** The key as an event has it. */
export const keyText = (of: Table, row: Row): string =>
  JSON.stringify(Object.fromEntries(of.key.map((column) => [column, row[column]])));

const PAGE_ROWS = 2000;

/** The rows of a table as one snapshot sees them, some at a time: whoever reads millions stays able to do other things. */
export async function* rowPages(source: Client, { name }: Table): AsyncGenerator<readonly Row[]> {
  await source.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await source.query(`DECLARE pages CURSOR FOR SELECT to_jsonb(one) AS row FROM ${name} one`);
  for (let rows: readonly { row: Row }[] | null = null; rows === null || rows.length === PAGE_ROWS;) {
    rows = (await source.query<{ row: Row }>(`FETCH ${PAGE_ROWS} FROM pages`)).rows;
    yield rows.map(({ row }) => row);
  }
  await source.query('COMMIT');
}

/** A row as the folded log names it: subject and key. */
export const placeOf = (of: Table, row: Row): string => `${of.subject} ${keyText(of, row)}`;

/** What the tables hold now: subject and key → row. */
export async function tableRows(source: Client, tables: readonly Table[] = ALL_TABLES): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>();
  for (const one of tables)
    for await (const page of rowPages(source, one)) for (const row of page) rows.set(placeOf(one, row), row);
  return rows;
}
