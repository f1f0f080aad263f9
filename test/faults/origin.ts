/** The server that is read, as the battery sees it whatever kind it is: what writers, judges and the product are told of it. */
import type { Change } from './ledger.js';
import type { Row } from './rows.js';
import type { Table } from './tables.js';

/** At the server, on a direct way. */
export interface Session {
  /** @returns the rows of the last result in `sql` that has rows */
  query<T extends object = Row>(sql: string, values?: readonly unknown[]): Promise<T[]>;
  /** Once it is over, whoever ended it. */
  onEnd(tell: () => void): void;
  end(): Promise<void>;
}

export interface Statement {
  readonly sql: string;
  readonly values?: readonly unknown[];
  /** What it changed, from the rows that the server gave back. */
  readonly effect?: (rows: readonly Row[]) => Change[];
  /** Of `mark` alone: a place in the server's log before this commit and behind the last one of its writer, `sortable`. */
  readonly place?: (rows: readonly Row[]) => string;
  /** `open` a savepoint, go `back` to it, or `release` it. */
  readonly savepoint?: 'open' | 'back' | 'release';
  /** Outside of a transaction, where that commits by itself: the table that it empties. */
  readonly empties?: string;
}

/** What each kind of server has its own words for. Tables have the key `id`, where nothing else is said. */
export interface Grammar {
  /** The first statement of each transaction. */
  mark(writer: number, n: number): Statement;
  /** Insert or update, so that tables stay bounded whatever the seed says. */
  put(of: Table, row: Row): Statement;
  /** `v = v + 1` of all from `from` to `to`. */
  raise(of: Table, from: number, to: number): Statement;
  remove(of: Table, from: number, to: number): Statement;
  /** A changed key, unless that is taken: a delete and an insert. */
  move(of: Table, from: number, to: number): Statement;
  /** All rows of a table, or where that can't be done within a transaction those of one writer. The key is `a`, `B`. */
  clear(of: Table, writer: number): Statement;
  /** All rows of `bulk` anew. @param seed of their values */
  fill(rows: number, seed: string): Statement[];
  /** What is done before a transaction and can't be done within one. @param large it will `fill` */
  before(writer: number, n: number, large: boolean): Statement[];
}

/** What the product is told. */
export interface SourceForm {
  readonly sourceType: string;
  readonly connection: { readonly type: string; readonly config: Readonly<Record<string, unknown>> };
  readonly streamConfig: (tables: readonly string[]) => object;
}

/** What a beginning is known by. */
export interface Begun {
  readonly streamId: string;
  storeQuery<T extends object>(sql: string, values?: unknown[]): Promise<T[]>;
}

export interface Origin {
  readonly app: 'postgres-cdc' | 'mysql-cdc';
  readonly grammar: Grammar;
  readonly port: number;
  connect(): Promise<Session>;
  /** @param port of the network before it */
  form(port: number): SourceForm;
  /** The tables of the battery. */
  makeTables(): Promise<void>;
  /** @param rows of the table of many chunks, with even ids */
  makeVast(session: Session, rows: number): Promise<void>;
  /** The rows of a table as one snapshot sees them, some at a time: whoever reads millions stays able to do other things. */
  pages(session: Session, of: Table): AsyncGenerator<readonly Row[]>;
  /** To be asked before a stream is started with all rows to be read. @returns what waits for where its changes begin, `sortable` */
  beginning(scene: Begun): Promise<() => Promise<string>>;
  /** What a deleted stream has left behind at the server. */
  left(streamId: string): Promise<readonly string[]>;
  stop(): Promise<void>;
}
