import { connect, type Socket } from 'node:net';
import {
  type ConnectionSettings,
  type DatabaseEndpoint,
  type Outbound,
  staysHere,
  StreamError,
  Waker,
} from '@planasonix/core';
import { createConnection, type Connection, type ConnectionOptions, type TypeCastField } from 'mysql2';
import { endpointOf, tlsOf } from './endpoint.js';
import { PLAIN_LOGIN } from './plain-login.js';
import { toStreamError } from './stream-error.js';

const CONNECT_MS = 10_000;
const KEEPALIVE_MS = 10_000;
/** How long a server may send no row while one is waited for, and how often that is looked at. */
const SILENT_MS = 60_000;
const WATCH_MS = 5_000;
/** Thirty days: a stream that waits for room in its log must not lose its session for it. */
const PATIENT_S = 2_592_000;

/** What the text of a value depends on, pinned against what the server or the user has set (trap 22). */
const PINNED = [
  "SET SESSION time_zone = '+00:00', sql_mode = '', sql_select_limit = 18446744073709551615",
  `SET SESSION wait_timeout = ${PATIENT_S}, net_write_timeout = ${PATIENT_S}, net_read_timeout = 60, lock_wait_timeout = 10`,
  'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ',
];
/** Settings of one of the two; a server that does not know one needs none. */
const PINNED_WHERE_KNOWN = [
  'SET SESSION show_gipk_in_create_table_and_information_schema = ON',
  'SET SESSION max_statement_time = 0',
  'SET SESSION max_execution_time = 0',
];

/** What waits at the most before the connection is paused. Invariant 6. */
const MOST_ROWS = 512;
const MOST_BYTES = 1024 * 1024;

export type Row = Readonly<Record<string, string | null>>;
/** A row as a server shows it. */
export type RowBytes = readonly (Buffer | null)[];

export interface SessionOptions {
  /** Shown in the list of processes, where the server keeps attributes. */
  readonly name: string;
  readonly connectTimeoutMs?: number;
  /** Gives up waiting for the answer to one query. Default: never, for rows of a snapshot that come for hours. */
  readonly queryTimeoutMs?: number;
}

const broke = (cause: Error): StreamError => new StreamError('source_unreachable', 'The session broke.', { cause });
const ended = (): StreamError => new StreamError('source_unreachable', 'The session was ended.');
const late = (ms: number): StreamError =>
  new StreamError('source_unreachable', `The server has not answered for ${ms / 1000} s.`);
const silent = (): StreamError => new StreamError('source_unreachable', 'The server has sent no rows for a minute.');

/** A session at the server. Every value comes back as the text, or the bytes, that the server sent. */
export class Session {
  /** Of those who wait for an answer: the driver tells them nothing when a connection is ended from this side. */
  private readonly waiting = new Set<(reason: StreamError) => void>();
  /** Why nothing can be asked any more. */
  private over: StreamError | null = null;

  constructor(
    readonly connection: Connection,
    private readonly socket: Socket,
    private readonly queryTimeoutMs: number | undefined,
    /** TLS was not to be had, and nobody asked to go without. */
    readonly isPlain = false,
  ) {
    connection.on('error', (error: Error) => this.give(broke(error)));
  }

  /** @throws StreamError `source_unreachable` at a session that was ended or broke; what the server says otherwise */
  async query(sql: string): Promise<readonly Row[]> {
    this.alive();
    const typeCast = (field: TypeCastField): string | null => field.string('utf8');
    const asked = new Promise<readonly Row[]>((resolve, reject) => {
      this.connection.query({ sql, typeCast }, (error, rows) => {
        if (error?.fatal === true) this.over ??= broke(error);
        if (error) reject(error);
        else resolve(Array.isArray(rows) ? (rows as unknown as Row[]) : []);
      });
    });
    const limit = this.queryTimeoutMs;
    if (limit === undefined) return this.during(asked);
    // The driver's own timer would outlive the session.
    const timer = setTimeout(() => this.give(late(limit)), limit);
    return this.during(asked).finally(() => clearTimeout(timer));
  }

  /** The first value of the first row; `null` where there is none. */
  async value(sql: string): Promise<string | null> {
    const [row] = await this.query(sql);
    return row === undefined ? null : (Object.values(row)[0] ?? null);
  }

  /**
   * Rows as they come, some at a time, as bytes; what is not asked for is not read.
   * @param silentMs for how long none may come that is waited for @throws like `query`
   */
  async *rows(sql: string, silentMs = SILENT_MS): AsyncGenerator<readonly RowBytes[]> {
    this.alive();
    const { connection } = this;
    const waker = new Waker();
    let rows: RowBytes[] = [];
    let bytes = 0;
    let paused = false;
    /** Why nothing comes any more; `null`: that was all. */
    let over: Error | null | undefined;
    const end = (reason: Error | null): void => {
      if (over === undefined) over = reason;
      waker.stir();
    };
    // Without casts each value is the bytes that came.
    const query = connection.query({ sql, typeCast: false, rowsAsArray: true });
    query.on('error', end).on('end', () => end(null));
    query.on('result', (row: unknown) => {
      // Nobody asks any more; and the answer to a statement that brings no rows is none.
      if (over !== undefined || !Array.isArray(row)) return;
      rows.push(row as RowBytes);
      for (const value of row as RowBytes) bytes += value?.length ?? 0;
      if (!paused && (rows.length >= MOST_ROWS || bytes >= MOST_BYTES)) {
        paused = true;
        connection.pause();
      }
      waker.stir();
    });
    this.waiting.add(end);
    let waitsSince: number | null = performance.now();
    const watch = setInterval(() => {
      if (waitsSince !== null && performance.now() - waitsSince > silentMs) end(silent());
    }, WATCH_MS);
    const resume = (): void => {
      if (!paused) return;
      paused = false;
      connection.resume();
    };
    try {
      for (;;) {
        if (rows.length > 0) {
          const some = rows;
          [rows, bytes, waitsSince] = [[], 0, null];
          yield some;
          waitsSince = performance.now();
          resume();
        } else if (over instanceof Error) throw over;
        else if (over === null) return;
        else await waker.wait();
      }
    } finally {
      clearInterval(watch);
      this.waiting.delete(end);
      end(null);
      resume();
    }
  }

