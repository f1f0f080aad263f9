import type { ChangeEvent } from '@planasonix/core';
import type { Allowance } from '@planasonix/rows';
import type { Client, QueryResult } from 'pg';
import type { PostgresConfig } from '../config.js';
import { CopyOut } from '../copy-out.js';
import { SnapshotEncoder, parseLsn, type CatalogQuery, type TypeCatalog } from '../decode/index.js';
import { qualified, quoteLiteral } from '../identifier.js';
import { partitionTree } from '../partition-tree.js';
import { heldBack, obeyedBy, type Obeyed } from '../publication-filter.js';
import { describeTable, tableName, type SourceTable, type TableName } from '../tables.js';
import { ReplayedUntil, VisibleTransactions, type Visibility } from './visibility.js';

/** What goes out at once at the most. */
const EVENTS = 1000;
const BYTES = 1024 * 1024;

/** The snapshot that a chunk was read under. */
export interface ChunkSnapshot {
  readonly visibility: Visibility;
  /** As it can be kept in a position. */
  readonly text: string;
  /** No commit that it sees ends behind this place. */
  readonly lsn: bigint;
  /** It was exported before: the table may have another form by now. */
  readonly exported: boolean;
  readonly takenAtMs: number;
}

export interface Chunk {
  /** Once the table is locked against a change of its form, before the snapshot is taken; once more where that was another one. */
  begin(): void;
  /** Somebody keeps the table, or an index of it, to himself; or the server gave others precedence. It has to be read again. */
  busy(why: 'locked' | 'conflict'): void;
  /** @returns the SQL of the rows; `null` where there is nothing to be read any more. */
  opened(snapshot: ChunkSnapshot, table: SourceTable): string | null;
  /** The publication does not let its rows out: it has to be read again. @param why for people */
  withheld(why: string): void;
  /** It can't be read under the exported snapshot. */
  postpone(): void;
  /** Rows in the order of the key. @param last texts of the key of the last one. @returns `false`: read no further for now. */
  rows(events: readonly ChangeEvent[], last: readonly string[]): boolean;
  readonly oid: number;
  /** All rows of a table, one allowance after the other. */
  readonly whole: boolean;
  readonly allowance: Allowance;
  /** Resolves once it has another allowance; with `false` where nothing is read any more. */
  more(): Promise<boolean>;
  /** Begins the id of each row; the key follows. */
  readonly idPrefix: string;
}

export interface ChunkDeps {
  readonly catalog: TypeCatalog;
  readonly config: Pick<PostgresConfig, 'tables' | 'exclude_tables' | 'exclude_columns' | 'snapshot'>;
  /** The publication whose row filters and column lists rows obey; `null`: none. */
  readonly obeys: string | null;
  readonly database: string;
  /** Columns that never leave the worker. */
  excludedOf(table: SourceTable): ReadonlySet<string>;
  /** An exported snapshot that rows are to be read under; `null`: each chunk takes its own. */
  exported(): string | null;
  now(): number;
}

/** A chunk that waits for somebody who changes the table's form is tried again: those who wait behind us must not wait long. */
const LOCK_MS = 2_000;
/**
 * SQLSTATEs of what somebody stands in the way of. Also behind the lock of the table: who plans a query locks its indexes,
 * and a standby breaks off what its replay can't wait for.
 */
const BUSY: Readonly<Record<string, 'locked' | 'conflict'>> = {
  '55P03': 'locked',
  '40001': 'conflict',
  '40P01': 'conflict',
};

/** No such table, no such schema. */
const NO_SUCH_NAME: ReadonlySet<string> = new Set(['42P01', '3F000']);

const codeOf = (error: unknown): string => String((error as { code?: unknown }).code);

/**
 * Truncated or rewritten since an older snapshot was taken: under that it is empty. Or the index of its key is there no more:
 * its columns may be sorted otherwise than that snapshot's catalog says. File and definition are those of now, rows those of then.
 * Asking for a definition waits for the lock of its table: no other one's is asked for, in whatever order the server judges.
 */
const remade = (oid: number): string => `
  SELECT FROM pg_catalog.pg_class c WHERE c.oid IN ${partitionTree(`${oid}::oid`)}
    AND c.relkind = 'r' AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid)
  UNION ALL SELECT FROM pg_catalog.pg_index i
  WHERE i.indrelid = ${oid} AND CASE WHEN i.indrelid = ${oid} AND (i.indisprimary OR i.indisreplident) THEN pg_catalog.pg_get_indexdef(i.indexrelid) IS NULL END`;

