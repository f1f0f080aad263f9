import { toldByAlter, toldByCreate, type ToldKinds } from './told-kinds.js';
import { StatementReader, type TableName } from './statement-reader.js';
import { tokensOf, type Reading } from './statement-tokens.js';

/** What a statement in the log means for the rows of tables. */
export type Verdict =
  | { readonly kind: 'begin' | 'commit' | 'rollback' | 'xa_begin' | 'harmless' }
  /** Names of savepoints do not tell upper from lower case. */
  | { readonly kind: 'savepoint' | 'rollback_to'; readonly name: string }
  /** The form of tables may be another from here on. */
  | { readonly kind: 'changed'; readonly tables: readonly TableName[]; readonly told: ToldKinds }
  /** All rows are gone; `schema` without `table`: of all its tables. */
  | {
      readonly kind: 'emptied';
      readonly tables: readonly { schema: string; table: string | null }[];
      readonly told: ToldKinds;
    }
  /** Rows came or went without a word about which: `what` did it. */
  | { readonly kind: 'replaced'; readonly tables: readonly TableName[]; readonly what: string }
  /** From here on the log has old versions of the rows of these tables too. `otherwise`: what it means where nobody reads them. */
  | {
      readonly kind: 'versioned';
      readonly tables: readonly TableName[];
      readonly what: string;
      readonly otherwise: Verdict;
    }
  /** The same, where it is known which tables have others now, and which have only lost some. */
  | Shifted
  /** Tables have other names, one after the other. `told`: what it says of their forms besides. */
  | { readonly kind: 'renamed'; readonly moves: readonly Move[]; readonly told: ToldKinds }
  /** Changes of rows as the statement that made them. `tables`: which, where that is known. */
  | { readonly kind: 'rows'; readonly tables: readonly TableName[] | null };

export interface Move {
  readonly from: TableName;
  readonly to: TableName;
}

export interface Shifted {
  readonly kind: 'shifted';
  /** Tables that got rows, and where these were. */
  readonly moves: readonly Move[];
  /** What the statement says of the forms of tables that got rows. */
  readonly told: ToldKinds;
  /** Tables that lost rows and got none. */
  readonly left: readonly TableName[];
  /** Tables that are there no more. */
  readonly gone: readonly TableName[];
  readonly what: string;
}

/** Of those that servers log; everything else could change rows. */
const HARMLESS = new Set([
  ...['RELEASE', 'GRANT', 'REVOKE', 'SET', 'FLUSH', 'LOCK', 'UNLOCK'],
  ...['ANALYZE', 'OPTIMIZE', 'REPAIR', 'CHECK', 'INSTALL', 'UNINSTALL'],
]);

export interface Judging {
  /** That was current for the statement. */
  readonly database: string;
  readonly reading: Reading;
  /** A name's bytes, one a character, to its text. */
  readonly named: (bytes: string) => string;
}

/** @param sql its bytes, one a character */
export function judgeStatement(sql: string, { database, reading, named }: Judging): Verdict {
  const tokens = tokensOf(sql, reading);
  const reader = new StatementReader(tokens, database, named);
  // MariaDB logs these settings with the statement that they are for: it may be one of each kind.
  while (reader.take('SET', 'STATEMENT')) if (!reader.find('FOR')) return { kind: 'rows', tables: null };
  if (reader.take('BEGIN') || reader.take('START', 'TRANSACTION')) return { kind: 'begin' };
  if (reader.take('COMMIT')) return { kind: 'commit' };
  const savepoint = (): string => reader.name().table.toLowerCase();
  if (reader.take('SAVEPOINT')) return { kind: 'savepoint', name: savepoint() };
  if (reader.take('ROLLBACK')) {
    reader.take('WORK');
    if (!reader.take('TO')) return { kind: 'rollback' };
    reader.take('SAVEPOINT');
    return { kind: 'rollback_to', name: savepoint() };
  }
  if (reader.take('XA')) return { kind: reader.one('START', 'BEGIN') ? 'xa_begin' : 'harmless' };
  if (reader.take('TRUNCATE')) {
    reader.take('TABLE');
    return { kind: 'emptied', tables: [reader.name()], told: { kind: 'same' } };
  }
  if (reader.take('DROP')) return dropped(reader);
  if (reader.take('CREATE')) return created(reader);
  if (reader.one('RENAME')) return reader.one('TABLE', 'TABLES') ? renamed(reader) : { kind: 'harmless' };
  if (reader.take('ALTER')) return altered(reader);
  if (reader.take('DELETE', 'FROM')) {
    // After a restart a server says of its tables in memory that they are empty.
    const table = reader.name();
    return { kind: 'rows', tables: reader.done ? [table] : null };
  }
  return HARMLESS.has(reader.word) || reader.done ? { kind: 'harmless' } : { kind: 'rows', tables: null };
}

function dropped(reader: StatementReader): Verdict {
  if (reader.one('DATABASE', 'SCHEMA')) {
    reader.take('IF', 'EXISTS');
    return { kind: 'emptied', tables: [{ schema: reader.name().table, table: null }], told: { kind: 'gone' } };
  }
  if (!reader.one('TABLE', 'TABLES')) return { kind: 'harmless' };
  reader.take('IF', 'EXISTS');
  return { kind: 'emptied', tables: reader.names(), told: { kind: 'gone' } };
}

