export type { OutboundPolicy } from './address.js';
export * from './host.js';
export * from './outbound.js';
export { endpointOf, type Endpoint } from './own-stores.js';
