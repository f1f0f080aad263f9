export * from './fake-ledger.js';
export * from './fake-log.js';
export * from './fake-source.js';
export * from './manual-clock.js';
export * from './silent-log.js';
export * from './pump-world.js';
export * from './host-world.js';
