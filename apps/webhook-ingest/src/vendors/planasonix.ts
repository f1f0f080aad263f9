import type { Vendor } from './vendor.js';

/** The product's own: an empty body is signed by its time alone. */
export const planasonix: Vendor = {
  name: 'planasonix',
  proof: {
    algorithm: 'sha256',
    encoding: 'hex',
    headers: ['x-planasonix-signature'],
    form: { kind: 'whole', prefix: 'v1=' },
    timestamp: { header: 'x-planasonix-timestamp', unit: 's' },
    tolerance: { past: 300_000, ahead: 60_000 },
    signed: ({ body, header }) => {
      const timestamp = header('x-planasonix-timestamp') ?? '';
      return body.length === 0 ? [Buffer.from(timestamp)] : [Buffer.from(`${timestamp}.`), body];
    },
  },
  eventId: { header: 'x-planasonix-event-id' },
  idIsSigned: false,
  eventType: { header: 'x-planasonix-event' },
};
