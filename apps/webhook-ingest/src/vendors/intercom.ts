import type { Vendor } from './vendor.js';

export const intercom: Vendor = {
  name: 'intercom',
  proof: {
    algorithm: 'sha1',
    encoding: 'hex',
    headers: ['x-hub-signature'],
    form: { kind: 'whole', prefix: 'sha1=' },
    signed: '{body}',
  },
  eventId: { pointer: '/id' },
  idIsSigned: true,
  eventType: { pointer: '/topic' },
};
