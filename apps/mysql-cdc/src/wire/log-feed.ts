import { type Clock, StreamError, type Waker } from '@planasonix/core';
import type { Session } from '../session.js';
import { dump, register, type DumpOptions } from './dump-command.js';
import { FIRST_BYTE, LogSkip } from './log-skip.js';

/** How often an idle server says that it is there; and how long it may say nothing at all. */
const HEARTBEAT_NS = 5_000_000_000;
const SILENT_MS = 20_000;
const WATCH_MS = 1_000;
/** What waits at the most before the connection is paused, and when it is read again. Invariant 6. */
const HIGH_BYTES = 8 * 1024 * 1024;
const LOW_BYTES = 2 * 1024 * 1024;

/** The last place of a file that a server can be asked for. */
const FARTHEST = 0xffffffff;

export interface LogFeedDeps {
  readonly session: Session;
  /** As which the server's list of replicas shows it. */
  readonly host: string;
  readonly clock: Clock;
  readonly waker: Waker;
  /** What is farther into its file is read from the file's first byte on. Default: what 32 bits can say. */
  readonly farthest?: number;
}

const broken = (): StreamError => new StreamError('source_unreachable', 'The server ended the reading of its log.');

/** Events of the log as they come, with back-pressure, and an end where the server falls silent. */
export class LogFeed {
  private waiting: Buffer[] = [];
  private from = 0;
  private bytes = 0;
  private paused = false;
  private over: Error | null | undefined;
  private heardAt: number;
  private watch: NodeJS.Timeout | null = null;
  private skip: LogSkip | null = null;
  /** Whether events end in a checksum, until a head says otherwise. */
  checksums = false;

  constructor(private readonly deps: LogFeedDeps) {
    this.heardAt = deps.clock.monotonic();
  }

  async open(options: DumpOptions): Promise<void> {
    const { session, host, clock, farthest = FARTHEST } = this.deps;
    await session.query(
      'SET @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum',
    );
    await session.query(
      `SET @master_heartbeat_period = ${HEARTBEAT_NS}, @source_heartbeat_period = ${HEARTBEAT_NS}, @mariadb_slave_capability = 4`,
    );
    this.checksums = (await session.value('SELECT @master_binlog_checksum')) !== 'NONE';
    if (options.follow) await session.during(register(session.connection, options.serverId, host));
    this.heardAt = clock.monotonic();
    const far = options.pos > farthest;
    if (far) this.skip = new LogSkip(options, this.checksums);
    dump(session.connection, far ? { ...options, pos: FIRST_BYTE } : options, {
      event: (event) => this.take(event),
      ended: (error) => this.end(error ?? (options.follow ? broken() : null)),
    });
    session.onOver((reason) => this.end(reason));
    this.watch = setInterval(() => this.listen(), WATCH_MS);
  }

  /** The next event; `null`: none has come yet. @throws what ended it, once everything that came was taken */
  next(): Buffer | null {
    const event = this.waiting[this.from];
    if (event === undefined) {
      if (this.over) throw this.over;
      return null;
    }
    this.from += 1;
    this.bytes -= event.length;
    if (this.from > 1024) {
      this.waiting = this.waiting.slice(this.from);
      this.from = 0;
    }
    if (this.paused && this.bytes < LOW_BYTES) {
      this.paused = false;
      this.heardAt = this.deps.clock.monotonic();
      this.deps.session.connection.resume();
    }
    return event;
  }

  /** The log ended, and everything that came was taken; only where it is not followed. */
  get finished(): boolean {
    return this.over === null && this.from >= this.waiting.length;
  }

  /** Whether everything that came was taken. */
  get empty(): boolean {
    return this.from >= this.waiting.length;
  }

  /** When the oldest event that waits was written, ms. */
  get oldestMs(): number | null {
    const seconds = this.waiting[this.from]?.readUInt32LE(0) ?? 0;
    return seconds === 0 ? null : seconds * 1000;
  }

  close(): void {
    if (this.watch !== null) clearInterval(this.watch);
    this.watch = null;
    this.end(new StreamError('source_unreachable', 'The source was closed.'));
  }

  private take(event: Buffer): void {
    this.heardAt = this.deps.clock.monotonic();
    if (this.over !== undefined || this.passes(event)) return;
    this.waiting.push(event);
    this.bytes += event.length;
    if (!this.paused && this.bytes > HIGH_BYTES) {
      this.paused = true;
      this.deps.session.connection.pause();
    }
    this.deps.waker.stir();
  }

  /** Handlers of the driver never throw. */
  private passes(event: Buffer): boolean {
    try {
      return this.skip?.passes(event) === true;
    } catch (error) {
      this.end(error as Error);
      return true;
    }
  }

  private end(error: Error | null): void {
    if (this.over === undefined) this.over = error;
    this.deps.waker.stir();
  }

  private listen(): void {
    if (this.paused || this.deps.clock.monotonic() - this.heardAt < SILENT_MS) return;
    this.end(new StreamError('source_unreachable', `The server has said nothing for ${SILENT_MS / 1000} s.`));
  }
}
