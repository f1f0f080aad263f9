export * from './boot.js';
export { crashPoints } from './crash-point.js';
export * from './env.js';
export type * from './health.js';
export * from './logger.js';
export * from './redis-transport.js';