/** `oid`: of what has the name of the locked table. It is looked up as of now, whatever snapshot the transaction reads under. */
const snapshotUnder = (locked: TableName): string => `
  SELECT pg_catalog.pg_current_snapshot()::text AS seen, pg_catalog.pg_is_in_recovery()::text AS standby,
    CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END::text AS lsn,
    pg_catalog.to_regclass(${quoteLiteral(qualified(locked.schema, locked.table))})::oid::text AS oid`;

interface Taken {
  readonly seen: string;
  readonly standby: string;
  readonly lsn: string;
  readonly oid: string | null;
}

export const visibilityOf = (text: string): Visibility =>
  text.includes('/') ? new ReplayedUntil(parseLsn(text)) : new VisibleTransactions(text);

/** Reads chunks on one session, one after the other, each in a short transaction of its own. */
export class ChunkReader {
  private copy: CopyOut | null = null;
  /** What the last table was called. */
  private known: (TableName & { readonly oid: number }) | null = null;
  /** A transaction has been begun and not ended. */
  private open = false;
  private primary = false;
  private obeyed: Promise<Obeyed | null> | null = null;
  private stopped = false;
  /** Why it reads no further for now: nobody takes what it has read; it has read as much as it may. */
  private heldUp = false;
  private ahead = false;

  constructor(
    readonly session: Client,
    private readonly deps: ChunkDeps,
  ) {}

  /**
   * One chunk. The table is locked against a change of its form first, so that the description, taken under the same
   * snapshot, is that of the rows. @returns the number of rows, also of those that nobody wanted, or `null` where the table
   * is gone.
   */
  async read(chunk: Chunk): Promise<number | null> {
    for (;;) {
      const remembered = this.known?.oid === chunk.oid ? this.known : null;
      const name = remembered ?? (await tableName(this.session, chunk.oid));
      if (name === null) return null;
      this.known = null;
      const count = await this.readAs(name, chunk, remembered !== null);
      if (count !== 'moved') return count;
    }
  }

  /**
   * Few answers are waited for: each costs a turn of both sides, and a chunk has to be cheap to be small.
   *
   * @param remembered the name is as old as the last chunk
   * @returns `moved`: it has another name by now
   */
  private async readAs(known: TableName, chunk: Chunk, remembered: boolean): Promise<number | null | 'moved'> {
    const { session, deps } = this;
    const before = await this.replayed();
    const obeyed = await (this.obeyed ??= obeyedBy(session, deps.obeys));
    this.open = true;
    try {
      if (!(await this.begin(known, remembered))) return 'moved';
      chunk.begin();
      const snapshot = await this.snapshot(known, chunk, before);
      if (snapshot === 'moved') return 'moved';
      if (snapshot === 'remade') {
        chunk.postpone();
        return 0;
      }
      const described = await describeTable(session, chunk.oid, deps.config, obeyed);
      if (described === null) return null;
      if (described.schema !== known.schema || described.table !== known.table) {
        // What has that name by now may be another table.
        if (!snapshot.exported) return 'moved';
        chunk.postpone();
        return 0;
      }
      this.known = { ...known, oid: chunk.oid };
      const why = heldBack(described, deps.config.snapshot === 'only');
      if (why !== null) {
        if (snapshot.exported) chunk.postpone();
        else chunk.withheld(why);
        return 0;
      }
      const excluded = deps.excludedOf(described);
      const columns = described.columns.filter((column) => !excluded.has(column.name));
      const table = { ...described, excluded, columns };
      const types = table.columns.map((column) => column.typeOid);
      const query: CatalogQuery = async (sql, params) =>
        (await session.query<Record<string, string | null>>(sql, [...params])).rows;
      await deps.catalog.renew(deps.catalog.changeable(types), query);
      await deps.catalog.ensure(types, query);
      const sql = chunk.opened(snapshot, table);
      return sql === null ? 0 : await this.copyOut(chunk, sql, table, snapshot);
    } catch (error) {
      const why = BUSY[codeOf(error)] ?? ((await this.isElsewhere(known, chunk.oid, error)) ? 'conflict' : undefined);
      if (why === undefined) throw error;
      chunk.busy(why);
      return 0;
    } finally {
      if (this.open) await session.query('COMMIT').catch(() => undefined);
      this.open = false;
    }
  }

  /** A lock of the table keeps its name, and not that of its schema. */
  private async isElsewhere({ schema, table }: TableName, oid: number, error: unknown): Promise<boolean> {
    if (!NO_SUCH_NAME.has(codeOf(error))) return false;
    await this.session.query('ROLLBACK');
    this.open = false;
    const now = await tableName(this.session, oid);
    return now?.schema !== schema || now.table !== table;
  }

