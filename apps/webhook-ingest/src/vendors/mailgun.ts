import type { SignedRequest } from '../verify/scheme.js';
import { textAt, type Vendor } from './vendor.js';

/** Its proof lies in the body and covers a time and a token, not what it tells of. */
function partsOf({ body }: SignedRequest): { signatures: readonly string[]; timestamp: string; token: string } | null {
  let json: unknown;
  try {
    json = JSON.parse(body.toString());
  } catch {
    return null;
  }
  const [signature, timestamp, token] = ['signature', 'timestamp', 'token'].map((name) =>
    textAt(json, 'signature', name),
  );
  return signature && timestamp && token ? { signatures: [signature], timestamp, token } : null;
}

export const mailgun: Vendor = {
  name: 'mailgun',
  proof: {
    algorithm: 'sha256',
    encoding: 'hex',
    headers: [],
    form: { kind: 'whole', prefix: '' },
    timestamp: { unit: 's' },
    mostBytes: 1024 * 1024,
    read: partsOf,
    signed: (request) => {
      const parts = partsOf(request);
      return parts && [Buffer.from(parts.timestamp + parts.token)];
    },
  },
  eventId: { pointer: '/signature/token' },
  idIsSigned: true,
  eventType: { pointer: '/event-data/event' },
};
