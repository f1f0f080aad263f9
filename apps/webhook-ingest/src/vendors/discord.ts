import type { Vendor } from './vendor.js';

/** The secret is its public key, in hex. */
export const discord: Vendor = {
  name: 'discord',
  proof: {
    algorithm: 'ed25519',
    encoding: 'hex',
    headers: ['x-signature-ed25519'],
    form: { kind: 'whole', prefix: '' },
    timestamp: { header: 'x-signature-timestamp', unit: 's' },
    signed: '{timestamp}{body}',
  },
  eventId: { pointer: '/id' },
  idIsSigned: true,
  eventType: { pointer: '/event/type' },
};
