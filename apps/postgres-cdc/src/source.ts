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
  Waker,
} from '@planasonix/core';
import { refuseOrders } from '@planasonix/rows';
import type { Client } from 'pg';
import { checkOrder } from './check-order.js';
import { parseConfig } from './config.js';
import { TypeCatalog, parseLsn } from './decode/index.js';
import { Emptyings } from './emptyings.js';
import { Flow } from './flow.js';
import { Heartbeat } from './heartbeat.js';
import { Holdings } from './holdings.js';
import { peekLag } from './lag-peek.js';
import { letGo } from './let-go.js';
import { exportSnapshot, openStream, type Beginning } from './opening.js';
import { decodePosition, encodePosition, type PgPosition } from './position.js';
import { preflight } from './preflight.js';
import { ensurePublication } from './publication.js';
import { RowWork } from './row-work.js';
import { rowsAlone } from './rows-alone.js';
import { NOTEBOOK, excludedBefore, takenUp } from './rows/rows-state.js';
import { toStreamError, unreadable } from './stream-error.js';
import { Sessions } from './sessions.js';
import { settlePosition } from './settle-position.js';
import { serverOf, slotState, walFlushed } from './slot.js';
import { SlotCare, slotFacts } from './slot-care.js';
import { KnownTables } from './tables-known.js';
import { WalReader } from './wal-reader.js';

/** So long the snapshot of a new slot is kept at the most. */
const EXPORTED_MS = 30_000;

/** One stream's view of a Postgres server. */
export class PostgresSource implements Source {
  private readonly config;
  private readonly slot: string;
  private readonly publication: string;
  private readonly name: string;
  private readonly catalog = new TypeCatalog();
  private readonly waker = new Waker();
  private readonly emptyings = new Emptyings();
  private readonly known: KnownTables;
  private readonly sessions: Sessions;
  private readonly holdings: Holdings;
  private readonly care: SlotCare;
  private work: RowWork | null = null;
  private reader: WalReader | null = null;
  private heartbeat: Heartbeat | null = null;
  /** The slot is for the reader now, also before it has one: nobody else takes it for a look. */
  private reads = false;
  /** Rows were all that was asked for, and the log has them. */
  private over = false;

  constructor(private readonly context: SourceContext) {
    const { streamId, config } = context;
    this.config = parseConfig(config);
    this.name = `planasonix_${streamId.replace(/^str_/, '')}`;
    this.slot = this.config.slot_name ?? this.name;
    this.publication = this.config.publication ?? this.name;
    this.sessions = new Sessions(context, this.name);
    this.holdings = new Holdings({ context, sessions: this.sessions, name: this.name });
    this.care = new SlotCare({
      streamId,
      slot: this.slot,
      budget: this.config.walBudget,
      control: () => this.sessions.control(),
      facts: (control) => slotFacts(control, this.slot),
      ours: (control) => this.holdings.ownsHere('slot', this.slot, control),
      begun: context.onLostPosition === null,
      standing: () => (this.reader?.stands === true ? this.reader : null),
      clock: context.clock,
      log: context.log,
    });
    this.known = new KnownTables(
      this.config,
      this.catalog,
      () => this.sessions.control(),
      () => this.work,
      this.emptyings,
    );
  }

  async check(): Promise<readonly Check[]> {
    try {
      return await preflight({
        client: await this.sessions.control(),
        config: this.config,
        slotName: this.slot,
        publicationName: this.publication,
        ownsSlot: this.holdings.owns('slot', this.slot),
        ownsPublication: this.holdings.owns('publication', this.publication),
        walBudget: this.config.walBudget,
        givenUp: this.context.onLostPosition !== null,
        excluded: await excludedBefore(this.context),
      });
    } catch (error) {
      return [findingOf(toStreamError(error, 'checking the source'))];
    }
  }

  async *read(from: Positions, signal: AbortSignal, orders?: Orders): AsyncGenerator<ChangeBatch> {
    this.reads = true;
    try {
      yield* this.reading(from, orders?.get('') || null, signal);
    } catch (error) {
      if (signal.aborted) return;
      throw this.reader === null ? toStreamError(error, 'reading') : unreadable(toStreamError(error, 'reading'));
    }
  }

