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
  /** Tables have other names, one after the other. `told`: what it says of their forms besides. */
  | { readonly kind: 'renamed'; readonly moves: readonly Move[]; readonly told: ToldKinds }
  /** Changes of rows as the statement that made them. `tables`: which, where that is known. */
  | { readonly kind: 'rows'; readonly tables: readonly TableName[] | null };

export interface Move {
  readonly from: TableName;
  readonly to: TableName;
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
  const told = toldByCreate(reader, onlyNew);
  return { kind: replaces ? 'emptied' : 'changed', tables, told };
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
  const replaced = (what: string, more: readonly TableName[] = []): Verdict => ({
    ...{ kind: 'replaced', tables: [table, ...more], what: `ALTER TABLE … ${what}` },
  });
  for (; !reader.done; reader.at++) {
    for (const verb of ['TRUNCATE', 'DROP', 'DISCARD', 'IMPORT', 'CONVERT', 'EXCHANGE'] as const) {
      const here = reader.at;
      if (reader.take(verb, 'PARTITION')) {
        const meets = verb === 'EXCHANGE' ? reader.find('WITH', 'TABLE') : reader.find('TO', 'TABLE');
        return replaced(`${verb} PARTITION`, meets ? [reader.name()] : []);
      }
      if ((verb === 'DISCARD' || verb === 'IMPORT') && reader.take(verb, 'TABLESPACE'))
        return replaced(`${verb} TABLESPACE`);
      if (verb === 'CONVERT' && reader.take(verb, 'TABLE')) return replaced('CONVERT TABLE', [reader.name()]);
      reader.at = here;
    }
    if (reader.take('SYSTEM', 'VERSIONING')) return replaced('SYSTEM VERSIONING');
    if (!reader.take('RENAME')) continue;
    if (reader.one('COLUMN', 'INDEX', 'KEY', 'CONSTRAINT')) continue;
    reader.one('TO', 'AS', '=');
    return { kind: 'renamed', moves: [{ from: table, to: reader.name() }], told };
  }
  // Rows that a new key, or another form of an old one, has twice are thrown away.
  if (ignores) return { kind: 'replaced', tables: [table], what: 'ALTER IGNORE TABLE' };
  return { kind: 'changed', tables: [table], told };
}
