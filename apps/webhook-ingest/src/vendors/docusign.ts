import type { Vendor } from './vendor.js';

/** One header for each of its keys. */
export const docusign: Vendor = {
  name: 'docusign',
  proof: {
    algorithm: 'sha256',
    encoding: 'base64',
    headers: Array.from({ length: 10 }, (_, i) => `x-docusign-signature-${i + 1}`),
    form: { kind: 'whole', prefix: '' },
    signed: '{body}',
  },
  idIsSigned: false,
  eventType: { pointer: '/event' },
};
