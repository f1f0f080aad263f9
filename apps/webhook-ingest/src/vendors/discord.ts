import { valueAt, type Handshake, type Vendor } from './vendor.js';

/** Its two pings: of webhook events, whose events have the type of the other ones' ping, and of interactions. */
function pinged(body: unknown): Handshake | null {
  const type = valueAt(body, 'type');
  if (type === 0) return 'no_content';
  return type === 1 && valueAt(body, 'event') === undefined ? { type: 1 } : null;
}

export const discord: Vendor = {
  name: 'discord',
  proof: {
    algorithm: 'ed25519',
    encoding: 'hex',
    headers: ['x-signature-ed25519'],
    form: { kind: 'whole', prefix: '' },
    timestamp: { header: 'x-signature-timestamp', unit: 's' },
    signed: '{timestamp}{body}',
  },
  secret: { pattern: '^[0-9a-fA-F]{64}$', means: 'the public key of the application, 64 hex digits' },
  eventId: { pointer: '/id' },
  idIsSigned: true,
  eventType: { pointer: '/event/type' },
  handshake: pinged,
};
