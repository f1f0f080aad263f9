import type { Vendor } from './vendor.js';

export const square: Vendor = {
  name: 'square',
  proof: {
    algorithm: 'sha256',
    encoding: 'base64',
    headers: ['x-square-hmacsha256-signature'],
    form: { kind: 'whole', prefix: '' },
    signed: '{url}{body}',
  },
  eventId: { pointer: '/event_id' },
  idIsSigned: true,
  eventType: { pointer: '/type' },
};
