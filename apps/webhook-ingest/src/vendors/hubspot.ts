import type { Vendor } from './vendor.js';

/** Version 3 of its signatures. One delivery holds several notifications, so that it has no id of its own. */
export const hubspot: Vendor = {
  name: 'hubspot',
  proof: {
    algorithm: 'sha256',
    encoding: 'base64',
    headers: ['x-hubspot-signature-v3'],
    form: { kind: 'whole', prefix: '' },
    timestamp: { header: 'x-hubspot-request-timestamp', unit: 'ms' },
    signed: '{method}{url}{body}{timestamp}',
  },
  idIsSigned: false,
};
