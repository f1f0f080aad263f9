import {
  type ChangeBatch,
  type Check,
  CONNECTED,
  findingOf,
  type Lag,
  type Positions,
  type ReleaseReport,
  type SnapshotProgress,
  type Source,
  type SourceContext,
  StreamError,
  Waker,
} from '@planasonix/core';
import { parseConfig, type MySqlConfig } from './config.js';
import { Charsets } from './decode/charsets.js';
import { gtidsAt, UNKNOWN, type Before } from './gtids-at.js';
import { lookAtLag, ReadingLag } from './lag.js';
import { LogDecoder } from './log-decoder.js';
import { LogReader } from './log-reader.js';
import { openStream, placed, readableTables, type Beginning } from './opening.js';
import { decodePosition, encodeAsked, encodePosition, NOTEBOOK, type MySqlPosition } from './position.js';
import { preflight } from './preflight.js';
import { positionForLook } from './rest-place.js';
import { LogRetention } from './retention.js';
import { beginConsistent } from './rows/consistent.js';
import { Snapshot } from './rows/snapshot.js';
import { allocateServerId, holderOf, lookingId, replicaHost } from './server-id.js';
import { serverOf, type LogPlace, type Server } from './server.js';
import { QUESTION_MS, Sessions } from './sessions.js';
import { settlePosition } from './settle-position.js';
import { toStreamError } from './stream-error.js';
import { TableBook } from './table-book.js';
import { tableMatcher } from './tables.js';
import { LogFeed } from './wire/log-feed.js';

/** One stream's view of a MySQL or MariaDB server. Nothing is made there, so nothing has to be given back. */
export class MySqlSource implements Source {
  private readonly config: MySqlConfig;
  private readonly sessions: Sessions;
  private readonly excluded: ReadonlyMap<string, ReadonlySet<string>>;
  private rows: Snapshot | null = null;
  private feed: LogFeed | null = null;
  /** Of the reader, and the file that it began in. */
  private lagging: { readonly lag: ReadingLag; readonly server: Server; readonly file: string } | null = null;
  private readonly kept: LogRetention;
  /** The log is for the reader now, also before it has it: nobody else takes a look. */
  private reads = false;

