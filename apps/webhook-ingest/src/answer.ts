import type { Handshake } from './vendors/index.js';

/** What a sender is told, and what is noted of it for the user. */
export interface Answer {
  readonly status: number;
  /** `null`: none. */
  readonly body: object | null;
  readonly headers: Readonly<Record<string, string>>;
  /** For the user's list of deliveries and for counters, never for the sender; `null`: taken in. */
  readonly reason: string | null;
  readonly eventId: string | null;
  readonly id: string | null;
}

const REFUSALS = {
  unreadable: [400, 'The body can not be read.'],
  unauthorized: [401, 'The delivery is not authorized.'],
  not_found: [404, 'There is nothing under this address.'],
  method_not_allowed: [405, 'Deliveries are posted.'],
  body_too_slow: [408, 'The body did not come in time.'],
  too_large: [413, 'The body is too large.'],
  parts_too_many: [413, 'Taken apart, the body has more than 10,000 parts.'],
  parts_too_large: [413, 'Taken apart, the body is too large: each part has all of the headers.'],
  encoding_unsupported: [415, 'Content-Encoding may be gzip, deflate or br.'],
  rate_limited: [429, 'Too many deliveries.'],
  log_full: [429, 'There is no room now.'],
  not_durable: [503, 'The delivery could not be stored.'],
  not_running: [503, 'Deliveries are not taken in now.'],
  keys_unavailable: [503, 'The delivery can not be checked now.'],
  busy: [503, 'Too much is being taken in.'],
} as const satisfies Record<string, readonly [number, string]>;

export type RefusalCode = keyof typeof REFUSALS;

/** @param reason more than the sender is told. @param waitMs when it may be tried again. */
export function refusal(
  code: RefusalCode,
  of: { reason?: string; waitMs?: number; eventId?: string | null } = {},
): Answer {
  const [status, message] = REFUSALS[code];
  const again = status === 429 || status === 503;
  return {
    status,
    body: { error: { code, message } },
    headers: {
      ...(again ? { 'retry-after': String(Math.max(1, Math.ceil((of.waitMs ?? 1_000) / 1_000))) } : {}),
      ...(status === 405 ? { allow: 'POST' } : {}),
      // The rest of the body may never come.
      ...(status === 408 ? { connection: 'close' } : {}),
    },
    reason: of.reason ?? code,
    eventId: of.eventId ?? null,
    id: null,
  };
}

export const handshaken = (answer: Handshake): Answer => ({
  ...(answer === 'no_content' ? { status: 204, body: null } : { status: 200, body: answer }),
  ...{ headers: {}, eventId: null, id: null },
  reason: 'handshake',
});

export function received(
  id: string,
  of: {
    readonly repeated?: boolean;
    readonly events: number | null;
    readonly eventId: string | null;
    readonly dropped?: boolean;
  },
): Answer {
  return {
    status: 200,
    body: {
      received: true,
      id,
      ...(of.repeated ? { duplicate: true } : {}),
      ...(of.events === null ? {} : { events: of.events }),
    },
    headers: {},
    reason: of.dropped ? 'dropped' : of.repeated ? 'duplicate' : null,
    eventId: of.eventId,
    id,
  };
}
