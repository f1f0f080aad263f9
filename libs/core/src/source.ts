import type { Check, ConnectionReport } from './check.js';
import type { Clock } from './clock.js';
import type { ChangeBatch, Position, Positions } from './event.js';

/** How far a source's head is ahead of what it has handed over. */
export interface Lag {
  /**
   * Commit time (ms since the Unix epoch) of the oldest change that the source has committed and that this source has
   * not yet handed to the engine, or `null` when there is none.
   */
  readonly oldestPendingMs: number | null;
  /** When this was last proved against the server (ms since the Unix epoch), or `null` when never. */
  readonly provedAtMs: number | null;
  /** Bytes of the source's log between the acknowledged place and the head, where the source can tell. */
  readonly backlogBytes: number | null;
}

/** Progress of a snapshot, as `GET /api/streams/{id}` shows it. */
export interface SnapshotProgress {
  readonly state: 'running' | 'done';
  readonly tables_total: number;
  readonly tables_done: number;
  readonly rows_done: number;
  /** The server's own estimate; `null` where it has none. */
  readonly rows_estimated: number | null;
}

/** What giving back achieved. `remaining` names what is still held at the source, for the janitor. */
export interface ReleaseReport {
  readonly released: readonly string[];
  readonly remaining: readonly { readonly what: string; readonly why: string; readonly code: string }[];
}

/** What a stream has made at its source and so may drop: kind → name (`{slot: "planasonix_…"}`). */
export type Owned = Readonly<Record<string, string>>;

/**
 * One stream's view of its source. Made by a `SourceType`, used by one runner, closed once.
 *
 * Order of calls: `check` and `lag` at any time; `read` once; `ack` only with positions that `read` yielded (or
 * began from, once it said `CONNECTED`) and that are durable in the log and committed (Invariant 1), oldest first; `release` when nothing reads; `close` last.
 */
export interface Source {
  /** Can it run? Every finding with a code and the exact fix. Resolves also when the source can't be reached. */
  check(signal: AbortSignal): Promise<readonly Check[]>;
  /**
   * Changes after `from`; without a position for the partition: the snapshot first, as configured. The iterator is
   * the back-pressure: what is not asked for is not read, and the connection is kept alive meanwhile.
   * The first batch is always `CONNECTED` (no events, no position): the source answered and reading began.
   * Ends by itself only where the configuration says so (`snapshot: "only"`); otherwise when `signal` is aborted or
   * by throwing a `StreamError`.
   */
  read(from: Positions, signal: AbortSignal): AsyncIterable<ChangeBatch>;
  /** Durable elsewhere: the source may forget everything up to `position`. */
  ack(partition: string, position: Position): Promise<void>;
  /** Head against what was handed over. Works also when nothing is being read (paused, stopped). */
  lag(from: Positions, signal: AbortSignal): Promise<Lag>;
  /** Progress of a running or finished snapshot, or `null` where none was asked for. */
  snapshot(): SnapshotProgress | null;
  /** Gives back what the stream made at the source (slot, publication, group) and checks that it is gone. */
  release(options: { readonly force: boolean }, signal: AbortSignal): Promise<ReleaseReport>;
  /** Ends every connection. Never throws, safe to repeat. */
  close(): Promise<void>;
}

/** A connection as its driver sees it: secrets in the clear, the host not yet resolved. */
export interface ConnectionSettings {
  readonly id: string;
  readonly type: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** Resolves a host that a user named, checks every address against the policy, and returns the one to dial. */
export interface Outbound {
  /**
   * @param port and `database`, where there is one: they tell the system's own stores from a source beside them.
   * @returns an IP address literal.
   * @throws StreamError `host_forbidden` or `source_unreachable`.
   */
  resolve(host: string, port?: number, database?: string): Promise<string>;
}

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What a user decided about a position that is lost (`POST …/start {"onLostPosition": …}`). */
export type OnLostPosition = 'resnapshot' | 'skip';

export interface SourceContext {
  readonly streamId: string;
  readonly streamName: string;
  /** Checked against the type's schema, snake_case, secrets in the clear. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly connection: ConnectionSettings | null;
  readonly outbound: Outbound;
  readonly owned: Owned;
  /** Records what the stream is about to make at the source, durably, before it is made. Replaces the whole set. */
  remember(owned: Owned): Promise<void>;
  /** Set for the first read after the user gave up a lost position; `null` otherwise. */
  readonly onLostPosition: OnLostPosition | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** A JSON Schema document (2020-12), as announced to the gateway. `writeOnly: true` marks a secret. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What a connector app provides: one object. Adding a source type is writing one of these. */
export interface SourceType {
  /** `postgres_cdc`, `kafka`, … as users write it in `sourceType`. */
  readonly type: string;
  /** Connection types it reads from; empty for a source without a connection. */
  readonly connectionTypes: readonly string[];
  /** The config's schema in snake_case; the gateway validates with it and accepts camelCase for the same keys. */
  readonly configSchema: JsonSchema;
  create(context: SourceContext): Source;
  /** Dials, logs in, asks for the version. Resolves also when that fails: the report says why. */
  testConnection(connection: ConnectionSettings, outbound: Outbound, signal: AbortSignal): Promise<ConnectionReport>;
}