function created(reader: StatementReader): Verdict {
  const replaces = reader.take('OR', 'REPLACE');
  if (!reader.take('TABLE')) return { kind: 'harmless' };
  const onlyNew = reader.take('IF', 'NOT', 'EXISTS');
  const tables = [reader.name()];
  const what = 'WITH SYSTEM VERSIONING';
  // Where it may have been there already, the catalog is asked.
  const versions = !onlyNew && says(reader, what);
  const told = toldByCreate(reader, onlyNew);
  const otherwise: Verdict = { kind: replaces ? 'emptied' : 'changed', tables, told };
  return versions ? { kind: 'versioned', tables, what: `CREATE TABLE … ${what}`, otherwise } : otherwise;
}

/** Whether these words are to come, wherever. */
function says(reader: StatementReader, words: string): boolean {
  const { at } = reader;
  const found = reader.find(...words.split(' '));
  reader.at = at;
  return found;
}

function renamed(reader: StatementReader): Verdict {
  // Where one of them was not there, another one may be what it was.
  const told: ToldKinds = { kind: reader.take('IF', 'EXISTS') ? 'unsaid' : 'same' };
  const moves: Move[] = [];
  do {
    const from = reader.name();
    reader.find('TO');
    moves.push({ from, to: reader.name() });
    // MariaDB: how long to wait, with a number.
    if (reader.one('WAIT')) reader.at += 1;
    else reader.take('NOWAIT');
  } while (reader.take(','));
  return { kind: 'renamed', moves, told };
}

/** What an ALTER TABLE does to rows beyond giving them another form. */
function altered(reader: StatementReader): Verdict {
  reader.one('ONLINE', 'OFFLINE');
  const ignores = reader.take('IGNORE');
  if (!reader.take('TABLE')) return { kind: 'harmless' };
  reader.take('IF', 'EXISTS');
  const table = reader.name();
  const told = toldByAlter(reader);
  const versions = says(reader, 'ADD SYSTEM VERSIONING');
  const versioned = (tables: readonly TableName[], otherwise: Verdict): Verdict =>
    versions ? { kind: 'versioned', tables, what: 'ALTER TABLE … ADD SYSTEM VERSIONING', otherwise } : otherwise;
  const unversions = says(reader, 'DROP SYSTEM VERSIONING');
  const replaced = (what: string): Verdict => ({ kind: 'replaced', tables: [table], what: `ALTER TABLE … ${what}` });
  for (; !reader.done; reader.at++) {
    const shifted = partitioned(reader, table);
    if (shifted !== null) return shifted;
    for (const verb of ['DISCARD', 'IMPORT'] as const)
      for (const what of ['PARTITION', 'TABLESPACE'] as const)
        if (reader.take(verb, what)) return replaced(`${verb} ${what}`);
    if (!reader.take('RENAME')) continue;
    if (reader.one('COLUMN', 'INDEX', 'KEY', 'CONSTRAINT')) continue;
    reader.one('TO', 'AS', '=');
    const to = reader.name();
    return versioned([to], { kind: 'renamed', moves: [{ from: table, to }], told });
  }
  // Rows that a new key, or another form of an old one, has twice are thrown away. What was told of a table that nobody could
  // read, while it had versions, may have been old ones.
  const what = ignores ? 'ALTER IGNORE TABLE' : unversions ? 'ALTER TABLE … DROP SYSTEM VERSIONING' : null;
  const moves = [{ from: table, to: table }];
  if (what !== null) return versioned([table], { kind: 'shifted', moves, told, left: [], gone: [], what });
  return versioned([table], { kind: 'changed', tables: [table], told });
}

/** What an ALTER TABLE does to partitions with their rows; `null`: nothing of that stands here. */
function partitioned(reader: StatementReader, table: TableName): Verdict | null {
  const shifted = (what: string, of: Partial<Shifted>): Verdict => ({
    ...{ kind: 'shifted', moves: [], told: { kind: 'same' }, left: [], gone: [], what: `ALTER TABLE … ${what}` },
    ...of,
  });
  if (reader.take('DROP', 'PARTITION')) return shifted('DROP PARTITION', { left: [table] });
  if (reader.take('TRUNCATE', 'PARTITION'))
    return reader.take('ALL')
      ? { kind: 'emptied', tables: [table], told: { kind: 'same' } }
      : shifted('TRUNCATE PARTITION', { left: [table] });
  if (reader.take('EXCHANGE', 'PARTITION')) {
    reader.find('WITH', 'TABLE');
    const other = reader.name();
    const moves = [
      { from: table, to: other },
      { from: other, to: table },
    ];
    return shifted('EXCHANGE PARTITION', { moves });
  }
  if (reader.take('CONVERT', 'PARTITION')) {
    reader.find('TO', 'TABLE');
    const moves = [{ from: table, to: reader.name() }];
    return shifted('CONVERT PARTITION', { moves, told: { kind: 'like', of: table, onlyNew: false }, left: [table] });
  }
  if (!reader.take('CONVERT', 'TABLE')) return null;
  const other = reader.name();
  return shifted('CONVERT TABLE', { moves: [{ from: other, to: table }], gone: [other] });
}
