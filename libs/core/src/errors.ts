/**
 * The catalogue of failures that a stream can meet. The text here is the documentation: code, what becomes of the
 * stream, and what to do. Nothing matches on message text outside the adapter that wraps a driver.
 *
 * - `retry`: the stream stays `running`, backs off with jitter and counts in `error_rate_per_minute`.
 * - `fatal`: the stream goes to `error`.
 * - `lost`: `error`, and a start must say what to do about the position (`onLostPosition`).
 * - `fenced`: another owner has taken over; this worker stops and writes nothing.
 */
export type Recourse = 'retry' | 'fatal' | 'lost' | 'fenced';

interface CatalogueEntry {
  readonly recourse: Recourse;
  readonly hint: string;
}

export const STREAM_ERRORS = {
  fenced: { recourse: 'fenced', hint: 'Another worker has taken over this stream. Nothing is to be done.' },
  source_unreachable: {
    recourse: 'retry',
    hint: 'Check that the host and port of the connection answer from the workers.',
  },
  log_unavailable: { recourse: 'retry', hint: 'Check that the log (Redis or Kafka) of the pipeline is up.' },
  store_unavailable: { recourse: 'retry', hint: 'Check that the Postgres of DATABASE_URL is up.' },
  slot_active: {
    recourse: 'retry',
    hint: 'Another process reads the replication slot. End it: SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots.',
  },
  too_many_connections: { recourse: 'retry', hint: 'Raise max_connections or max_wal_senders at the source.' },
  host_forbidden: {
    recourse: 'fatal',
    hint: 'OUTBOUND_POLICY does not allow this address. Use a public address, or allow private ones.',
  },
  auth_failed: { recourse: 'fatal', hint: 'Correct user and password of the connection.' },
  tls_failed: { recourse: 'fatal', hint: 'Check sslMode (tls of one to Kafka) and sslRootCert of the connection.' },
  permission_denied: { recourse: 'fatal', hint: 'Grant the missing privilege; POST …/check names the exact SQL.' },
  wal_level: { recourse: 'fatal', hint: "ALTER SYSTEM SET wal_level = 'logical'; then restart the server." },
  tables_missing: { recourse: 'fatal', hint: 'Create the tables, or correct `tables` in the config.' },
  no_tables: { recourse: 'fatal', hint: 'No table matches `tables`. Use exact names or schema.*.' },
  log_unreadable: {
    recourse: 'fatal',
    hint: 'The events of this log lie in several topics, which have no one order: read them with a Kafka consumer.',
  },
  message_too_large: {
    recourse: 'fatal',
    hint: 'Raise max.message.bytes of the topic (and message.max.bytes of the brokers), or leave large columns out.',
  },
  topic_missing: { recourse: 'fatal', hint: 'Create the topic, or correct `topics` in the config.' },
  no_replica_identity: { recourse: 'fatal', hint: 'ALTER TABLE … REPLICA IDENTITY FULL; or add a primary key.' },
  publication_missing: {
    recourse: 'fatal',
    hint: 'Create the publication, or leave `publication` out to have it made.',
  },
  publication_incomplete: { recourse: 'fatal', hint: 'ALTER PUBLICATION … ADD TABLE …; or leave `publication` out.' },
  config_invalid: { recourse: 'fatal', hint: 'Correct the config of the stream.' },
  secrets_sealed: {
    recourse: 'retry',
    hint: 'Give every app the key that they were sealed with, in ENCRYPTION_KEYS_OLD. Where that key is lost, enter all secrets of the connection anew, or make the stream anew.',
  },
  event_unsupported: {
    recourse: 'fatal',
    hint: 'The source sent something that is not understood; nothing was skipped. Report it.',
  },
  binlog_format_unsupported: {
    recourse: 'fatal',
    hint: 'SET GLOBAL binlog_format = ROW; sessions that were open keep their old format until they reconnect.',
  },
  row_image_unsupported: {
    recourse: 'fatal',
    hint: 'SET GLOBAL binlog_row_image = FULL, binlog_row_metadata = FULL; sessions that were open keep their old settings until they reconnect.',
  },
  xa_unsupported: {
    recourse: 'fatal',
    hint: 'Transactions of two phases (XA) can not be followed. Leave the tables that they write out of `tables`.',
  },
  xa_prepared: {
    recourse: 'retry',
    hint: 'XA RECOVER at the source shows transactions of two phases that are prepared: commit them or roll them back. The start waits for that.',
  },
  snapshot_failed: { recourse: 'retry', hint: 'The snapshot was interrupted and starts over.' },
  slot_lost: {
    recourse: 'lost',
    hint: 'The slot was dropped or invalidated. Start with {"onLostPosition":"resnapshot"} or "skip".',
  },
  wal_budget_exceeded: {
    recourse: 'lost',
    hint: 'The stream held back more of the source\'s log than wal_budget allows and has given up its slot. Start with {"onLostPosition":"resnapshot"} or "skip".',
  },
  offset_gap: {
    recourse: 'lost',
    hint: 'The source is ahead of the log: changes are missing between them. Start with {"onLostPosition":"resnapshot"} or "skip".',
  },
  log_purged: {
    recourse: 'lost',
    hint: 'The source no longer holds its log from our position. Start with {"onLostPosition":"resnapshot"} or "skip".',
  },
  offset_out_of_range: {
    recourse: 'lost',
    hint: 'The broker no longer has our position. Start with {"onLostPosition":"resnapshot"} or "skip".',
  },
  topic_recreated: {
    recourse: 'lost',
    hint: 'The topic was deleted and made anew. Start with {"onLostPosition":"resnapshot"} or "skip".',
  },
  source_identity_changed: {
    recourse: 'lost',
    hint: 'Another server answers at this address. Correct the connection, or start with {"onLostPosition":"resnapshot"} or "skip".',
  },
  internal: {
    recourse: 'retry',
    hint: 'A fault of this system; the log of the worker has the details under the same request or stream id.',
  },
} as const satisfies Record<string, CatalogueEntry>;

export type StreamErrorCode = keyof typeof STREAM_ERRORS;

/** A failure of a stream, with its code. `message` is shown to users: no secret, no row value. */
export class StreamError extends Error {
  readonly recourse: Recourse;
  readonly hint: string;

  constructor(
    readonly code: StreamErrorCode,
    message: string,
    options: { readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'StreamError';
    this.recourse = STREAM_ERRORS[code].recourse;
    this.hint = options.hint ?? STREAM_ERRORS[code].hint;
  }
}

/** Whether a start after this error must say `onLostPosition`. */
export const losesPosition = (code: string): boolean =>
  code in STREAM_ERRORS && STREAM_ERRORS[code as StreamErrorCode].recourse === 'lost';
