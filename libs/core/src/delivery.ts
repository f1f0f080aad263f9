import { STREAM_ERRORS, type StreamErrorCode } from './errors.js';
import type { JsonSchema } from './source.js';

/**
 * What a sender is told whose delivery is not taken in: the text here is the documentation, which the gateway makes from it.
 * 429 and 503 carry `Retry-After`, seconds.
 */
export const DELIVERY_REFUSALS = {
  unreadable: { status: 400, message: 'The body can not be read.' },
  unauthorized: { status: 401, message: 'The delivery is not authorized.' },
  not_found: { status: 404, message: 'There is nothing under this address.' },
  method_not_allowed: { status: 405, message: 'Deliveries are posted.' },
  body_too_slow: { status: 408, message: 'The body did not come in time.' },
  too_large: { status: 413, message: 'The body is too large.' },
  parts_too_many: { status: 413, message: 'Taken apart, the body has more than 10,000 parts.' },
  parts_too_large: {
    status: 413,
    message: 'Taken apart, the body is too large: each part has all of the headers.',
  },
  encoding_unsupported: { status: 415, message: 'Content-Encoding may be gzip, deflate or br.' },
  rate_limited: { status: 429, message: 'Too many deliveries.' },
  log_full: { status: 429, message: 'There is no room now.' },
  not_durable: { status: 503, message: 'The delivery could not be stored.' },
  not_running: { status: 503, message: 'Deliveries are not taken in now.' },
  keys_unavailable: { status: 503, message: 'The delivery can not be checked now.' },
  busy: { status: 503, message: 'Too much is being taken in.' },
} as const satisfies Record<string, { readonly status: number; readonly message: string }>;

export type DeliveryRefusal = keyof typeof DELIVERY_REFUSALS;

/**
 * Why a delivery was answered as it was, for the user alone (`GET …/deliveries`), with what to do about it. Codes of
 * `STREAM_ERRORS` stand there as well, with their own hints where there is none here.
 */
