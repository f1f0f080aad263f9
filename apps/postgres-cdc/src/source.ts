import {
  CONNECTED,
  StreamError,
  type ChangeBatch,
  type Check,
  type Lag,
  type Owned,
  type Position,
  type Positions,
  type ReleaseReport,
  type SnapshotProgress,
  type Source,
  type SourceContext,
} from '@planasonix/core';
import type { Client } from 'pg';
import { parseConfig } from './config.js';
import { TypeCatalog, lsnText, parseLsn, type DecoderOptions } from './decode/index.js';
import { endSession } from './end-session.js';
import { Heartbeat } from './heartbeat.js';
import { peekLag } from './lag-peek.js';
import { decodePosition, encodePosition, sameServer, type PgPosition, type ServerIdentity } from './position.js';
import { endPredecessor } from './predecessor.js';
import { preflight } from './preflight.js';
import { ensurePublication } from './publication.js';
import { releaseAtSource } from './release.js';
import { clientConfig, openSession, toStreamError } from './session.js';
import { createSlot, dropSlot, holds, identify, slotState, usable } from './slot.js';
import { Snapshot } from './snapshot.js';
import { missingTables, resolveTables, type SourceTable } from './tables.js';
import { KnownTables } from './tables-known.js';
import { WalReader } from './wal-reader.js';

/** Where reading begins, once slot and snapshot are settled. */
interface Beginning {
  readonly position: PgPosition;
  readonly snapshot: Snapshot | null;
  /** The snapshot's rows come after those of an earlier attempt, or after rows that were given up. */
  readonly restarts: boolean;
}

/** One stream's view of a Postgres server. */
export class PostgresSource implements Source {
  private readonly config;
  private readonly slot: string;
  private readonly publication: string;
  private readonly name: string;
  private readonly catalog = new TypeCatalog();
  private readonly known: KnownTables;
  private readonly sessions = new Set<Client>();
  private owned: Owned;
  private shown: Snapshot | null = null;
  private reader: WalReader | null = null;
  private heartbeat: Heartbeat | null = null;
  private control: Promise<Client> | null = null;

  constructor(private readonly context: SourceContext) {
    const { streamId, config } = context;
    this.config = parseConfig(config);
    this.name = `planasonix_${streamId.replace(/^str_/, '')}`;
    this.slot = this.config.slot_name ?? this.name;
    this.publication = this.config.publication ?? this.name;
    this.owned = context.owned;
    this.known = new KnownTables(this.catalog, () => this.session());
  }

  async check(): Promise<readonly Check[]> {
    try {
      return await preflight({
        client: await this.session(),
        config: this.config,
        slotName: this.slot,
        publicationName: this.publication,
        ownsSlot: this.owned['slot'] === this.slot,
        ownsPublication: this.owned['publication'] === this.publication,
      });
    } catch (error) {
      const { code, message, hint } = toStreamError(error, 'checking the source');
      return [{ code, severity: 'error', message, fix: hint }];
    }
  }

  async *read(from: Positions, signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    try {
      const text = from.get('');
      yield* this.reading(text === undefined ? null : decodePosition(text), signal);
    } catch (error) {
      if (signal.aborted) return;
      throw toStreamError(error, 'reading');
    }
  }

  async ack(_partition: string, position: Position): Promise<void> {
    const { phase, lsn } = decodePosition(position);
    if (phase === 'stream') this.reader?.settle(parseLsn(lsn));
    return Promise.resolve();
  }

  async lag(from: Positions, signal: AbortSignal): Promise<Lag> {
    if (this.reader !== null) return this.reader.lag;
    const text = from.get('');
    const position = text === undefined ? null : decodePosition(text);
    if (position?.phase !== 'stream')
      return {
        oldestPendingMs: null,
        provedAtMs: position?.phase === 'done' ? this.context.clock.now() : null,
        backlogBytes: null,
      };
    try {
      const control = await this.session();
      const { version, database } = await this.server(control);
      const { slot, publication } = this;
      return await peekLag(
        {
          control,
          config: await this.dialling(),
          slot,
          publication,
          serverVersion: version,
          decoder: this.decoding(database, position),
          clock: this.context.clock,
        },
        position,
        signal,
      );
    } catch (error) {
      throw toStreamError(error, 'looking at the lag');
    }
  }

  snapshot(): SnapshotProgress | null {
    return this.shown?.progress ?? null;
  }

