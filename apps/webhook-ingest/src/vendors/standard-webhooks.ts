import { strictBytes } from '../verify/compare.js';
import type { Vendor } from './vendor.js';

/** Standard Webhooks and Svix, which differ in the names of headers alone. */
const standard = (name: string, prefix: string): Vendor => ({
  name,
  proof: {
    algorithm: 'sha256',
    encoding: 'base64',
    headers: [`${prefix}-signature`],
    form: { kind: 'words', prefix: 'v1,' },
    timestamp: { header: `${prefix}-timestamp`, unit: 's' },
    signed: '{id}.{timestamp}.{body}',
    idHeader: `${prefix}-id`,
    key: (secret) => strictBytes(secret.replace(/^whsec_/, ''), 'base64'),
  },
  secret: {
    pattern: '^(?:whsec_)?(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$',
    means: 'base64, with whsec_ before it or without',
  },
  eventId: { header: `${prefix}-id` },
  idIsSigned: true,
  eventType: { pointer: '/type' },
});

export const standardWebhooks = standard('standard_webhooks', 'webhook');
export const svix = standard('svix', 'svix');
