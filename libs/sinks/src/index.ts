export { openLog, type LogDeps } from './open-log.js';
export { templateProblem, topicNames } from './kafka/topic-name.js';
export { type RedisFactory } from './redis-stream/connection.js';
export { eventsKey, logKey } from './redis-stream/keys.js';