  resume(): void {
    this.heldUp = false;
    this.goOn();
  }

  /** What still comes is thrown away. */
  stop(): void {
    this.stopped = true;
    this.ahead = false;
    this.resume();
  }

  private goOn(): void {
    if (!this.heldUp && !this.ahead) this.copy?.resume();
  }

  /**
   * Begins the transaction and locks the table.
   *
   * @param remembered whatever is wrong may be so with what has its name by now
   * @returns `false`: there is no such table, or it may be another one
   */
  private async begin({ schema, table }: TableName, remembered: boolean): Promise<boolean> {
    try {
      await this.session.query(
        `BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = ${LOCK_MS}; LOCK TABLE ${qualified(schema, table)} IN ACCESS SHARE MODE`,
      );
      return true;
    } catch (error) {
      const code = codeOf(error);
      if (!(code in BUSY) && (remembered || NO_SUCH_NAME.has(code))) return false;
      throw error;
    }
  }

  /** @param before where a standby had replayed to before the snapshot was taken. */
  private async snapshot(
    locked: TableName,
    { oid }: Chunk,
    before: string | null,
  ): Promise<ChunkSnapshot | 'moved' | 'remade'> {
    const exported = this.deps.exported();
    const earlier = exported === null ? [] : [`SET TRANSACTION SNAPSHOT ${quoteLiteral(exported)}`, remade(oid)];
    const takenAtMs = this.deps.now();
    // One result, or one of each.
    const results = [
      (await this.session.query([...earlier, snapshotUnder(locked)].join(';'))) as QueryResult | QueryResult[],
    ].flat();
    const taken = results.at(-1)!.rows[0] as Taken;
    this.primary = taken.standby === 'false';
    if (Number(taken.oid) !== oid) return 'moved';
    if (exported !== null && results[1]!.rows.length > 0) return 'remade';
    const text = taken.standby === 'true' ? (before ?? '0/0') : taken.seen;
    const visibility = visibilityOf(text);
    return { visibility, text, lsn: parseLsn(taken.lsn), exported: exported !== null, takenAtMs };
  }

  /** `null`: of a server that is no standby; none becomes one while a session lasts. */
  private async replayed(): Promise<string | null> {
    if (this.primary) return null;
    const { rows } = await this.session.query<{ lsn: string | null }>(
      'SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()::text END AS lsn',
    );
    return rows[0]?.lsn ?? null;
  }

  private async copyOut(chunk: Chunk, sql: string, table: SourceTable, snapshot: ChunkSnapshot): Promise<number> {
    const encoder = new SnapshotEncoder({
      catalog: this.deps.catalog,
      relation: {
        ...table,
        replicaIdentity: 'f',
        columns: table.columns.map((column) => ({ ...column, identity: true })),
      },
      key: table.key,
      excluded: table.excluded,
      database: this.deps.database,
      lsn: snapshot.lsn,
      takenAtMs: snapshot.takenAtMs,
      idPrefix: chunk.idPrefix,
    });
    let rows = 0;
    let size = 0;
    let count = 0;
    const allowed = (): number => (chunk.whole ? Math.min(EVENTS, Math.max(1, chunk.allowance.left)) : EVENTS);
    let most = allowed();
    // What it reads under is not kept for a moment longer than it is read.
    const copy = CopyOut.run(this.session, `${sql};COMMIT`, (bytes, start, end) => {
      if (this.stopped) return;
      size += encoder.row(bytes, start, end);
      rows++;
      if (rows < most && size < BYTES) return;
      hand();
      if (chunk.whole && chunk.allowance.left === 0 && !this.ahead) void wait();
      if (this.heldUp || this.ahead) copy.pause();
    });
    const hand = (): void => {
      count += rows;
      rows = 0;
      size = 0;
      this.heldUp = !chunk.rows(encoder.take(), encoder.lastKey());
      most = allowed();
    };
    const wait = async (): Promise<void> => {
      this.ahead = true;
      // What the socket has brought already stays here until then.
      most = EVENTS;
      if (!(await chunk.more())) return;
      if (this.copy !== copy) return chunk.allowance.end();
      this.ahead = false;
      most = allowed();
      this.goOn();
    };
    this.copy = copy;
    try {
      await copy.done;
      this.open = false;
    } finally {
      this.copy = null;
      this.heldUp = this.ahead = false;
      // The last rows may have held up the socket that the answer to the next query comes by.
      copy.resume();
    }
    if (rows > 0 && !this.stopped) hand();
    return count;
  }
}
