import type { Vendor } from './vendor.js';

/** Its ping is an event like any other. */
export const github: Vendor = {
  name: 'github',
  proof: {
    algorithm: 'sha256',
    encoding: 'hex',
    headers: ['x-hub-signature-256'],
    form: { kind: 'whole', prefix: 'sha256=' },
    signed: '{body}',
  },
  eventId: { header: 'x-github-delivery' },
  idIsSigned: false,
  eventType: { header: 'x-github-event' },
};
