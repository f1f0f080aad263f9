import type { Vendor } from './vendor.js';

export const stripe: Vendor = {
  name: 'stripe',
  proof: {
    algorithm: 'sha256',
    encoding: 'hex',
    headers: ['stripe-signature'],
    form: { kind: 'pairs', separator: ',', name: 'v1' },
    timestamp: { pair: 't', unit: 's' },
    signed: '{timestamp}.{body}',
  },
  eventId: { pointer: '/id' },
  idIsSigned: true,
  eventType: { pointer: '/type' },
};
