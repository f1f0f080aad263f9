import type { Vendor } from './vendor.js';

export const shopify: Vendor = {
  name: 'shopify',
  proof: {
    algorithm: 'sha256',
    encoding: 'base64',
    headers: ['x-shopify-hmac-sha256'],
    form: { kind: 'whole', prefix: '' },
    signed: '{body}',
  },
  eventId: { header: 'x-shopify-webhook-id' },
  idIsSigned: false,
  eventType: { header: 'x-shopify-topic' },
};