  constructor(private readonly context: SourceContext) {
    this.config = parseConfig(context.config);
    this.sessions = new Sessions(context, `planasonix ${context.streamId}`);
    this.kept = new LogRetention({ sessions: this.sessions, streamId: context.streamId, clock: context.clock });
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
      return await preflight({
        ...{ config, streamId: context.streamId },
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

  async *read(from: Positions, signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    this.reads = true;
    try {
      yield* this.reading(from, signal);
    } catch (error) {
      if (signal.aborted) return;
      throw toStreamError(error, 'reading');
    }
  }

  /** The server keeps its log by its own rules, whoever reads it. */
  ack(): Promise<void> {
    return Promise.resolve();
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
    const { streamId, clock } = context;
    try {
      return await sessions.ask(async (session) => {
        const at = { sessions, session, server: await serverOf(session), streamId, clock, signal };
        return settlePosition({ ...at, config }, wanted, from);
      });
    } catch (error) {
      throw toStreamError(error, 'looking for the place');
    }
  }

  snapshot(): SnapshotProgress | null {
    return this.rows?.progress ?? null;
  }

  release(): Promise<ReleaseReport> {
    return Promise.resolve({ released: [], remaining: [] });
  }

  close(): Promise<void> {
    this.feed?.close();
    this.sessions.close();
    return Promise.resolve();
  }

  private excludedOf(schema: string, table: string): ReadonlySet<string> {
    return this.excluded.get(`${schema}.${table}`.toLowerCase()) ?? new Set();
  }

  private async *reading(from: Positions, signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const { config, context, sessions } = this;
    const session = await sessions.control();
    const beginning = await openStream({ config, context, sessions, session, signal }, from);
    yield CONNECTED;
    if (beginning.how === 'done') return;
    yield { partition: NOTEBOOK, events: [], position: encodeAsked(beginning.asked) };
    const begun = beginning.position === null ? yield* this.readRows(beginning, signal) : beginning;
    if (begun === null || begun.position === null) return;
    const { position } = begun;
    if (begun.how !== 'resume') yield { partition: '', events: [], position: encodePosition(position) };
    if (position.phase !== 'done') yield* await this.openReader(begun, position, signal);
  }

  /** @returns where the log goes on from the rows; `null`: it was ended. */
  private async *readRows(asked: Beginning, signal: AbortSignal): AsyncGenerator<ChangeBatch, Beginning | null> {
    const { server, attempt, restarts } = asked;
    const session = await this.sessions.open('rows');
    try {
      const at = await beginConsistent(session, server, this.context.clock);
      const before = this.config.snapshot === 'only' ? UNKNOWN : await this.gtidsAt(server, at, signal);
      const place = { ...at, ...before };
      // As they are now: rows of a table that another statement changes after this are refused by the server.
      const tables = await this.sessions.ask((control) => readableTables(control, server, this.config));
      const beginning = { ...asked, tables, noted: tables };
      const { clock, step } = this.context;
      const rows = (this.rows = new Snapshot({
        ...{ session, server, tables, clock, step, place: { ...place, attempt } },
        excludedOf: (schema, table) => this.excludedOf(schema, table),
      }));
      // From here on an interruption is known for what it is.
      const begun = encodePosition(placed(beginning, place, 'rows'));
      yield { partition: '', events: restarts ? rows.emptied() : [], position: begun };
      yield* rows.batches(signal);
      if (signal.aborted) return null;
      return { ...beginning, position: placed(beginning, place, this.config.snapshot === 'only' ? 'done' : 'stream') };
    } finally {
      this.sessions.end(session);
    }
  }

  private gtidsAt(server: Server, place: LogPlace, signal: AbortSignal): Promise<Before> {
    const { sessions, context } = this;
    const { streamId, clock } = context;
    return sessions.ask((session) => gtidsAt({ sessions, session, server, streamId, clock, signal }, place));
  }

  private async openReader(
    beginning: Beginning,
    from: MySqlPosition,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<ChangeBatch>> {
    const { sessions, context } = this;
    const { clock, streamId } = context;
    const { server, asks } = beginning;
    const waker = new Waker();
    const charsets = new Charsets();
    const serverId = await sessions.ask(async (control) => {
      await charsets.learn(control);
      return this.serverId(server);
    });
    const session = await sessions.open('log', QUESTION_MS);
    const feed = (this.feed = new LogFeed({ session, host: replicaHost(streamId), clock, waker }));
    await feed.open({ serverId, file: from.file, pos: from.proof?.begin ?? from.pos, follow: true });
    const book = new TableBook({
      ...{ server, charsets, asks, kinds: from.kinds },
      excludedOf: (schema, table) => this.excludedOf(schema, table),
      ask: (question) => sessions.ask(question),
    });
    book.know(beginning.noted);
    const { flavor, foldsCase } = server;
    const { attempt, origin = attempt } = from;
    const deps = { flavor, foldsCase, attempt, origin, book, asks };
    const decoder = new LogDecoder(deps, from, feed.checksums);
    this.lagging = { lag: new ReadingLag(decoder, feed, clock, this.kept), server, file: from.file };
    return new LogReader({ feed, decoder, book, from: { ...from, server: server.identity }, clock, waker }).batches(
      signal,
    );
  }

  /** @throws StreamError `config_invalid` where the one that the user gave is taken */
  private async serverId(server: Server): Promise<number> {
    const { server_id: given } = this.config;
    const { streamId } = this.context;
    const control = await this.sessions.control();
    if (given === 'auto') return allocateServerId(control, server, streamId);
    const holder = await holderOf(control, server, given, replicaHost(streamId));
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
        const deps = { session, control, server, asks, serverId: lookingId(streamId), clock, kept: this.kept };
        return lookAtLag(deps, at, signal);
      });
    } finally {
      this.sessions.end(session);
    }
  }
}
