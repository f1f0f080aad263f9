import type { Check, ConnectionReport } from './check.js';
import type { Clock } from './clock.js';
import type { ChangeBatch, Orders, Position, Positions } from './event.js';
import type { Share } from './share.js';
import type { LogTopics } from './sink.js';
import type { Steps } from './steps.js';

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
  /** Records between the position and the head; absent where the source does not count so. */
  readonly backlogRecords?: number;
  /** What the source keeps for this stream; absent where it can't tell. */
  readonly retention?: Retention;
}

/** How much of its log a source keeps for a stream, and how long it will go on doing so. */
export interface Retention {
  /** Bytes that the source would have thrown away but for this stream. */
  readonly heldBytes: number;
  /** Bytes that may still be written before the position is lost; `null`: no limit is set. */
  readonly bytesToLoss: number | null;
  /** The same in seconds, at the rate at which the source's log grew lately; `null`: no limit, or nothing grows. */
  readonly secondsToLoss: number | null;
  /** What the user allows it to hold; `null`: as much as it takes. */
  readonly budgetBytes: number | null;
}

/** Progress of the reading of rows, as `GET /api/streams/{id}` shows it. */
export interface SnapshotProgress {
  readonly state: 'running' | 'done';
  readonly tables_total: number;
  readonly tables_done: number;
  readonly rows_done: number;
  /** The server's own estimate; `null` where it has none. */
  readonly rows_estimated: number | null;
  /** Those that are waiting, being read, or refused; and the last ones that were done. */
  readonly tables?: readonly TableProgress[];
}

export interface TableProgress {
  readonly table: string;
  /** `refused`: not taken up, `note` says why and what mends it. `cancelled`: its order was taken back, or failed, of which `note` says why. */
  readonly state: 'waiting' | 'running' | 'done' | 'refused' | 'cancelled';
  readonly rows_done: number;
  readonly rows_estimated: number | null;
  /** Id of the order that it belongs to (`POST …/snapshot`); `null`: the stream's own. */
  readonly order: string | null;
  /** What a person should know, such as what it waits for; `null`: nothing. */
  readonly note: string | null;
}

/** Rows that somebody asked to be read again while the stream runs (`POST /api/streams/{id}/snapshot`). */
export interface SnapshotOrder {
  /** `snap_…`; part of the ids of its rows. */
  readonly id: string;
  /** As the user wrote them: exact names, or `schema.*`. */
  readonly tables: readonly string[];
  /** A condition of the source's own language, for each of the tables; `null`: all rows. */
  readonly where: string | null;
}

/** The orders of one stream, durable elsewhere. */
export interface SnapshotOrders {
  /** Those that are neither done nor cancelled, oldest first. */
  open(): Promise<readonly SnapshotOrder[]>;
  /**
   * The last hundred whose rows were all taken for durable, newest first. A log that does not say so of one of them has
   * lost rows since. Invariant 2.
   */
  done(): Promise<readonly SnapshotOrder[]>;
  /** Their rows are in the log and the position that says so is committed; or they can't be carried out: `failed` says why. */
  close(id: string, outcome: { readonly failed: string | null }): Promise<void>;
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
 * began from, once it yielded something) and that are durable in the log and committed (Invariant 1), oldest first; `release` when nothing reads; `close` last.
 */
export interface Source {
  /** Can it run? Every finding with a code and the exact fix. Resolves also when the source can't be reached. */
  check(signal: AbortSignal): Promise<readonly Check[]>;
  /**
   * Changes after `from`; without a position for the partition: the snapshot first, as configured. The iterator is
   * the back-pressure: what is not asked for is not read, and the connection is kept alive meanwhile.
   * `CONNECTED` comes once, before the first event and after the positions of where reading begins: whoever hears that the
   * stream runs may count on every change from then on, so a source that could not find that place again tells it before.
   * Ends by itself only where the configuration says so (`snapshot: "only"`); otherwise when `signal` is aborted or
   * by throwing a `StreamError`.
   *
   * @param orders of the log (`OpenedLog`): what it has of a transaction behind `from` is not written again, so a source
   *   that has lost that transaction must not go on. Absent: it has nothing behind `from`.
   */
  read(from: Positions, signal: AbortSignal, orders?: Orders): AsyncIterable<ChangeBatch>;
  /** Durable elsewhere: the source may forget everything up to `position`. */
  ack(partition: string, position: Position): Promise<void>;
  /** Orders have come or were cancelled: look at `context.orders` when convenient. Absent: the source takes none. */
  ordersChanged?(): void;
  /**
   * Could this order be carried out? Asked before it is accepted, of a source that does not read. An `error` finding
   * refuses it: `where_invalid` is about the condition, every other code about the tables.
   */
  checkOrder?(order: Omit<SnapshotOrder, 'id'>, signal: AbortSignal): Promise<readonly Check[]>;
  /**
   * What a position that a user wrote means, for a stream that does not run. Absent: positions can't be set.
   * @param wanted JSON as the user wrote it
   * @param from the positions as they are
   * @throws StreamError with the reason where the source no longer holds that place, or never had it
   */
  settle?(wanted: unknown, from: Positions, signal: AbortSignal): Promise<Positions>;
  /**
   * Head against what was handed over. Works also when nothing is being read (paused, stopped). A failure of recourse
   * `lost` is one of the stream: it goes to `error` with it, also while it is paused.
   */
  lag(from: Positions, signal: AbortSignal): Promise<Lag>;
  /**
   * Gives up what makes the source keep its log for this stream, after `lag` threw `wal_budget_exceeded`: and only if
   * that is still so. Called by the holder of the lease, when nothing reads. Absent: `lag` never throws that.
   */
  letGo?(signal: AbortSignal): Promise<ReleaseReport>;
  /** How many readers could share this stream now, by its partitions and its config. Absent: one. */
  shares?(): number;
  /**
   * Progress of a running or finished snapshot; `over`: there was nothing to be read so far, and an earlier reader's
   * progress that says `running` is over too; `null`: not known yet, or a source without rows.
   */
  snapshot(): SnapshotProgress | 'over' | null;
  /** Gives back what the stream made at the source (slot, publication, group) and checks that it is gone. */
  release(options: { readonly force: boolean }, signal: AbortSignal): Promise<ReleaseReport>;
  /** Ends every connection. Never throws, safe to repeat. */
  close(): Promise<void>;
}

