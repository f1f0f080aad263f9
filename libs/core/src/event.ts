/**
 * The vocabulary of the data path: an event, the batch it travels in, and the place in the source's log that
 * a batch reaches.
 */

/** A place in a source's log: the source's own JSON text. Opaque to everything but the source that wrote it; a
 * field `rows` of it (how far rows have been read, with keys) is not shown to users. */
export type Position = string;

/**
 * Partition name → position. Sources that have one log (a database) use the partition `""`. A name that begins with `#`
 * is no place but the source's own notebook: kept and committed like a position, and not shown to users.
 */
export type Positions = ReadonlyMap<string, Position>;
/** Partition → the highest `order` of it that is in the log. */
export type Orders = ReadonlyMap<string, string>;

/** Whether they hold a place in the source: what stands under names that begin with `#` are notes about it. */
export const isPlaced = (positions: Positions): boolean => [...positions.keys()].some((name) => !name.startsWith('#'));

/**
 * One change, already encoded. The decoder writes `data` once, straight from the wire; nothing after it parses or
 * re-encodes a value.
 */
export interface ChangeEvent {
  /** CloudEvents `id`: made from the place in the source's log, the same on every redelivery. Invariant 4. */
  readonly id: string;
  /** CloudEvents `type`, such as `com.planasonix.row.insert`. */
  readonly type: string;
  /** CloudEvents `subject`: `schema.table`, a topic, a webhook stream's name. */
  readonly subject: string;
  /** CloudEvents `time`: when the source committed, RFC 3339 in UTC. */
  readonly time: string;
  /** `time` as milliseconds since the Unix epoch; latency and lag are measured from it. */
  readonly timeMs: number;
  /** JSON text of the key columns for a row, the key for a record; empty where there is none. */
  readonly partitionkey: string;
  /** The event's data: JSON text in UTF-8. */
  readonly data: Buffer;
  /**
   * Place within its partition, as text that compares byte-wise like the source's own order and has a fixed width
   * per source (Postgres: commit LSN and ordinal, `0000000016B374D8-00000003`). A log drops what is not greater than
   * the last one it holds. `null` for rows of a snapshot, which are always appended.
   */
  readonly order: string | null;
}

/**
 * What a source hands over and a log takes in one atomic write. One nullable field says which of three things it is:
 * events and a position are commits up to that place; events and `null` are part of something larger that is not
 * whole yet (a big transaction, a snapshot's chunk without progress); a position without events is a heartbeat.
 * Neither events nor position means "connected": see `CONNECTED`.
 */
export interface ChangeBatch {
  readonly partition: string;
  readonly events: readonly ChangeEvent[];
  readonly position: Position | null;
}

/**
 * A source yields it once in every read, when it reads. Before it come only positions: where reading begins, if that is
 * new. The stream is `running` once those are in the log (Invariant 7), and until then nothing more is asked for.
 */
export const CONNECTED: ChangeBatch = { partition: '', events: [], position: null };

/** The `source.snapshot` marks and event types that every row source uses. */
export const ROW_EVENT_TYPES = {
  c: 'com.planasonix.row.insert',
  u: 'com.planasonix.row.update',
  d: 'com.planasonix.row.delete',
  r: 'com.planasonix.row.read',
  t: 'com.planasonix.row.truncate',
} as const;
export type RowOp = keyof typeof ROW_EVENT_TYPES;