  async ack(partition: string, position: Position): Promise<void> {
    if (partition === NOTEBOOK) return;
    const place = decodePosition(position);
    if (place.phase === 'stream') this.reader?.settle(parseLsn(place.lsn));
    else await this.holdings.giveBackUnread();
    await this.work?.committed(place);
  }

  ordersChanged(): void {
    this.work?.ordersChanged();
  }

  async checkOrder(order: Omit<SnapshotOrder, 'id'>): Promise<readonly Check[]> {
    try {
      return await checkOrder(await this.sessions.control(), this.config, order, this.publication);
    } catch (error) {
      return [findingOf(toStreamError(error, 'checking the order'))];
    }
  }

  async settle(wanted: unknown, from: Positions): Promise<Positions> {
    try {
      const { sessions, slot, holdings, config } = this;
      return await settlePosition({ sessions, slot, holdings, failover: config.failover }, wanted, from);
    } catch (error) {
      throw toStreamError(error, 'settling the position');
    }
  }

  async lag(from: Positions, signal: AbortSignal): Promise<Lag> {
    await this.care.watch(this.reader !== null);
    return this.care.along(await this.distance(from, signal));
  }

  letGo(signal: AbortSignal): Promise<ReleaseReport> {
    const of = { slot: this.slot, applicationName: this.name, clock: this.context.clock };
    return letGo(this.care, () => this.sessions.control(), of, signal);
  }

  private async distance(from: Positions, signal: AbortSignal): Promise<Lag> {
    if (this.reader !== null) return this.reader.lag(this.care.head);
    const text = from.get('');
    const position = text === undefined ? null : decodePosition(text);
    if (position?.phase !== 'stream' || this.reads)
      return {
        oldestPendingMs: null,
        provedAtMs: position?.phase === 'done' ? this.context.clock.now() : null,
        backlogBytes: null,
      };
    try {
      const control = await this.sessions.control();
      const { version, database } = await serverOf(control);
      const { sessions, slot, publication, holdings } = this;
      return await peekLag(
        {
          ...{ control, sessions, slot, publication, holdings, serverVersion: version, clock: this.context.clock },
          decoder: this.known.decoding(database, position),
          asks: (relation) => this.known.asks(relation),
        },
        position,
        signal,
      );
    } catch (error) {
      throw toStreamError(error, 'looking at the lag');
    }
  }

  snapshot(): SnapshotProgress | 'over' | null {
    return this.work?.progress ?? (this.over ? 'over' : null);
  }

  release(options: { readonly force: boolean }, signal: AbortSignal): Promise<ReleaseReport> {
    return this.holdings.release(options, signal);
  }

  async close(): Promise<void> {
    await Promise.allSettled([
      this.reader?.close(),
      this.heartbeat?.close(),
      this.work?.feed.close(),
      this.sessions.close(),
    ]);
  }

