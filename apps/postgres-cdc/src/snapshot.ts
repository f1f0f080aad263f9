import { ROW_EVENT_TYPES, type ChangeBatch, type ChangeEvent, type SnapshotProgress } from '@planasonix/core';
import type { Client } from 'pg';
import { CopyOut } from './copy-out.js';
import { endSession } from './end-session.js';
import { SnapshotEncoder, type TypeCatalog } from './decode/index.js';
import { quoteIdent, quoteLiteral } from './identifier.js';
import { planSnapshot, type SnapshotPlan } from './snapshot-plan.js';
import type { SourceTable } from './tables.js';

const READERS = 3;
const EVENTS = 1000;
const BYTES = 1024 * 1024;
/** Batches that wait for the engine before the readers' sockets are paused. Invariant 6. */
const WAITING = 6;

export interface SnapshotDeps {
  /** A session of its own for each reader. */
  open(): Promise<Client>;
  readonly tables: readonly SourceTable[];
  readonly catalog: TypeCatalog;
  readonly database: string;
  /** Name of the exported snapshot that all readers see. */
  readonly exported: string;
  /** The place in the WAL that it belongs to, and when it was taken. */
  readonly lsn: string;
  readonly takenAtMs: number;
  /** Names the snapshot in ids. */
  readonly id: string;
  readonly attempt: number;
}

/** Reads the rows of all tables as they were at one moment, several readers at once. */
export class Snapshot {
  private readonly ready: ChangeEvent[][] = [];
  private readonly copies = new Set<CopyOut>();
  private readonly sessions: Client[] = [];
  private plan: SnapshotPlan | null = null;
  private readonly left = new Map<SourceTable, number>();
  private tablesDone = 0;
  private rows = 0;
  private finished = false;
  private closed = false;
  private wake: (() => void) | null = null;

  constructor(private readonly deps: SnapshotDeps) {}

  get progress(): SnapshotProgress {
    return {
      state: this.finished ? 'done' : 'running',
      tables_total: this.deps.tables.length,
      tables_done: this.tablesDone,
      rows_done: this.rows,
      rows_estimated: this.plan?.rowsEstimated ?? null,
    };
  }

  /** Opens the readers: from here on the exported snapshot is held by them. */
  async begin(): Promise<void> {
    for (let i = 0; i < READERS; i++) {
      const session = await this.deps.open();
      this.sessions.push(session);
      await session.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
      await session.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(this.deps.exported)}`);
    }
    this.plan = await planSnapshot(this.sessions[0]!, this.deps.tables, quoteIdent);
    for (const [table, chunks] of this.plan.chunksOf) this.left.set(table, chunks);
  }

  /** `op:"t"` for each table: whoever folds the log by key forgets the rows of an attempt that was broken off. */
  restarts(): ChangeEvent[] {
    const { lsn, takenAtMs, database } = this.deps;
    return this.deps.tables.map(({ schema, table }, seq) => ({
      id: `${this.idOf(`${schema}.${table}`)}restart`,
      type: ROW_EVENT_TYPES.t,
      subject: `${schema}.${table}`,
      time: new Date(takenAtMs).toISOString(),
      timeMs: takenAtMs,
      partitionkey: '',
      data: Buffer.from(
        JSON.stringify({
          op: 't',
          before: null,
          after: null,
          unchanged: [],
          source: {
            connector: 'postgres',
            db: database,
            schema,
            table,
            snapshot: true,
            ts_ms: takenAtMs,
            lsn,
            commit_lsn: lsn,
            xid: null,
            seq,
          },
          ts_ms: Date.now(),
        }),
      ),
      order: null,
    }));
  }

  async *read(signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const queue = [...this.plan!.chunks];
    const work = Promise.all(
      this.sessions.map(async (session) => {
        for (let chunk = queue.shift(); chunk !== undefined && !signal.aborted; chunk = queue.shift()) {
          await this.copy(session, chunk.sql, chunk.table, chunk.number);
          const left = this.left.get(chunk.table)! - 1;
          this.left.set(chunk.table, left);
          if (left === 0) this.tablesDone++;
        }
      }),
    ).then(
      () => null,
      (error: unknown) => ({ error }),
    );
    let outcome: { error: unknown } | null | undefined;
    void work.then((result) => {
      outcome = result;
      this.stir();
    });
    const stir = (): void => this.stir();
    signal.addEventListener('abort', stir, { once: true });
    while (!signal.aborted) {
      const events = this.ready.shift();
      if (events !== undefined) {
        if (this.ready.length < WAITING / 2) for (const copy of this.copies) copy.resume();
        this.rows += events.length;
        yield { partition: '', events, position: null };
      } else if (outcome === null) break;
      else if (outcome !== undefined) throw outcome.error;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
    signal.removeEventListener('abort', stir);
    this.finished = !signal.aborted;
  }

  /** Ends the readers also in the middle of a chunk: what still comes is thrown away, and nothing pauses them again. */
  async close(): Promise<void> {
    this.closed = true;
    this.ready.length = 0;
    for (const copy of this.copies) copy.resume();
    await Promise.all(this.sessions.splice(0).map((session) => endSession(session)));
  }

  private async copy(session: Client, sql: string, table: SourceTable, chunk: number): Promise<void> {
    const { catalog, database, lsn, takenAtMs } = this.deps;
    const encoder = new SnapshotEncoder({
      catalog,
      relation: {
        ...table,
        replicaIdentity: 'f',
        columns: table.columns.map((column) => ({ ...column, identity: true })),
      },
      key: table.key,
      excluded: table.excluded,
      database,
      lsn,
      takenAtMs,
      idPrefix: `${this.idOf(`${table.schema}.${table.table}`)}${chunk}-`,
    });
    let events: ChangeEvent[] = [];
    let bytes = 0;
    const hand = (): void => {
      if (events.length === 0 || this.closed) return;
      this.ready.push(events);
      events = [];
      bytes = 0;
      if (this.ready.length >= WAITING) for (const one of this.copies) one.pause();
      this.stir();
    };
    const copy = CopyOut.run(session, sql, (line) => {
      if (this.closed) return;
      const event = encoder.row(line);
      events.push(event);
      bytes += event.data.length;
      if (events.length >= EVENTS || bytes >= BYTES) hand();
    });
    this.copies.add(copy);
    try {
      await copy.done;
    } finally {
      this.copies.delete(copy);
    }
    hand();
  }

  private idOf(table: string): string {
    return `snap-${this.deps.id}-${this.deps.attempt}-${table}-`;
  }

  private stir(): void {
    this.wake?.();
    this.wake = null;
  }
}
