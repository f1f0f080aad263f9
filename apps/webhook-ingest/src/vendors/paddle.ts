import type { Vendor } from './vendor.js';

export const paddle: Vendor = {
  name: 'paddle',
  proof: {
    algorithm: 'sha256',
    encoding: 'hex',
    headers: ['paddle-signature'],
    form: { kind: 'pairs', separator: ';', name: 'h1' },
    timestamp: { pair: 'ts', unit: 's' },
    signed: '{timestamp}:{body}',
  },
  eventId: { pointer: '/event_id' },
  idIsSigned: true,
  eventType: { pointer: '/event_type' },
};
