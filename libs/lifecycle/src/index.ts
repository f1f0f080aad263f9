export * from './ask-service.js';
export * from './command-service.js';
export * from './delete-service.js';
export * from './departed-logs.js';
export * from './lifecycle-error.js';
export * from './outbox-relay.js';
export * from './position-service.js';
export * from './queues.js';
