import { StreamError, type Clock } from '@planasonix/core';
import { isBefore } from '../position.js';
import { logEnd, serverOf, type LogPlace, type Server } from '../server.js';
import type { Session } from '../session.js';
import type { SourceTable } from '../tables.js';
import { unfitReasons } from '../unfit.js';
import { beginChunk } from './chunk-opening.js';
import { CHUNK_ROWS, type ChunkRun } from './chunk-run.js';
import { boundSql, rangeSql, wholeSql, type Bound } from './chunk-sql.js';
import { readingKey, type KeyColumn } from './key-column.js';
import type { Begin, Window } from './row-watch.js';
import { boundOf, RowWriter } from './row-writer.js';
import { tableNow, touch } from './table-now.js';

/** What goes out at once at the most. */
const EVENTS = 1000;
const BYTES = 1024 * 1024;
const LEVEL_MS = 20;

export interface ChunkDeps {
  readonly server: Server;
  readonly clock: Clock;
  /** Columns that never leave the worker, in lower case. */
  readonly excludedOf: (schema: string, table: string) => ReadonlySet<string>;
  /** The one transaction that rows alone are read in, at this place. `null`: each chunk has its own. */
  readonly alone: LogPlace | null;
  /** Up to where the log was read. */
  readonly reached: () => LogPlace;
  /** The last transaction of which changes were handed over. */
  delivered(): Begin;
  watch(run: ChunkRun): Window;
  /** Resolves once there is room for more; `false`: nobody has taken anything for too long. */
  room(run: ChunkRun): Promise<boolean>;
  /** Told of each piece. */
  arrived(): void;
  open(): Promise<Session>;
  end(session: Session): void;
  /** Ends what the server does at a session that is over here. @param id of the server's, `CONNECTION_ID()` */
  kill(id: string): Promise<void>;
}

/** What is asked for of a chunk's rows, and what is true once all of them were read. */
interface Asked {
  readonly sql: string;
  readonly finished: (count: number) => NonNullable<ChunkRun['finished']>;
}

/** Reads chunks, one after the other, each in a short transaction of its own. */
export class ChunkReader {
  private session: Session | null;
  /** The server's number of it. */
  private id: string | null = null;
  private lock: Session | null = null;
  private stopped = false;

  /** @param session that of the one transaction, for rows alone */
  constructor(
    private readonly deps: ChunkDeps,
    session: Session | null,
  ) {
    this.session = session;
  }

  /** @returns `gone`: there is no such table. @throws what the server says */
  async read(run: ChunkRun): Promise<'read' | 'gone'> {
    const { deps } = this;
    const session = (this.session ??= await this.dialForRows());
    let whole = false;
    try {
      const place = deps.alone ?? (run.void ? null : await this.begin(session, run));
      const outcome = place === null ? 'read' : await this.readAt(session, run, place);
      whole = true;
      return outcome;
    } finally {
      // Of rows that nobody wants any more the rest would have to be read before anything else can be asked.
      if (deps.alone === null) {
        if (whole && !run.void) await session.query('COMMIT').catch(() => this.forget());
        else if (run.void) await this.abandon();
        else this.forget();
      }
    }
  }

  /** Ends its sessions; the next chunk dials. */
  forget(): void {
    for (const session of [this.session, this.lock]) if (session !== null) this.deps.end(session);
    this.session = this.lock = this.id = null;
  }

  /**
   * What it reads is not wanted any more. That its session is gone a server would not see before it has a row to send, which
   * it may look for for long. Never throws.
   */
  async abandon(): Promise<void> {
    const { id } = this;
    this.forget();
    if (id !== null) await this.deps.kill(id);
  }

  stop(): void {
    this.stopped = true;
    this.forget();
  }

  private async dialForRows(): Promise<Session> {
    const session = await this.dial();
    this.id = await session.value('SELECT CONNECTION_ID()');
    return session;
  }

  /** A balancer may lead elsewhere: rows of another server have no place in this log. */
  private async dial(): Promise<Session> {
    const session = await this.deps.open();
    const { identity } = await serverOf(session);
    if (identity === this.deps.server.identity) return session;
    this.deps.end(session);
    throw new StreamError('source_unreachable', 'The connection leads to another server for rows than for the log.', {
      hint: 'Let the connection lead to one server.',
    });
  }

