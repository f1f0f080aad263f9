import {
  type ChangeBatch,
  type Check,
  CONNECTED,
  findingOf,
  type Lag,
  type Position,
  type Orders,
  type Positions,
  type ReleaseReport,
  type SnapshotOrder,
  type SnapshotProgress,
  type Source,
  type SourceContext,
  StreamError,
  Waker,
} from '@planasonix/core';
import { refuseOrders } from '@planasonix/rows';
import { checkOrder } from './check-order.js';
import { parseConfig, type MySqlConfig } from './config.js';
import { Charsets } from './decode/charsets.js';
import { UNKNOWN } from './gtids-at.js';
import { lookAtLag, ReadingLag } from './lag.js';
import { LogDecoder } from './log-decoder.js';
import { LogReader } from './log-reader.js';
import { notesOf, openStream, placed, positionOf, type Beginning } from './opening.js';
import { decodePosition, encodePosition, lastBegun, type MySqlPosition } from './position.js';
import { preflight } from './preflight.js';
import { positionForLook } from './rest-place.js';
import { LogRetention } from './retention.js';
import { RowWork, type RowWorkDeps } from './row-work.js';
import { beginConsistent } from './rows/consistent.js';
import type { RowsState } from './rows/rows-state.js';
import { allocateServerId, holderOf, replicaHost, replicas } from './server-id.js';
import { logEnd, serverOf, type LogPlace, type Server } from './server.js';
import { QUESTION_MS, Sessions } from './sessions.js';
import { settlePosition } from './settle-position.js';
import { toStreamError } from './stream-error.js';
import { TableBook } from './table-book.js';
import { tableMatcher } from './tables.js';
import { LogFeed } from './wire/log-feed.js';

const NOTHING: RowsState = { tables: [], sifts: [] };

/** One stream's view of a MySQL or MariaDB server. Nothing is made there, so nothing has to be given back. */
export class MySqlSource implements Source {
  private readonly config: MySqlConfig;
  private readonly sessions: Sessions;
  private readonly excluded: ReadonlyMap<string, ReadonlySet<string>>;
  private readonly waker = new Waker();
  private work: RowWork | null = null;
  private feed: LogFeed | null = null;
  /** Of the reader, and the file that it began in. */
  private lagging: { readonly lag: ReadingLag; readonly server: Server; readonly file: string } | null = null;
  private readonly kept: LogRetention;
  /** The log is for the reader now, also before it has it: nobody else takes a look. */
  private reads = false;
  /** Rows were all that was asked for, and the log has them. */
  private over = false;

  constructor(private readonly context: SourceContext) {
    this.config = parseConfig(context.config);
    this.sessions = new Sessions(context, `planasonix ${context.streamId}`);
    this.kept = new LogRetention({ sessions: this.sessions, clock: context.clock });
    this.excluded = new Map(
      Object.entries(this.config.exclude_columns).map(([table, names]) => [
        table.toLowerCase(),
        new Set(names.map((name) => name.toLowerCase())),
      ]),
    );
  }

  async check(): Promise<readonly Check[]> {
    const { config, context } = this;
    try {
      const reached = context.onLostPosition === null ? await context.reached?.() : undefined;
      const isNew = reached === undefined || reached.size === 0;
      const place = positionOf(reached);
      return await preflight({
        ...{ config, streamId: context.streamId, isNew, before: place?.phase === 'stream' ? place : null },
        asked: notesOf(reached).asked,
        excludedOf: (schema, table) => this.excludedOf(schema, table),
        control: await this.sessions.control(),
        look: () => this.sessions.open('preflight'),
        end: (session) => this.sessions.end(session),
      });
    } catch (error) {
      this.sessions.forget();
      return [findingOf(toStreamError(error, 'checking the source'))];
    }
  }

  async *read(from: Positions, signal: AbortSignal, orders?: Orders): AsyncGenerator<ChangeBatch> {
    this.reads = true;
    try {
      yield* this.reading(from, signal, orders);
    } catch (error) {
      if (signal.aborted) return;
      throw toStreamError(error, 'reading');
    }
  }

  /** The server keeps its log by its own rules, whoever reads it. */
  async ack(partition: string, position: Position): Promise<void> {
    if (partition === '') await this.work?.committed(decodePosition(position));
  }

  ordersChanged(): void {
    this.work?.ordersChanged();
  }

