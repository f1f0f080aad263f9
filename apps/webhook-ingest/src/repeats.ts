import type { Check } from '@planasonix/core';
import type { Auth, WebhookConfig } from './config.js';
import { milliseconds } from './duration.js';
import { vendors } from './vendors/index.js';

/** Whoever has asked for a window so short knows what it is for. */
const SHORT_MS = 60_000;

/** Two deliveries at two times differ in what is signed. */
function signsTime(auth: Auth): boolean {
  const signed = auth.type === 'hmac' ? auth.signed : auth.type === 'preset' ? signedBy(auth.preset) : '';
  return signed.includes('{timestamp}');
}

function signedBy(preset: string): string {
  const { proof } = vendors.get(preset)!;
  return 'signed' in proof && typeof proof.signed === 'string' ? proof.signed : '';
}

/** The scheme says where the id of a delivery is. */
function hasItsId(auth: Auth): boolean {
  if (auth.type === 'hmac') return auth.id_header !== undefined;
  return auth.type === 'preset' && vendors.get(auth.preset)!.eventId !== undefined;
}

/** Findings about what a repeat is known by. */
export function repeatChecks({ auth, dedupe }: WebhookConfig): readonly Check[] {
  const isKnown = hasItsId(auth);
  if (isKnown && dedupe.header !== undefined)
    return [
      {
        code: 'dedupe_header_unused',
        severity: 'warning',
        message: 'dedupe.header is not used: the preset, or auth.id_header, says where the id of a delivery is.',
        fix: 'Leave dedupe.header out.',
      },
    ];
  const hasId = isKnown || dedupe.header !== undefined;
  if (hasId || signsTime(auth) || milliseconds(dedupe.window) <= SHORT_MS) return [];
  return [
    {
      code: 'repeats_by_body',
      severity: 'warning',
      message: `Deliveries have no id here and no signed time: of equal bodies within ${dedupe.window} the first alone becomes an event.`,
      fix: 'Name the header with the id of a delivery in dedupe.header; where two equal bodies may be two events, choose a dedupe.window of 1m or less.',
    },
  ];
}