  async release(options: { readonly force: boolean }, signal: AbortSignal): Promise<ReleaseReport> {
    const { slot = null, publication = null } = this.owned;
    if (slot === null && publication === null) return { released: [], remaining: [] };
    try {
      return await releaseAtSource(
        { client: await this.session(), slot, publication, applicationName: this.name, force: options.force },
        signal,
      );
    } catch (error) {
      const { message } = toStreamError(error, 'giving back');
      const held = Object.entries(this.owned).map(([kind, name]) => `${kind} ${name}`);
      return { released: [], remaining: held.map((what) => ({ what, why: message, code: 'source_unreachable' })) };
    }
  }

  async close(): Promise<void> {
    const sessions = [...this.sessions];
    this.sessions.clear();
    this.control = null;
    await Promise.allSettled([
      this.reader?.close(),
      this.heartbeat?.close(),
      this.shown?.close(),
      ...sessions.map((session) => endSession(session)),
    ]);
  }

  private async *reading(position: PgPosition | null, signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const control = await this.session();
    const tables = await resolveTables(control, this.config);
    const missing = missingTables(this.config, tables);
    if (missing.length > 0) throw new StreamError('tables_missing', `There is no table ${missing.join(', ')}.`);
    if (tables.length === 0) throw new StreamError('no_tables', `No table matches ${this.config.tables.join(', ')}.`);
    const { version, database, walSenderTimeoutMs } = await this.server(control);
    await this.known.begin(tables);
    const beginning = await this.begin(control, tables, position, database);
    yield CONNECTED;
    if (beginning.position.phase === 'done') return;
    if (beginning.snapshot !== null) {
      yield* this.snapshotting(beginning, signal);
      if (signal.aborted) return;
      if (this.config.snapshot === 'only') return;
    }
    const at = { ...beginning.position, phase: 'stream' as const };
    const from = parseLsn(at.lsn);
    const confirmed = (await slotState(control, this.slot))?.confirmed_flush_lsn;
    const reader = new WalReader(
      {
        config: await this.dialling(),
        slot: this.slot,
        publication: this.publication,
        serverVersion: version,
        walSenderTimeoutMs,
        position: at,
        confirmed: parseLsn(confirmed ?? '0/0'),
        decoder: this.decoding(database, at),
        known: (relation) => this.known.has(relation),
        learn: (relation) => this.known.learn(relation),
        clock: this.context.clock,
      },
      from,
    );
    this.reader = reader;
    await reader.open(from);
    this.heartbeat = new Heartbeat(() => this.open('heartbeat'), this.config.heartbeatMs, this.context.log);
    this.heartbeat.start();
    yield* reader.batches(signal);
  }

  /** Publication before slot (trap 10), slot before snapshot, all before the first row. */
  private async begin(
    control: Client,
    tables: readonly SourceTable[],
    position: PgPosition | null,
    database: string,
  ): Promise<Beginning> {
    const replication = await this.open('slot', true);
    const server = await identify(replication);
    const given = this.context.onLostPosition;
    const lost = given !== null;
    const only = this.config.snapshot === 'only';
    const resumes = position !== null && !lost && position.phase !== 'snapshot';
    if (resumes) sameServer(position, server);
    if (resumes && position.phase === 'done') return { position, snapshot: null, restarts: false };
    if (!only || resumes)
      await ensurePublication(control, {
        name: this.publication,
        tables,
        owned: this.owned['publication'] === this.publication,
        remember: () => this.remember({ publication: this.publication }),
      });
    this.context.step?.('publication-created');
    await endPredecessor(control, this.slot, this.name, this.context.clock);
    const found = await slotState(control, this.slot);
    if (resumes) {
      holds(found, this.slot, position);
      await this.forget(replication);
      return { position, snapshot: null, restarts: false };
    }
    const rows =
      only ||
      (given === 'resnapshot'
        ? this.config.snapshot !== 'never'
        : given === null && this.config.snapshot === 'initial');
    const attempt = (position?.attempt ?? 0) + 1;
    const restarts = attempt > 1 || lost;
    const place = await this.place(control, replication, found, only, lost);
    const beginning = (phase: PgPosition['phase']): PgPosition => ({
      ...server,
      phase,
      slot: this.slot,
      lsn: lsnText(place.lsn),
      attempt,
    });
    if (!rows) {
      await this.forget(replication);
      return { position: beginning('stream'), snapshot: null, restarts };
    }
    const snapshot = new Snapshot({
      open: () => this.open('snapshot'),
      tables,
      catalog: this.catalog,
      database,
      exported: place.exported ?? (await this.exportSnapshot(control)),
      lsn: lsnText(place.lsn),
      takenAtMs: this.context.clock.now(),
      id: place.lsn.toString(16),
      attempt,
    });
    this.shown = snapshot;
    await snapshot.begin();
    // The readers hold the snapshot now; who exported it may go.
    if (place.exported === null) await control.query('COMMIT');
    await this.forget(replication);
    return { position: beginning('snapshot'), snapshot, restarts };
  }

