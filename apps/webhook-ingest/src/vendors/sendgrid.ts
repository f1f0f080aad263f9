import type { Vendor } from './vendor.js';

/** The secret is its public key, as its console shows it. */
export const sendgrid: Vendor = {
  name: 'sendgrid',
  proof: {
    algorithm: 'ecdsa',
    encoding: 'base64',
    headers: ['x-twilio-email-event-webhook-signature'],
    form: { kind: 'whole', prefix: '' },
    timestamp: { header: 'x-twilio-email-event-webhook-timestamp', unit: 's' },
    signed: '{timestamp}{body}',
  },
  idIsSigned: false,
};
