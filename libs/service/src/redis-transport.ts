import {
  ClientProxyFactory,
  ServerRedis,
  Transport,
  type ClientProxy,
  type MicroserviceOptions,
  type RedisOptions,
} from '@nestjs/microservices';
import type { Log } from '@planasonix/core';
import type { Redis } from 'ioredis';
import { LossyEmitter, type Emitter } from './lossy-emitter.js';

type TransportOptions = NonNullable<RedisOptions['options']>;

/** A Redis URL as the options that Nest's transport takes. */
export function redisOptions(url: string): TransportOptions {
  const { hostname, port, username, password, pathname, protocol } = new URL(url);
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || 6379),
    // A connection that was given up keeps a process waiting no longer than this.
    disconnectTimeout: 200,
    ...(username ? { username: decodeURIComponent(username) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
    ...(pathname.length > 1 ? { db: Number(pathname.slice(1)) } : {}),
    ...(protocol === 'rediss:' ? { tls: {} } : {}),
  };
}

const RETRY_MS = 500;
/** A subscriber only listens, and would never hear that its connection has died: it is asked this often. */
const ASK_MS = 5_000;
const ANSWER_MS = 5_000;

/**
 * Nest's Redis transport, patient: its own fails the boot when Redis is down at that moment, and waits for Redis at
 * shutdown. This one subscribes whenever Redis comes, again each time it comes back or the network has swallowed the
 * connection, and closes at once.
 */
class PatientServerRedis extends ServerRedis {
  private asking: NodeJS.Timeout | null = null;

  override start(callback?: () => void): void {
    for (const client of this.clients()) void client.connect().catch(() => undefined);
    this.bindEvents(this.subClient, this.pubClient);
    this.asking = setInterval(() => this.clients().forEach(ask), ASK_MS).unref();
    callback?.();
  }

  override close(): Promise<void> {
    this.isManuallyClosed = true;
    if (this.asking) clearInterval(this.asking);
    for (const client of this.clients()) client.disconnect();
    return Promise.resolve();
  }

  private clients(): Redis[] {
    return ([this.subClient, this.pubClient] as (Redis | undefined)[]).filter((client) => client !== undefined);
  }
}

/** One that does not answer in time is connected anew, subscriptions with it. */
function ask(client: Redis): void {
  if (client.status !== 'ready') return;
  const late = setTimeout(() => client.disconnect(true), ANSWER_MS).unref();
  client.ping().then(
    () => clearTimeout(late),
    () => clearTimeout(late),
  );
}

export const redisMicroservice = (url: string): MicroserviceOptions => ({
  strategy: new PatientServerRedis({
    ...redisOptions(url),
    // For ever: subscriptions wait in the client until Redis is there.
    maxRetriesPerRequest: null,
    retryAttempts: Number.MAX_SAFE_INTEGER,
    retryDelay: RETRY_MS,
  }),
});

const SEND_MS = 1000;

export const redisEmitter = (url: string, log: Log): Emitter =>
  new LossyEmitter(
    {
      sendMs: SEND_MS,
      create: () =>
        ClientProxyFactory.create({
          transport: Transport.REDIS,
          options: {
            ...redisOptions(url),
            maxRetriesPerRequest: 1,
            enableOfflineQueue: false,
            connectTimeout: SEND_MS,
          },
        }),
      drop,
    },
    log,
  );

function drop(client: ClientProxy): void {
  let connections: readonly Redis[] = [];
  try {
    connections = client.unwrap();
  } catch {
    // It never got as far as having any.
  }
  for (const connection of connections) connection.disconnect();
}
