import type { Vendor } from './vendor.js';

/** Its proof lies in the body and covers a time and a token, not what it tells of: each token is good for one delivery. */
export const mailgun: Vendor = {
  name: 'mailgun',
  proof: {
    algorithm: 'sha256',
    encoding: 'hex',
    headers: [],
    form: { kind: 'whole', prefix: '' },
    timestamp: { unit: 's' },
    mostBytes: 1024 * 1024,
    inBody: {
      signature: ['signature', 'signature'],
      timestamp: ['signature', 'timestamp'],
      id: ['signature', 'token'],
    },
    signed: '{timestamp}{id}',
  },
  eventId: { signedPart: 1 },
  idIsSigned: true,
  eventType: { pointer: '/event-data/event' },
};
