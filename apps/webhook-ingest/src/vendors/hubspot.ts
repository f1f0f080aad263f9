import type { Vendor } from './vendor.js';

const ESCAPES = /%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/gi;

/** Version 3 of its signatures. One delivery holds several notifications, so that it has no id of its own. */
export const hubspot: Vendor = {
  name: 'hubspot',
  proof: {
    algorithm: 'sha256',
    encoding: 'base64',
    headers: ['x-hubspot-signature-v3'],
    form: { kind: 'whole', prefix: '' },
    timestamp: { header: 'x-hubspot-request-timestamp', unit: 'ms' },
    // Its documentation has these escapes undone.
    addresses: (url) => [url.replace(ESCAPES, decodeURIComponent), url],
    signed: '{method}{url}{body}{timestamp}',
  },
  idIsSigned: false,
};
