import type { Vendor } from './vendor.js';

/** Its time lies in the body, in all of its payloads, and is that of the sending, so that a retry has its own. */
export const linear: Vendor = {
  name: 'linear',
  proof: {
    algorithm: 'sha256',
    encoding: 'hex',
    headers: ['linear-signature'],
    form: { kind: 'whole', prefix: '' },
    timestamp: { member: 'webhookTimestamp', unit: 'ms' },
    signed: '{body}',
  },
  eventId: { header: 'linear-delivery' },
  idIsSigned: false,
  eventType: { header: 'linear-event' },
};
