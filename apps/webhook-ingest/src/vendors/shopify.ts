import type { Vendor } from './vendor.js';

/** `X-Shopify-Event-Id` would not do: the webhooks of one event have it in common, whatever their topics. */
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
