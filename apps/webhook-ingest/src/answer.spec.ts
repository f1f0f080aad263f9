import { DELIVERY_REASONS, DELIVERY_REFUSALS, type DeliveryRefusal } from '@planasonix/core';
import { handshaken, received, refusal } from './answer.js';
import type { NotTaken } from './intake.js';
import type { Refusal } from './verify/scheme.js';

/** The compiler holds these complete: `null` is all that a name has to have. */
const ofProofs: Record<Refusal, null> = {
  ...{ signature_missing: null, signature_malformed: null, signature_wrong: null, signed_too_large: null },
  ...{ timestamp_missing: null, timestamp_too_old: null, timestamp_in_future: null, token_missing: null },
  ...{ token_wrong: null, certificate_missing: null, certificate_wrong: null, keys_unavailable: null },
  ...{ key_unknown: null, too_slow: null },
};
const ofBodies: Record<Exclude<NotTaken, 'no_memory'>, null> = {
  ...{ json_broken: null, parts_too_many: null, parts_too_large: null, too_large_as_event: null },
};

describe('answers at the door', () => {
  const hints: Readonly<Record<string, string>> = DELIVERY_REASONS;
  const taken = { events: null, eventId: null };

  it.each([
    ...Object.keys({ ...ofProofs, ...ofBodies, ...DELIVERY_REFUSALS }),
    received('str_x/e', { ...taken, repeated: true }).reason!,
    received('str_x/e', { ...taken, dropped: true }).reason!,
    handshaken('no_content').reason!,
  ])('%s: the user finds what to do', (reason) => {
    expect(hints[reason]).toMatch(/\w{4}.*\.$/);
  });

  it.each(Object.keys(DELIVERY_REFUSALS) as DeliveryRefusal[])('%s: as the API tells, with no reason in it', (code) => {
    const { status, message } = DELIVERY_REFUSALS[code];
    const told = refusal(code, { reason: 'internal', waitMs: 1_500 });
    expect(told).toMatchObject({ status, body: { error: { code, message } }, reason: 'internal' });
    expect(JSON.stringify(told.body)).not.toContain('internal');
    expect(told.headers['retry-after']).toBe(status === 429 || status === 503 ? '2' : undefined);
  });
});
