import { createHmac } from 'node:crypto';
import { textAt, type Vendor } from './vendor.js';

export const zoom: Vendor = {
  name: 'zoom',
  proof: {
    algorithm: 'sha256',
    encoding: 'hex',
    headers: ['x-zm-signature'],
    form: { kind: 'whole', prefix: 'v0=' },
    timestamp: { header: 'x-zm-request-timestamp', unit: 's' },
    signed: 'v0:{timestamp}:{body}',
  },
  eventId: { header: 'x-zm-trackingid' },
  idIsSigned: false,
  eventType: { pointer: '/event' },
  handshake: (body, key) => {
    const plainToken = textAt(body, 'payload', 'plainToken');
    if (textAt(body, 'event') !== 'endpoint.url_validation' || plainToken === null) return null;
    return { plainToken, encryptedToken: createHmac('sha256', key).update(plainToken).digest('hex') };
  },
};
