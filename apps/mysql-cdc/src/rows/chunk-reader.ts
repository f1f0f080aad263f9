import { StreamError, type Clock } from '@planasonix/core';
import { isBefore } from '../position.js';
import { logEnd, serverOf, type LogPlace, type Server } from '../server.js';
import type { Session } from '../session.js';
import { unfitReasons } from '../unfit.js';
import { beginChunk } from './chunk-opening.js';
import { CHUNK_ROWS, type ChunkRun } from './chunk-run.js';
import { rangeSql, wholeSql } from './chunk-sql.js';
import { readingKey } from './key-column.js';
import type { Begin, Window } from './row-watch.js';
import { RowWriter } from './row-writer.js';
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
}

/** Reads chunks, one after the other, each in a short transaction of its own. */
export class ChunkReader {
  private session: Session | null;
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
    const session = (this.session ??= await this.dial());
    let whole = false;
    try {
      const place = deps.alone ?? (await this.begin(session, run));
      const outcome = place === null ? 'read' : await this.readAt(session, run, place);
      whole = true;
      return outcome;
    } finally {
      // Of rows that nobody wants any more the rest would have to be read before anything else can be asked.
      if (deps.alone === null) {
        if (whole && !run.void) await session.query('COMMIT').catch(() => this.forget());
        else this.forget();
      }
    }
  }

  /** Ends its sessions; the next chunk dials. */
  forget(): void {
    for (const session of [this.session, this.lock]) if (session !== null) this.deps.end(session);
    this.session = this.lock = null;
  }

  stop(): void {
    this.stopped = true;
    this.forget();
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
    if (run.share.kind === 'lane') run.watch(deps.watch(run));
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
    const { wish, state } = run.task;
    const { share } = run;
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
    const rows = { list: writer.list, condition: wish.where };
    const limit = share.kind === 'whole' ? null : CHUNK_ROWS;
    const sql =
      share.kind === 'whole' ? wholeSql(table, rows) : rangeSql(table, key, state.lanes[share.lane]!, rows, limit);
    // Where few rows are wanted of many, the server may look for the next one for long.
    for await (const some of session.rows(sql, wish.where === null ? undefined : Infinity)) {
      if (this.stopped || (run.void && alone === null)) return 'read';
      // The one transaction goes on: the rest of an answer has to be read before anything else can be asked.
      if (run.void) continue;
      for (const row of some) {
        writer.row(row);
        run.count++;
        if (writer.waiting < EVENTS && writer.bytes < BYTES) continue;
        run.pieces.push({ events: writer.take(), last: writer.lastKey() });
        deps.arrived();
      }
      if (!(await deps.room(run))) run.cancel();
    }
    if (writer.waiting > 0 && !run.void) run.pieces.push({ events: writer.take(), last: writer.lastKey() });
    run.read(limit);
    return 'read';
  }
}