/** For a look at a source: nobody has ordered anything. */
export const NO_ORDERS: SnapshotOrders = {
  open: () => Promise.resolve([]),
  done: () => Promise.resolve([]),
  close: () => Promise.resolve(),
};

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

/** A record that does not fit what the stream is configured for. It is no event, and the stream goes on. */
export interface SetAside {
  /** As the event's would be: the same each time. */
  readonly id: string;
  /** In words of the source: `orders/0 at 42`. */
  readonly place: string;
  /** For people; nothing of the record itself. */
  readonly reason: string;
  /** When the source committed it, ms since the Unix epoch, however late; -1 where that is not known. */
  readonly timeMs: number;
}

/** Another stream of the same type and workspace whose events go into Kafka: over it, this one could feed itself. */
export interface Neighbour {
  readonly name: string;
  /** Secrets are masked. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Ids of the connections: of its source, and of its log. */
  readonly from: string | null;
  readonly into: string;
  readonly topics: Omit<LogTopics, 'clusterId'>;
  /** It is to run. */
  readonly runs: boolean;
}

export interface Neighbours {
  /** All that there are by now. @throws StreamError `store_unavailable` */
  all(): Promise<readonly Neighbour[]>;
  /** What a connection of theirs leads to; `null`: it is gone. */
  settings(connectionId: string): Promise<ConnectionSettings | null>;
}

/** What a user decided about a position that is lost (`POST …/start {"onLostPosition": …}`). */
export type OnLostPosition = 'resnapshot' | 'skip';

/** Another stream of the same type at the same server, as far as what it is configured by goes. */
export interface Sharer {
  readonly config: Readonly<Record<string, unknown>>;
  /** Of its connection; `null`: it has none. */
  readonly database: string | null;
}

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
  readonly orders: SnapshotOrders;
  /** The partitions to read, and to tell the lag of. Absent: all. */
  readonly share?: Share;
  /** Set for the first read after the user gave up a lost position; `null` otherwise. */
  readonly onLostPosition: OnLostPosition | null;
  /**
   * Where its events go, for a source that could read them: it would feed itself. `null`: not into Kafka. Absent: nobody
   * says. @throws StreamError `log_unavailable`
   */
  readonly logTopics?: () => Promise<LogTopics | null>;
  /** Absent: nobody knows them. */
  readonly neighbours?: Neighbours;
  /** With `onLostPosition`: the positions as they were, of which some may not be lost. Absent: nobody keeps them. */
  readonly abandoned?: () => Promise<Positions>;
  /** How far the stream has been read, for what is asked of it without a position. Absent: nothing was. */
  readonly reached?: () => Promise<Positions>;
  /** Counts and keeps records that are no events; durable when it resolves. Absent: nobody keeps them. */
  readonly setAside?: (records: readonly SetAside[]) => Promise<void>;
  /** All others whose connection is this one or has its host and port: what they name is theirs to use. Absent: nobody knows. */
  readonly sharers?: () => Promise<readonly Sharer[]>;
  readonly clock: Clock;
  readonly log: Log;
  /** Absent: nobody asks. */
  readonly step?: Steps;
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
  /** Sources of this type may be read by several workers, each a share of the partitions. */
  readonly spreads?: true;
  create(context: SourceContext): Source;
  /** Dials, logs in, asks for the version. Resolves also when that fails: the report says why. */
  testConnection(connection: ConnectionSettings, outbound: Outbound, signal: AbortSignal): Promise<ConnectionReport>;
}
