import { StreamError } from '@planasonix/core';
import { Redis, type RedisOptions } from 'ioredis';
import { WhileUsed } from '../while-used.js';

/** Makes a connection; `options` win over what the maker would choose. A test or an app may bring its own. */
export type RedisFactory = (options: RedisOptions) => Redis;

export const redisFactory =
  (url: string): RedisFactory =>
  (options) =>
    new Redis(url, options);

const SHARED: RedisOptions = {
  lazyConnect: true,
  connectTimeout: 1_500,
  autoResubscribe: false,
  enableAutoPipelining: false,
  noDelay: true,
  disconnectTimeout: 100,
};

/**
 * For appending: never reconnects and never repeats a command, because the fate of a write that was under way is
 * unknown. Whoever holds it opens a new one, which reads from the log how far it got.
 */
export function writerConnection(connect: RedisFactory): Redis {
  const redis = connect({
    ...SHARED,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableReadyCheck: false,
    commandTimeout: 10_000,
  });
  redis.on('error', () => undefined); // the command that met it rejects
  return redis;
}

/** Ends it without sending what is still in its buffer: nothing may be written after a sink has said that it is over. */
export function cut(redis: Redis): void {
  redis.disconnect();
  (redis.stream as Redis['stream'] | undefined)?.destroy();
}

/** For everything that may be repeated. Fails within about 2 s and recovers by itself. */
function controlConnection(connect: RedisFactory): Redis {
  const redis = connect({
    ...SHARED,
    retryStrategy: (times) => Math.min(50 * 2 ** times, 1_000),
    maxRetriesPerRequest: 1,
    commandTimeout: 2_000,
    // One on which nothing comes back is made anew: the network may have swallowed it.
    socketTimeout: 5_000,
  });
  redis.on('error', () => undefined);
  return redis;
}

/** One for all who ask a log something at the same time. */
export const controlWhileUsed = (connect: RedisFactory): WhileUsed<Redis> =>
  new WhileUsed(
    () => controlConnection(connect),
    (redis) => redis.disconnect(),
  );

/** So long one write of deliveries may take. */
export const INLET_COMMAND_MS = 2_500;

/** Redis has not answered in this time, and may yet do what it was sent. */
export const hasTimedOut = ({ cause }: StreamError): boolean =>
  cause instanceof Error && cause.message === 'Command timed out';

/**
 * For writes that may be repeated because the log knows them again. Comes back by itself; what was under way when it
 * was lost fails, and whoever sent it decides.
 */
export function inletConnection(connect: RedisFactory): Redis {
  const redis = connect({
    ...SHARED,
    lazyConnect: false,
    retryStrategy: (times) => Math.min(25 * 2 ** times, 500),
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    commandTimeout: INLET_COMMAND_MS,
    socketTimeout: 5_000,
  });
  redis.on('error', () => undefined);
  return redis;
}

/** For one tail: waits in XREAD BLOCK, so its commands may take long. */
export function tailConnection(connect: RedisFactory): Redis {
  const redis = connect({ ...SHARED, retryStrategy: () => null, maxRetriesPerRequest: 0, commandTimeout: 10_000 });
  redis.on('error', () => undefined);
  return redis;
}

const MEMORY = 'Redis has reached maxmemory and takes no more events';

/** Any failure of Redis, as a stream knows it. Redis's own words name commands and settings, never a value. */
export function logUnavailable(error: unknown): StreamError {
  if (error instanceof StreamError) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (text.startsWith('OOM '))
    return new StreamError('log_unavailable', MEMORY, {
      hint: 'Raise maxmemory, or lower retention.max_entries of the pipeline.',
      cause: error,
    });
  if (/^(NOAUTH|WRONGPASS|NOPERM)/.test(text))
    return new StreamError('log_unavailable', 'Redis refuses the user or password of its URL', {
      hint: 'Correct REDIS_URL, or the ACL of its user.',
      cause: error,
    });
  const code = /^[A-Z]{4,16}(?= )/.exec(text)?.[0];
  return new StreamError(
    'log_unavailable',
    code ? `Redis refuses to write: ${code}` : `Redis can't be reached: ${text.slice(0, 120)}`,
    { cause: error },
  );
}