  async checkOrder(order: Omit<SnapshotOrder, 'id'>): Promise<readonly Check[]> {
    const excludedOf = (schema: string, table: string): ReadonlySet<string> => this.excludedOf(schema, table);
    try {
      return await this.sessions.ask(async (session) =>
        checkOrder(session, await serverOf(session), this.config, excludedOf, order),
      );
    } catch (error) {
      return [findingOf(toStreamError(error, 'checking the order'))];
    }
  }

  async lag(from: Positions, signal: AbortSignal): Promise<Lag> {
    try {
      const { lagging } = this;
      if (lagging === null) return await this.look(from, signal);
      const durable = from.get('');
      const place = durable === undefined ? null : decodePosition(durable);
      const file = place?.server === lagging.server.identity ? place.file : lagging.file;
      return await this.sessions.ask((session) => lagging.lag.of(session, lagging.server, file, signal));
    } catch (error) {
      throw toStreamError(error, 'looking at the lag');
    }
  }

  async settle(wanted: unknown, from: Positions, signal: AbortSignal): Promise<Positions> {
    const { config, sessions, context } = this;
    const { clock } = context;
    try {
      return await sessions.ask(async (session) => {
        const at = { sessions, session, server: await serverOf(session), clock, signal };
        return settlePosition({ ...at, config }, wanted, from);
      });
    } catch (error) {
      throw toStreamError(error, 'looking for the place');
    }
  }

  snapshot(): SnapshotProgress | 'over' | null {
    return this.work?.progress ?? (this.over ? 'over' : null);
  }

  release(): Promise<ReleaseReport> {
    return Promise.resolve({ released: [], remaining: [] });
  }

  close(): Promise<void> {
    this.feed?.close();
    this.work?.close();
    this.sessions.close();
    return Promise.resolve();
  }

  private excludedOf(schema: string, table: string): ReadonlySet<string> {
    return this.excluded.get(`${schema}.${table}`.toLowerCase()) ?? new Set();
  }

  private async *reading(from: Positions, signal: AbortSignal, orders?: Orders): AsyncGenerator<ChangeBatch> {
    const { config, context, sessions } = this;
    const session = await sessions.control();
    const beginning = await openStream({ config, context, sessions, session, signal, orders }, from);
    const { how, position } = beginning;
    if (how !== 'begin') yield CONNECTED;
    this.over = how === 'done';
    if (this.over) return refuseOrders(context.orders);
    if (how === 'alone') yield* this.readAlone(beginning, signal);
    if (how === 'alone' || position === null) return;
    const { file } = position;
    const log: { reader: LogReader | null } = { reader: null };
    const reached = (): LogPlace => log.reader?.reached ?? { file, pos: 0 };
    const work = this.rowWork(beginning, { alone: null, session: null, reached, from: lastBegun(position) });
    await work.open();
    yield work.notebook;
    if (how !== 'resume') yield { partition: '', events: [], position: encodePosition(position) };
    const reader = (log.reader = await this.openReader(beginning, position, work));
    await work.begin();
    // An order may have ended with that and not have been told so.
    await work.committed(position);
    if (how === 'begin') yield CONNECTED;
    yield* reader.batches(signal);
  }

  /** Rows and nothing else, as they are at one place; what an interruption leaves, as it is at a later one. */
  private async *readAlone(beginning: Beginning, signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const { server, position: before } = beginning;
    const session = await this.sessions.open('rows');
    const stir = (): void => this.waker.stir();
    signal.addEventListener('abort', stir);
    try {
      const alone = await beginConsistent(session, server, this.context.clock);
      const position = placed(beginning, { ...alone, ...UNKNOWN }, 'rows');
      const nowhere = { file: 0, pos: 0 };
      const begun = { ...beginning, position: { ...position, rows: before?.rows } };
      const work = this.rowWork(begun, { alone, session, reached: () => alone, from: nowhere });
      // Also where nothing is under way: rows that were broken off are told from those of an earlier version by that.
      const at = (rows = NOTHING): Position => encodePosition({ ...position, rows });
      await work.open();
      // From here on an interruption is known for what it is.
      yield work.notebook;
      yield { partition: '', events: [], position: at(before?.rows) };
      await work.begin();
      await work.committed(begun.position);
      while (!signal.aborted) {
        work.look();
        const events = work.take(alone);
        if (events !== null) yield { partition: '', events, position: at(work.state.rows) };
        const note = work.note();
        if (note !== null) yield note;
        else if (events === null && work.idle) break;
        else if (events === null) await this.waker.wait();
      }
      if (!signal.aborted)
        yield { partition: '', events: [], position: encodePosition({ ...position, phase: 'done' }) };
    } finally {
      signal.removeEventListener('abort', stir);
      this.work?.close();
      this.sessions.end(session);
    }
  }

