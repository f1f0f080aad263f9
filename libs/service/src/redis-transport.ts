import { ClientProxyFactory, Transport, type ClientProxy, type MicroserviceOptions } from '@nestjs/microservices';
import type { Log } from '@planasonix/core';
import { lastValueFrom, timeout } from 'rxjs';

/** A Redis URL as the options that Nest's transport takes. */
function redisOptions(url: string): {
  host: string;
  port: number;
  username?: string;
  password?: string;
  db?: number;
  tls?: object;
} {
  const { hostname, port, username, password, pathname, protocol } = new URL(url);
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || 6379),
    ...(username ? { username: decodeURIComponent(username) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
    ...(pathname.length > 1 ? { db: Number(pathname.slice(1)) } : {}),
    ...(protocol === 'rediss:' ? { tls: {} } : {}),
  };
}

/** Nest's transport gives up reconnecting unless it is told not to. */
export const redisMicroservice = (url: string): MicroserviceOptions => ({
  transport: Transport.REDIS,
  options: { ...redisOptions(url), retryAttempts: Number.MAX_SAFE_INTEGER, retryDelay: 500 },
});

const SEND_MS = 1000;

/**
 * Sends events over Nest's Redis transport. Lossy: an event that can't be sent within a second is dropped, and the
 * client is made anew, for Nest's own never recovers from a first connection that failed.
 */
export class RedisEmitter {
  private client: ClientProxy | null = null;

  constructor(
    private readonly url: string,
    private readonly log: Log,
  ) {}

  /** `false`: it was not sent. */
  async emit(pattern: string, payload: unknown): Promise<boolean> {
    this.client ??= ClientProxyFactory.create({
      transport: Transport.REDIS,
      options: {
        ...redisOptions(this.url),
        maxRetriesPerRequest: 1,
        enableOfflineQueue: false,
        connectTimeout: SEND_MS,
      },
    });
    try {
      await this.client.connect();
      await lastValueFrom(this.client.emit(pattern, payload).pipe(timeout(SEND_MS)), { defaultValue: undefined });
      return true;
    } catch {
      this.log.debug({ pattern }, 'an event could not be sent');
      await this.close();
      return false;
    }
  }

  async close(): Promise<void> {
    const client = this.client;
    this.client = null;
    await Promise.resolve(client?.close()).catch(() => undefined);
  }
}