  private async *reading(from: Positions, order: string | null, signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const { config, context, sessions, slot, publication, name, waker } = this;
    const text = from.get('');
    const last = text === undefined ? null : decodePosition(text);
    const excluded = await excludedBefore(context, from);
    this.known.columns.recall(excluded);
    const beginning = await openStream(
      { config, context, sessions, slot, publication, name, holdings: this.holdings },
      last,
      { order, excluded, tables: takenUp(last?.rows, from.get(NOTEBOOK)) },
    );
    const { position, resumes, exported } = beginning;
    const control = await sessions.control();
    const { version, database, walSenderTimeoutMs } = await serverOf(control);
    await this.known.add(beginning.tables);
    this.care.begin();
    // Changes from now on are found again by the place alone: where that is new it goes first.
    const placeFirst = !resumes && position.phase === 'stream';
    // A promotion that was found to be safe is written down: changes of the new history may come in part.
    if (resumes && position.timeline !== last?.timeline)
      yield { partition: '', events: [], position: encodePosition(position) };
    if (!placeFirst) yield CONNECTED;
    this.over = position.phase === 'done';
    if (this.over) return this.holdings.giveBackUnread().then(() => refuseOrders(context.orders));
    if (this.config.snapshot !== 'only') await this.holdings.giveBackUnused(slot);
    const work = (this.work = this.rowWork(beginning, database, from.get(NOTEBOOK)));
    await work.begin();
    const flow = {
      position,
      work,
      waker,
      monotonic: () => context.clock.monotonic(),
      mark: () => this.heartbeat?.mark(),
    };
    if (exported !== null) {
      if (position.phase === 'rows') {
        yield* this.begun(work, position);
        yield* rowsAlone({ ...flow, clock: context.clock, again: () => exportSnapshot(sessions) }, exported, signal);
      } else {
        // Nobody pulls while the stream is paused, or its log is full: the source must not have to keep the snapshot for that.
        const letGo = (): void => {
          work.feed.letGo();
          void exported.end();
        };
        const late = setTimeout(letGo, EXPORTED_MS);
        try {
          yield* this.begun(work, position);
          yield* new Flow({ ...flow, reader: null, under: 'a while' }).batches(signal);
        } finally {
          clearTimeout(late);
          await exported.end();
        }
      }
      if (signal.aborted) return;
      work.feed.beside();
    }
    if (position.phase === 'stream')
      this.reader = await this.openReader(position, control, version, walSenderTimeoutMs, database, signal);
    if (placeFirst && exported === null) yield* this.begun(work, position);
    const wholeBy = resumes && this.reader !== null ? await walFlushed(control) : undefined;
    yield* new Flow({ ...flow, reader: this.reader, wholeBy }).batches(signal);
    if (!signal.aborted && position.phase === 'rows')
      yield { partition: '', events: [], position: encodePosition({ ...position, phase: 'done' }) };
  }

  /** From here on an interruption is known for what it is. */
  private *begun(work: RowWork, position: PgPosition): Generator<ChangeBatch> {
    const note = work.note();
    if (note !== null) yield note;
    yield { partition: '', events: [], position: encodePosition(position) };
    if (position.phase === 'stream') yield CONNECTED;
  }

  private rowWork(beginning: Beginning, database: string, notes: string | undefined): RowWork {
    const { config, context, sessions, catalog, waker } = this;
    return new RowWork(
      {
        ...{ config, context, database, catalog, waker, clock: context.clock, log: context.log },
        ...{ publication: this.publication, emptyings: this.emptyings, excluded: this.known.columns },
        open: () => sessions.open('rows'),
        end: (session) => sessions.end(session),
        control: () => sessions.control(),
        slotOf: (oid) => this.known.slotOf(oid),
        reached: () => this.reader?.reached ?? 0n,
        excludedOf: (table) => this.known.columns.ofRows(table),
        learn: (tables) => this.known.add(tables),
        publish: async (client, tables) => {
          await ensurePublication(client, {
            ...{ name: this.publication, tables },
            owned: this.holdings.owns('publication', this.publication),
            remember: () => this.holdings.remember('publication', this.publication),
          });
        },
      },
      beginning,
      notes,
    );
  }

  private async openReader(
    position: PgPosition,
    control: Client,
    serverVersion: number,
    walSenderTimeoutMs: number,
    database: string,
    signal: AbortSignal,
  ): Promise<WalReader> {
    const from = parseLsn(position.lsn);
    const confirmed = (await slotState(control, this.slot))?.confirmed_flush_lsn;
    const reader = new WalReader(
      {
        ...{ slot: this.slot, publication: this.publication, serverVersion, walSenderTimeoutMs },
        ...{ server: position, instance: this.sessions.instance },
        config: await this.sessions.dialling(),
        confirmed: parseLsn(confirmed ?? '0/0'),
        decoder: this.known.decoding(database, position),
        known: (relation) => this.known.has(relation),
        learn: (relation) => this.known.learn(relation),
        clock: this.context.clock,
        waker: this.waker,
      },
      from,
    );
    this.reader = reader;
    await reader.open(from, signal);
    if (this.config.logical_messages) {
      this.heartbeat = new Heartbeat(() => this.sessions.open('heartbeat'), this.config.heartbeatMs, this.context.log);
      this.heartbeat.start();
    }
    return reader;
  }
}