  /** Waits for what is under way at this session, and no longer than it lives. */
  during<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      // Also heard where nobody waits for it any more: a rejection that nobody hears ends the process.
      work.then(resolve, reject).finally(() => this.waiting.delete(reject));
      if (this.over === null) this.waiting.add(reject);
      else reject(this.over);
    });
  }

  /** Calls back once nothing can be asked any more. */
  onOver(tell: (reason: StreamError) => void): void {
    if (this.over === null) this.waiting.add(tell);
    else tell(this.over);
  }

  /** Never throws. The driver only says that it would end, and waits for a server that may be busy for hours. */
  end(): void {
    this.connection.destroy();
    this.socket.destroy();
    this.give(ended());
  }

  private alive(): void {
    if (this.over !== null) throw this.over;
  }

  private give(reason: StreamError): void {
    this.over ??= reason;
    for (const give of this.waiting) give(this.over);
    this.waiting.clear();
  }
}

function options(
  to: DatabaseEndpoint,
  { socket, address, secure }: { readonly socket: Socket; readonly address: string; readonly secure: boolean },
  session: SessionOptions,
): ConnectionOptions {
  return {
    // The address that was judged is dialled; the name is what a certificate is checked against.
    ...{ host: to.host, port: to.port, user: to.user, password: to.password, stream: socket },
    ...(to.database === null ? {} : { database: to.database }),
    ...(secure
      ? { ssl: tlsOf(to) }
      : to.sslMode === 'disable' || staysHere(address)
        ? {}
        : { authPlugins: PLAIN_LOGIN }),
    charset: 'utf8mb4_general_ci',
    // A server can ask for any file of a client that offers this (trap 21).
    flags: ['-LOCAL_FILES'],
    connectTimeout: session.connectTimeoutMs ?? CONNECT_MS,
    connectAttributes: { program_name: session.name },
    multipleStatements: false,
    enableCleartextPlugin: false,
  };
}

function dial(to: DatabaseEndpoint, address: string, secure: boolean, session: SessionOptions): Promise<Session> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: to.port, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS });
    socket.setNoDelay(true);
    const connection = createConnection(options(to, { socket, address, secure }, session));
    // A connection that breaks while idle must not end the process; its next query says what happened.
    connection.on('error', () => undefined);
    connection.connect((error) => {
      if (!error)
        return resolve(new Session(connection, socket, session.queryTimeoutMs, !secure && to.sslMode !== 'disable'));
      connection.destroy();
      socket.destroy();
      reject(error);
    });
  });
}

const lacksTls = (error: unknown): boolean =>
  error instanceof Error && (error as { code?: string }).code === 'HANDSHAKE_NO_SSL_SUPPORT';

/**
 * Opens a session. The host is resolved and judged each time, and the address that was judged is dialled (trap 34).
 * @throws StreamError
 */
export async function openSession(
  connection: ConnectionSettings,
  outbound: Outbound,
  session: SessionOptions,
): Promise<Session> {
  try {
    const to = endpointOf(connection);
    const address = await outbound.resolve(to.host, to.port, to.database ?? undefined);
    const opened = await dial(to, address, to.sslMode !== 'disable', session).catch((error: unknown) => {
      if (to.sslMode === 'prefer' && lacksTls(error)) return dial(to, address, false, session);
      throw error;
    });
    try {
      for (const statement of PINNED) await opened.query(statement);
      for (const statement of PINNED_WHERE_KNOWN) await opened.query(statement).catch(unlessUnknown);
    } catch (error) {
      opened.end();
      throw error;
    }
    return opened;
  } catch (error) {
    throw error instanceof StreamError ? error : toStreamError(error, 'connecting');
  }
}

const UNKNOWN_SETTING = 1193;
function unlessUnknown(error: unknown): void {
  if ((error as { errno?: number }).errno !== UNKNOWN_SETTING) throw error;
}

/**
 * What a server answers, or why it refuses to: `permission_denied` where it does not let this user ask.
 * @throws StreamError where it does not answer at all
 */
export async function answerTo(session: Session, sql: string): Promise<readonly Row[] | StreamError> {
  try {
    return await session.query(sql);
  } catch (error) {
    const known = toStreamError(error, 'asking');
    if (known.code === 'source_unreachable') throw known;
    return known;
  }
}
