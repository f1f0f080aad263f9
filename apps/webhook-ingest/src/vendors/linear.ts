import type { Vendor } from './vendor.js';

export const linear: Vendor = {
  name: 'linear',
  proof: {
    algorithm: 'sha256',
    encoding: 'hex',
    headers: ['linear-signature'],
    form: { kind: 'whole', prefix: '' },
    signed: '{body}',
  },
  eventId: { header: 'linear-delivery' },
  idIsSigned: false,
  eventType: { header: 'linear-event' },
};
