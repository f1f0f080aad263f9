/**
 * Every error code that an answer of this API can carry. The text here is the documentation: `openapi/` copies it.
 * The codes of a stream's `last_error` are in `STREAM_ERRORS` of `@planasonix/core`.
 */
interface TableEntry {
  readonly status: number;
  /** When it is answered. Also the message where nobody has said more. */
  readonly message: string;
  readonly hint?: string;
}

export const API_ERRORS = {
  invalid_request: { status: 400, message: 'The request is not as documented; `details` says what is wrong.' },
  invalid_json: { status: 400, message: 'The body is not valid JSON.', hint: 'Send one JSON object in UTF-8.' },
  invalid_url: { status: 400, message: 'The URL is not well formed.', hint: 'Percent-encode the path and the query.' },
  invalid_cursor: {
    status: 400,
    message: 'The cursor is not one of this list.',
    hint: 'Use the cursor of the last answer, with the same filters and key; or none, to begin anew.',
  },
  source_type_unavailable: { status: 400, message: 'No worker has announced this source type.' },
  no_tables: { status: 400, message: 'No table of the source matches.', hint: 'Use exact names or schema.*.' },
  host_forbidden: {
    status: 400,
    message: 'The outbound policy does not allow this host.',
    hint: 'Use a public address, or set OUTBOUND_POLICY to allow private ones.',
  },
  unauthorized: {
    status: 401,
    message: 'A valid API key is required.',
    hint: 'Send it as "Authorization: Bearer plnx_live_…".',
  },
  forbidden: { status: 403, message: 'The API key lacks the scope that this route asks for.' },
  not_found: { status: 404, message: 'There is nothing under this address in your workspace.' },
  method_not_allowed: { status: 405, message: 'This address does not take that method; `Allow` names those it takes.' },
  name_taken: { status: 409, message: 'The name is in use in this workspace.', hint: 'Choose another name.' },
  invalid_transition: { status: 409, message: 'The state of the stream does not allow this command.' },
  superseded: {
    status: 409,
    message: 'A later command overtook this one.',
    hint: 'Read the stream: it shows what holds now.',
  },
  position_lost: {
    status: 409,
    message: 'The position of the stream is lost; the start has to say what to do about it.',
    hint: 'Start with {"onLostPosition":"resnapshot"} to read all rows again, or "skip" to go on from now.',
  },
  position_pending: {
    status: 409,
    message: 'A position was being set and it is not known how far that got.',
    hint: 'Set it once more (PUT …/position), then start.',
  },
  position_refused: {
    status: 409,
    message: 'The source does not hold that place; the code of the source stands in `details`.',
  },
  position_unsupported: { status: 409, message: 'The position of a stream of this source type can not be set.' },
  snapshot_unsupported: {
    status: 409,
    message: 'Sources of this type do not read rows again while they run.',
    hint: 'Make another stream for those rows.',
  },
  snapshot_over: { status: 409, message: 'The snapshot is over and can not be cancelled.' },
  too_many_snapshots: {
    status: 409,
    message: 'As many ordered snapshots of this stream are open as there may be (100).',
    hint: 'Wait until some are done, or cancel some.',
  },
  stream_active: {
    status: 409,
    message:
      'The config can change while a stream is created, paused, stopped or in error; the position while it is stopped or in error.',
    hint: 'Pause or stop the stream first.',
  },
  source_taken: {
    status: 409,
    message: 'Another stream of this connection has that at the source.',
    hint: 'Give each stream one of its own.',
  },
  in_use: { status: 409, message: 'A stream or a pipeline uses it.', hint: 'Delete what uses it first.' },
  log_unreadable: {
    status: 409,
    message: 'The events lie in several topics of Kafka, which have no one order.',
    hint: 'Read the topics with a Kafka consumer.',
  },
  ingest_unsupported: { status: 409, message: 'Streams of this source type take no deliveries in.' },
  secret_fixed: {
    status: 409,
    message: 'The auth of this stream has no list of secrets.',
    hint: 'Change `auth` with PATCH while the stream is paused or stopped.',
  },
  sample_unsupported: {
    status: 409,
    message: 'Only the sender can prove a delivery to this stream: it alone has the key.',
    hint: 'Have the sender deliver, and look at GET …/deliveries.',
  },
  active_consumers: {
    status: 409,
    message: 'The source reports that somebody else reads what the stream holds there. Nothing was deleted.',
    hint: 'End that reader, or delete with force=true.',
  },
  source_unreachable: {
    status: 409,
    message: 'The source can not be reached to give back what the stream holds there. Nothing was deleted.',
    hint: 'Try again when it answers, or delete with force=true.',
  },
  no_worker: {
    status: 409,
    message: 'No live worker of the source type has answered.',
    hint: 'Start a worker of this source type.',
  },
  secrets_sealed: {
    status: 409,
    message: 'The secrets were sealed with a key that is not known here.',
    hint: 'Give every app that key in ENCRYPTION_KEYS_OLD.',
  },
  config_invalid: {
    status: 409,
    message: 'The workers can not serve the config of this stream.',
    hint: 'POST …/check says what is wrong; correct the config of the stream.',
  },
  deleting: { status: 409, message: 'The stream is being deleted.' },
  stream_error: {
    status: 409,
    message: 'The stream failed while the command waited; `last_error` says why.',
    hint: 'Mend the cause, then start it.',
  },
  last_admin_key: {
    status: 409,
    message: 'This is the last key of the workspace that may administer it and does not expire.',
    hint: 'Make another key with admin:organization, without expiresAt, first.',
  },
  idempotency_conflict: {
    status: 409,
    message: 'This Idempotency-Key was used with another request.',
    hint: 'Use a new key for a new request.',
  },
  idempotency_in_progress: {
    status: 409,
    message: 'A request with this Idempotency-Key is under way.',
    hint: 'Try again in a moment.',
  },
  payload_too_large: { status: 413, message: 'The body is over 1 MiB.' },
  unsupported_media_type: {
    status: 415,
    message: 'The body has to be JSON.',
    hint: 'Send "Content-Type: application/json".',
  },
  rate_limited: { status: 429, message: 'Too many requests.', hint: 'Wait as long as Retry-After says (seconds).' },
  too_many_tails: {
    status: 429,
    message: 'Too many live tails are open.',
    hint: 'Close one; for a steady consumer read the log itself.',
  },
  headers_too_large: { status: 431, message: 'The headers are too large.' },
  internal: {
    status: 500,
    message: 'A fault of this system. Its log has the details under request_id.',
  },
  store_unavailable: { status: 503, message: 'The store can not be reached.', hint: 'Try again in a moment.' },
  limits_unavailable: {
    status: 503,
    message: 'The rate limits can not be read, and nothing is created without them.',
    hint: 'Try again in a moment.',
  },
  log_unavailable: {
    status: 503,
    message: 'The log of the pipeline can not be reached. Nothing changed, unless the message says so.',
    hint: 'Try again in a moment.',
  },
  log_full: {
    status: 503,
    message: 'The log has no room, and the test delivery waits for it, for `queue_timeout` at the most.',
    hint: 'Let a consumer acknowledge what is there, or give the pipeline a larger retention.',
  },
  queue_unavailable: { status: 503, message: 'The workers can not be asked.', hint: 'Try again in a moment.' },
  worker_busy: { status: 503, message: 'No worker answered in time.', hint: 'Try again in a moment.' },
  shutting_down: { status: 503, message: 'This gateway is shutting down.', hint: 'Try again in a moment.' },
} as const satisfies Record<string, TableEntry>;

export type ApiErrorCode = keyof typeof API_ERRORS;

export const statusOf = (code: ApiErrorCode): number => API_ERRORS[code].status;
