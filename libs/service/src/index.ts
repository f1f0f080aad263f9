export * from './boot.js';
export { COUNTERS_GROUP, countersEmitter, countersMicroservice } from './counters-transport.js';
export { crashPoints } from './crash-point.js';
export * from './env.js';
export type * from './health.js';
export * from './logger.js';
export type { Emitter } from './lossy-emitter.js';
export * from './redis-transport.js';
export { discardUnread } from './unread-body.js';
