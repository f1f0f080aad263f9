import { textAt, type Vendor } from './vendor.js';

export const slack: Vendor = {
  name: 'slack',
  proof: {
    algorithm: 'sha256',
    encoding: 'hex',
    headers: ['x-slack-signature'],
    form: { kind: 'whole', prefix: 'v0=' },
    timestamp: { header: 'x-slack-request-timestamp', unit: 's' },
    signed: 'v0:{timestamp}:{body}',
  },
  eventId: { pointer: '/event_id' },
  idIsSigned: true,
  eventType: { pointer: '/event/type' },
  handshake: (body) =>
    textAt(body, 'type') === 'url_verification' ? { challenge: textAt(body, 'challenge') ?? '' } : null,
};
