/** Events by the numbers that the log uses. */
export const EVENT = {
  QUERY: 2,
  ROTATE: 4,
  FORMAT: 15,
  XID: 16,
  TABLE_MAP: 19,
  WRITE_ROWS_1: 23,
  UPDATE_ROWS_1: 24,
  DELETE_ROWS_1: 25,
  INCIDENT: 26,
  HEARTBEAT: 27,
  WRITE_ROWS: 30,
  UPDATE_ROWS: 31,
  DELETE_ROWS: 32,
  GTID: 33,
  ANONYMOUS_GTID: 34,
  PREVIOUS_GTIDS: 35,
  XA_PREPARE: 38,
  PARTIAL_UPDATE_ROWS: 39,
  TRANSACTION_PAYLOAD: 40,
  HEARTBEAT_2: 41,
  GTID_TAGGED: 42,
  MARIADB_GTID: 162,
  MARIADB_GTID_LIST: 163,
  MARIADB_START_ENCRYPTION: 164,
  QUERY_COMPRESSED: 165,
} as const;

/**
 * Of the server's housekeeping, without a word about rows: STOP, INTVAR, RAND, USER_VAR, ROWS_QUERY,
 * TRANSACTION_CONTEXT, VIEW_CHANGE; of MariaDB ANNOTATE_ROWS, BINLOG_CHECKPOINT, START_ENCRYPTION.
 * INTVAR, RAND and USER_VAR belong to a statement that follows, which is judged.
 */
export const SILENT: ReadonlySet<number> = new Set([3, 5, 13, 14, 29, 36, 37, 160, 161, 164]);

/** Those of them that stand between transactions: STOP; of MariaDB BINLOG_CHECKPOINT, START_ENCRYPTION. */
export const HOUSEKEEPING: ReadonlySet<number> = new Set([3, 161, 164]);

/** Of `LOAD DATA` in statement format. */
export const LOADING: ReadonlySet<number> = new Set([6, 7, 8, 9, 10, 11, 12, 17, 18]);

export type RowChange = 'write' | 'update' | 'delete';

export interface RowsKind {
  readonly change: RowChange;
  /** 2: with room for more data before the rows. */
  readonly version: 1 | 2;
  readonly compressed: boolean;
}

const kinds = (first: number, version: 1 | 2, compressed: boolean): [number, RowsKind][] =>
  (['write', 'update', 'delete'] as const).map((change, i) => [first + i, { change, version, compressed }]);

/** Events with rows; the compressed ones are MariaDB's. */
export const ROWS: ReadonlyMap<number, RowsKind> = new Map([
  ...kinds(EVENT.WRITE_ROWS_1, 1, false),
  ...kinds(EVENT.WRITE_ROWS, 2, false),
  ...kinds(166, 1, true),
  ...kinds(169, 2, true),
]);

/** Set where the one who wrote an event says that nobody has to understand it. */
export const IGNORABLE = 0x80;
/** Made by the sender, not in the file. */
export const ARTIFICIAL = 0x20;
export const HEADER_BYTES = 19;
