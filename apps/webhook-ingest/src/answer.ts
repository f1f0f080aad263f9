import { DELIVERY_REFUSALS, type DeliveryReason, type DeliveryRefusal } from '@planasonix/core';
import type { Handshake } from './vendors/index.js';

/** What a sender is told, and what is noted of it for the user. */
export interface Answer {
  readonly status: number;
  /** `null`: none. */
  readonly body: object | null;
  readonly headers: Readonly<Record<string, string>>;
  /** For the user's list of deliveries and for counters, never for the sender; `null`: taken in. */
  readonly reason: DeliveryReason | null;
  readonly eventId: string | null;
  readonly id: string | null;
}

/** @param reason more than the sender is told. @param waitMs when it may be tried again. */
export function refusal(
  code: DeliveryRefusal,
  of: { reason?: DeliveryReason; waitMs?: number; eventId?: string | null } = {},
): Answer {
  const { status, message } = DELIVERY_REFUSALS[code];
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