  private async begin(session: Session, run: ChunkRun): Promise<LogPlace | null> {
    const { deps } = this;
    const { server, clock } = deps;
    const { wish } = run.task;
    const ended = (): boolean => this.stopped || run.void;
    if (run.share.kind === 'lane' && !(await this.level(session, ended))) return null;
    // Before the transaction begins: what is told from now on is newer, or seen.
    const delivered = deps.delivered();
    if (run.share.kind === 'lane') run.watch(() => deps.watch(run));
    return beginChunk({
      ...{ session, server, clock, of: wish, delivered, exact: run.share.kind === 'whole', ended },
      lock: async () => (this.lock ??= await this.dial()),
      waits: (what) => (run.task.waitsFor = what),
    });
  }

  /** While the log is far behind, rows would wait for it, and their keys would have to be remembered for long. */
  private async level(session: Session, ended: () => boolean): Promise<boolean> {
    const { server, clock, reached } = this.deps;
    const end = await logEnd(session, server);
    while (!ended() && isBefore(reached(), end)) await clock.sleep(LEVEL_MS);
    return !ended();
  }

  private async readAt(session: Session, run: ChunkRun, place: LogPlace): Promise<'read' | 'gone'> {
    const { deps } = this;
    const { server, clock, alone } = deps;
    const { wish } = run.task;
    // Nobody changes its form from here on, so that what is described is what is read.
    await touch(session, wish);
    run.task.waitsFor = null;
    const table = await tableNow(session, server, wish);
    if (table === null) return 'gone';
    const [unfit] = unfitReasons(table);
    if (unfit !== undefined) throw new StreamError(unfit.code, unfit.message, { hint: unfit.fix });
    const excluded = deps.excludedOf(table.schema, table.table);
    const key = readingKey(table, excluded);
    run.task.estimated ??= table.estimatedRows;
    if (!run.void && !run.task.keyIs(key)) run.task.restart(key);
    if (run.void) return 'read';
    run.place = place;
    const { idPrefix } = run;
    const writer = new RowWriter({ server, table, excluded, place, takenAtMs: clock.now(), idPrefix, key });
    const { sql, finished } = await this.asked(session, run, table, key, writer);
    const whole = run.share.kind === 'whole';
    const allowed = (): number => (whole ? Math.min(EVENTS, run.allowance.left) : EVENTS);
    let most = allowed();
    // Where few rows are wanted of many, the server may look for the next one for long.
    for await (const some of session.rows(sql, wish.where === null ? undefined : Infinity)) {
      if (this.stopped || (run.void && alone === null)) return 'read';
      // The one transaction goes on: the rest of an answer has to be read before anything else can be asked.
      if (run.void) {
        run.count += some.length;
        continue;
      }
      for (const row of some) {
        writer.row(row);
        run.count++;
        if (writer.waiting < most && writer.bytes < BYTES) continue;
        run.pieces.push({ events: writer.take(), last: writer.lastKey() });
        deps.arrived();
        if (!whole) continue;
        run.tell();
        if (run.allowance.left === 0 && !(await run.more())) return 'read';
        most = allowed();
      }
      if (!(await deps.room(run))) run.cancel();
    }
    if (writer.waiting > 0 && !run.void) run.pieces.push({ events: writer.take(), last: writer.lastKey() });
    run.finished = finished(run.count);
    return 'read';
  }

  /** Where a condition decides, the number of rows that come bounds nothing: a chunk is so many keys then (Invariant 6). */
  private async asked(
    session: Session,
    { task: { wish, state }, share, most }: ChunkRun,
    table: SourceTable,
    key: readonly KeyColumn[],
    { list, keyList }: RowWriter,
  ): Promise<Asked> {
    const rows = { list, condition: wish.where };
    if (share.kind === 'whole') return { sql: wholeSql(table, rows), finished: () => ({ end: true }) };
    const lane = state.lanes[share.lane]!;
    if (wish.where === null)
      return {
        sql: rangeSql(table, key, lane, rows, most),
        finished: (count) => ({ end: count < most }),
      };
    let upto: Bound | null = null;
    for await (const [row] of session.rows(boundSql(table, key, lane, keyList, CHUNK_ROWS), Infinity))
      upto = row?.map(boundOf) ?? null;
    const range = { after: lane.after, upto: upto === null ? lane.upto : [...upto] };
    const end = upto === null ? { end: true } : { end: false, upto };
    return {
      sql: rangeSql(table, key, range, rows, most),
      finished: (count) => (count < most ? end : { end: false }),
    };
  }
}