  /** The slot, made or found, and the place where its changes begin. */
  private async place(
    control: Client,
    replication: Client,
    found: Awaited<ReturnType<typeof slotState>>,
    only: boolean,
    lost: boolean,
  ): Promise<{ lsn: bigint; exported: string | null }> {
    if (only) {
      const { rows } = await control.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
      return { lsn: parseLsn(rows[0]!.lsn), exported: null };
    }
    const own = this.owned['slot'] === this.slot;
    if (found !== null && !own) {
      usable(found, this.slot);
      if (!lost) return { lsn: parseLsn(found.confirmed_flush_lsn ?? '0/0'), exported: null };
      // The user gave the position up: go on from now. It is theirs, so it is moved and not dropped.
      const { rows } = await control.query<{ lsn: string }>(
        'SELECT (pg_replication_slot_advance($1, pg_current_wal_lsn())).end_lsn::text AS lsn',
        [this.slot],
      );
      return { lsn: parseLsn(rows[0]!.lsn), exported: null };
    }
    // One of ours with nothing read from it, or whose position is lost: its beginning is of no use any more.
    if (found !== null) await dropSlot(control, this.slot);
    await this.remember({ slot: this.slot });
    const made = await createSlot(replication, control, this.slot);
    this.context.step?.('slot-created');
    return { lsn: made.consistentPoint, exported: made.snapshot };
  }

  private async exportSnapshot(control: Client): Promise<string> {
    await control.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
    return (await control.query<{ name: string }>('SELECT pg_export_snapshot() AS name')).rows[0]!.name;
  }

  private async *snapshotting(
    { snapshot, restarts, position }: Beginning,
    signal: AbortSignal,
  ): AsyncGenerator<ChangeBatch> {
    // From here on an interruption is known for what it is, and the next attempt says that it starts over.
    yield { partition: '', events: restarts ? snapshot!.restarts() : [], position: encodePosition(position) };
    yield* snapshot!.read(signal);
    if (signal.aborted) return;
    yield {
      partition: '',
      events: [],
      position: encodePosition({ ...position, phase: this.config.snapshot === 'only' ? 'done' : 'stream' }),
    };
    await snapshot!.close();
  }

  private decoding(database: string, server: ServerIdentity): DecoderOptions {
    return {
      catalog: this.catalog,
      keyOf: (relation) => this.known.keyOf(relation),
      excludedOf: (schema, table) => new Set(this.config.exclude_columns[`${schema}.${table}`] ?? []),
      database,
      idPrefix: `${BigInt(server.system_id).toString(36)}-${server.timeline}-`,
    };
  }

  private async remember(more: Owned): Promise<void> {
    const owned = { ...this.owned, ...more };
    await this.context.remember(owned);
    this.owned = owned;
  }

  private async server(control: Client): Promise<{ version: number; database: string; walSenderTimeoutMs: number }> {
    const { rows } = await control.query<{ version: string; database: string; timeout: string }>(
      `SELECT current_setting('server_version_num') AS version, current_database() AS database, (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout') AS timeout`,
    );
    return {
      version: Number(rows[0]!.version),
      database: rows[0]!.database,
      walSenderTimeoutMs: Number(rows[0]!.timeout),
    };
  }

  private connection() {
    const { connection } = this.context;
    if (connection === null) throw new StreamError('config_invalid', 'A Postgres stream needs a connection.');
    return connection;
  }

  private dialling() {
    return clientConfig(this.connection(), this.context.outbound, { name: this.name });
  }

  /** The session for catalog questions; opened anew when it has broken. */
  private session(): Promise<Client> {
    this.control ??= this.open('control').then((client) => {
      client.once('end', () => (this.control = null));
      return client;
    });
    this.control.catch(() => (this.control = null));
    return this.control;
  }

  private async open(role: string, replication = false): Promise<Client> {
    const client = await openSession(this.connection(), this.context.outbound, {
      name: `${this.name} ${role}`,
      replication,
      ...(role === 'control' || role === 'heartbeat' ? { statementTimeoutMs: 30_000 } : {}),
    });
    this.sessions.add(client);
    client.once('end', () => this.sessions.delete(client));
    return client;
  }

  private async forget(client: Client): Promise<void> {
    this.sessions.delete(client);
    await endSession(client);
  }
}