export const DELIVERY_REASONS = {
  duplicate: 'It was taken in before, by its id or its signed bytes. Nothing is to be done.',
  dropped: 'There was no room, and `backpressure` is `shed`: make room in the log, or choose `reject` or `queue`.',
  handshake: 'The sender tried the address, and was answered. It is no event; nothing is to be done.',

  signature_missing:
    'The signature is not there, or not in the form that `auth` says, or what it covers is not: look at what the sender sends (header, pair, prefix, id), and at `auth.type` and preset.',
  signature_malformed:
    'The signature is no text in its encoding: look at `auth.encoding`, `prefix` and `signature_pair`.',
  signature_wrong:
    'Another secret signed it, or other bytes: compare the secret with that of the sender, then what is signed (`auth.signed`, `secret_encoding`); a proxy must not change the body, and INGEST_URL has to be the address that the sender was given.',
  signed_too_large:
    'This sender’s proof covers what has to be parsed, and no more than 1 MiB is, of a form 256 KiB and 1,000 parameters: have it send less at once.',
  timestamp_missing: 'The time of the delivery is not there, or not in its form: look at where `auth` says that it is.',
  timestamp_too_old:
    'It was signed too long ago: compare the clocks of the sender and of this system. A retry has to be signed anew, or `auth.tolerance` be longer.',
  timestamp_in_future: 'It was signed ahead of the time here: compare the clocks of the sender and of this system.',
  token_missing:
    'The header with the token or the password is not there: look at what the sender sends, and at `auth.type`.',
  token_wrong:
    'The token or the password is not one of those that live, or a JWT that is expired or has another issuer, audience, algorithm or key: compare it with `auth`.',
  certificate_missing:
    'No client certificate came with it: the sender has to show one, and a proxy that ends TLS to pass it on in INGEST_CLIENT_CERT_HEADER, from an address in INGEST_TRUSTED_PROXIES.',
  certificate_wrong:
    'The certificate has ended, or `auth` does not take it: look at `ca` and `names` (mtls), or add the certificate that the sender signs with now (`certificates`).',
  keys_unavailable:
    'The keys of `auth.jwks_url` can not be had: it has to answer webhook-ingest with a set of JWKs, and OUTBOUND_POLICY to allow its host. POST …/check looks at it.',
  key_unknown:
    'The token names a key that was not among those of `auth.jwks_url` when they were last had. The sender was told when to come again; if it goes on, the provider does not publish that key.',
  too_slow: 'The stream does not run, and the proof was not judged in time. Start the stream.',
  unauthorized: 'The proof of the delivery does not hold: compare it with `auth`.',

  unreadable: 'The body could not be read: look at what the sender sends.',
  body_cut_short:
    'The connection ended before the body did: look at the sender, and at the timeouts of a proxy between.',
  body_too_slow: 'The body took longer than 15 s: have the sender send less at once, or look at the network between.',
  transfer_encoding_unsupported: 'Transfer-Encoding may be chunked alone: have the sender, or a proxy, send it so.',
  encoding_unsupported: 'Content-Encoding may be gzip, deflate or br: have the sender use one of them, or none.',
  encoding_broken:
    'The body is not what its Content-Encoding says: look at the sender, or at a proxy that inflates it.',
  json_broken:
    '`expand_array` takes bodies apart, and this one is no JSON or no lines of it: mend it at the sender, or leave `expand_array` out.',
  too_large:
    'The body is larger than `max_body_bytes`: raise that (50 MiB at most), or have the sender send less at once.',
  too_large_inflated: 'Inflated, the body is larger than `max_body_bytes`: raise that (50 MiB at most).',
  too_large_as_event:
    'The event would be larger than what one stream may hold at once: have the sender send less at once.',
  parts_too_many: 'Taken apart, a body may have 10,000 parts: have the sender send fewer at once.',
  parts_too_large:
    'Each part of the body has all of the headers, 16 MB in all at most: have the sender send fewer parts at once.',
  message_too_large:
    'The topic takes no event of this size: raise its max.message.bytes, and message.max.bytes of the brokers.',
  method_not_allowed: 'Deliveries are posted: have the sender use POST.',
  not_found: 'The stream was not there, or had another address: give the sender the `ingest_url` that it has now.',

  rate_limited:
    'More came than `rate_limit_per_second`, or INGEST_ADDRESS_RATE from one address: raise it, or have the sender slow down.',
  log_full:
    'The log is full: let its readers acknowledge, raise `retention.max_entries` of the pipeline, or choose another `backpressure`.',
  backlog_full:
    'Too many deliveries of this stream wait for the log already: if it goes on, the log is too slow for them.',
  busy: 'Webhook-ingest had no memory left for it. If it goes on, run more instances, or have the sender send less at once.',
  not_durable: 'The log of the pipeline could not store it in time: look at whether it is up, and how long it takes.',
  not_running: 'The stream does not run: start it.',
  config_invalid: 'The config can not be served: POST …/check says what to correct.',
  secrets_sealed:
    'Give every app the key that the secrets were sealed with, in ENCRYPTION_KEYS_OLD; or enter the secrets of the stream anew.',
} as const satisfies Readonly<Record<string, string>>;

export type DeliveryReason = keyof typeof DELIVERY_REASONS | StreamErrorCode;

/** What to do about it; `null` for one that is not known here. */
export function deliveryHint(reason: string): string | null {
  if (Object.hasOwn(DELIVERY_REASONS, reason)) return DELIVERY_REASONS[reason as keyof typeof DELIVERY_REASONS];
  return Object.hasOwn(STREAM_ERRORS, reason) ? STREAM_ERRORS[reason as StreamErrorCode].hint : null;
}

const textOrNull = (description: string) => ({ type: ['string', 'null'], description });

/** `data` of an event that a delivery became. */
export const DELIVERY_DATA: JsonSchema = {
  type: 'object',
  description: 'Data of `com.planasonix.webhook.received`: a delivery, or with `expand_array` a part of one.',
  additionalProperties: false,
  required: ['body', 'body_encoding', 'headers', 'method', 'content_type', 'event_id', 'event_type', 'received_at'],
  properties: {
    body: { description: 'What was sent, inflated: any JSON in the very text that came, else a string.' },
    body_encoding: {
      enum: ['json', 'text', 'base64'],
      description: '`json`: the body is JSON as it came; `text`: UTF-8 in a string; `base64`: any other bytes.',
    },
    headers: {
      type: 'array',
      items: { type: 'array', prefixItems: [{ type: 'string' }, { type: 'string' }], items: false, minItems: 2 },
      description: 'Name and value, as they came and in their order; those with secrets and signatures are left out.',
    },
    method: { const: 'POST' },
    content_type: textOrNull('Null: none was sent.'),
    event_id: textOrNull('The sender’s own id: where the preset or `auth.id_header` says, else `dedupe.header`.'),
    event_type: textOrNull('The sender’s own type of it, where the preset knows it.'),
    received_at: { type: 'string', format: 'date-time', description: 'When its headers were here, RFC 3339 in UTC.' },
  },
};