  private rowWork(
    { server, tables, asked, unread, orders, position }: Beginning,
    beside: Pick<RowWorkDeps, 'alone' | 'session' | 'reached' | 'from'>,
  ): RowWork {
    const { config, context, sessions, waker } = this;
    const { clock, log } = context;
    return (this.work = new RowWork(
      {
        ...{ config, context, server, clock, log, waker, ...beside },
        excludedOf: (schema, table) => this.excludedOf(schema, table),
        ask: (question) => sessions.ask(question),
        open: () => sessions.open('rows'),
        end: (session) => sessions.end(session),
        kill: (id) => sessions.kill(server, id),
      },
      { tables: tables.length, asked, unread, orders, state: position?.rows },
    ));
  }

  private async openReader(beginning: Beginning, from: MySqlPosition, work: RowWork): Promise<LogReader> {
    const { sessions, context, waker } = this;
    const { clock, streamId } = context;
    const { server, asks } = beginning;
    const charsets = new Charsets();
    const serverId = await sessions.ask(async (control) => {
      await charsets.learn(control);
      return this.serverId(server);
    });
    const session = await sessions.open('log', QUESTION_MS);
    const feed = (this.feed = new LogFeed({ session, host: replicaHost(streamId), clock, waker }));
    await feed.open({ serverId, file: from.file, pos: from.proof?.begin ?? from.pos, follow: true });
    const book = new TableBook({
      ...{ server, charsets, asks, kinds: from.kinds, leftovers: work.leftovers, log: context.log },
      excludedOf: (schema, table) => this.excludedOf(schema, table),
      ask: (question) => sessions.ask(question),
    });
    book.know(beginning.noted);
    const { flavor, foldsCase } = server;
    const { attempt, origin = attempt } = from;
    const deps = { flavor, foldsCase, attempt, origin, book, asks };
    const decoder = new LogDecoder(deps, from, feed.checksums);
    this.lagging = { lag: new ReadingLag(decoder, feed, clock, this.kept), server, file: from.file };
    const wholeBy = beginning.how === 'begin' ? null : await sessions.ask((control) => logEnd(control, server));
    const at = { ...from, server: server.identity };
    return new LogReader({ feed, decoder, book, work, from: at, wholeBy, clock, waker });
  }

  /** @throws StreamError `config_invalid` where the one that the user gave is taken */
  private async serverId(server: Server): Promise<number> {
    const { server_id: given } = this.config;
    const { streamId } = this.context;
    const control = await this.sessions.control();
    if (given === 'auto') return allocateServerId(control, server, streamId);
    const holder = holderOf(server, await replicas(control, server), given, replicaHost(streamId));
    if (holder !== null)
      throw new StreamError('config_invalid', `server_id ${given} belongs to ${holder}.`, {
        hint: 'Leave server_id out, or give one that no replica has.',
      });
    return given;
  }

  private async look(from: Positions, signal: AbortSignal): Promise<Lag> {
    const text = from.get('');
    const position = text === undefined ? null : decodePosition(text);
    const nothing = { oldestPendingMs: null, provedAtMs: null, backlogBytes: null };
    if (position?.phase === 'done') return { ...nothing, provedAtMs: this.context.clock.now() };
    if (position?.phase !== 'stream' || this.reads) return nothing;
    const session = await this.sessions.open('look', QUESTION_MS);
    try {
      return await this.sessions.ask(async (control) => {
        const server = await serverOf(control);
        const asks = tableMatcher(this.config, server.foldsCase);
        const { clock, streamId } = this.context;
        const { sessions } = this;
        const at = await positionForLook({ sessions, session: control, server, streamId, clock, signal }, position);
        const deps = { session, control, server, asks, clock, kept: this.kept };
        return lookAtLag(deps, at, signal);
      });
    } finally {
      this.sessions.end(session);
    }
  }
}
