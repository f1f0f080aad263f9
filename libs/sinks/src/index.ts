export { openLog, type LogDeps } from './open-log.js';
export { type RedisFactory } from './redis-stream/connection.js';
export { eventsKey, logKey } from './redis-stream/keys.js';
