import type { Vendor } from './vendor.js';

/**
 * The secret is the id of the webhook. The body is covered by its CRC-32 alone, and another body with the same one is
 * easily made: whoever has one delivery can put other ids into it.
 */
export const paypal: Vendor = {
  name: 'paypal',
  proof: {
    algorithm: 'rsa',
    encoding: 'base64',
    headers: ['paypal-transmission-sig'],
    form: { kind: 'whole', prefix: '' },
    timestamp: { header: 'paypal-transmission-time', unit: 'iso' },
    idHeader: 'paypal-transmission-id',
    signed: '{id}|{timestamp}|{secret}|{crc32}',
    certificateNames: ['messageverificationcerts.paypal.com', 'messageverificationcerts.sandbox.paypal.com'],
  },
  secret: { pattern: '^[A-Za-z0-9_]{1,50}$', means: 'the id of the webhook, letters and digits' },
  eventId: { pointer: '/id' },
  idIsSigned: false,
  eventType: { pointer: '/event_type' },
};
