import { SECRET_KEYS } from '../verify/secret-key.js';
import type { Vendor } from './vendor.js';

/** An id may have full stops. With a time between two of them another body could have been cut off behind it. */
const isClearId = (id: string): boolean => !/\.[1-9][0-9]{9}\./.test(id);

/** Standard Webhooks and Svix, which differ in the names of headers alone. */
const standard = (name: string, prefix: string): Vendor => ({
  name,
  proof: {
    algorithm: 'sha256',
    encoding: 'base64',
    headers: [`${prefix}-signature`],
    form: { kind: 'words', separator: ' ', prefix: 'v1,' },
    timestamp: { header: `${prefix}-timestamp`, unit: 's' },
    signed: '{id}.{timestamp}.{body}',
    idHeader: `${prefix}-id`,
    isClearId,
    key: SECRET_KEYS.base64.bytes,
  },
  secret: SECRET_KEYS.base64,
  eventId: { header: `${prefix}-id` },
  idIsSigned: true,
  eventType: { pointer: '/type' },
});

export const standardWebhooks = standard('standard_webhooks', 'webhook');
export const svix = standard('svix', 'svix');
