import { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Caller } from '../contract/scopes.js';
import type { LimitHeaders } from './pass.js';

/** A workspace has ten times what a key has. */
const WORKSPACE_FACTOR = 10;
const WINDOW_S = 60;
/** A Redis that is away must not make every request wait: it is left alone for this long. */
const REST_MS = 1000;
/** Longer than a slow fsync of the log on the same Redis. */
const COMMAND_MS = 1500;

export interface Verdict {
  readonly headers: LimitHeaders;
  /** Seconds to wait, or `null` when within the limits. */
  readonly retryAfter: number | null;
  /** Redis could not be asked: open for reads, closed for creates (trap 36). */
  readonly unknown: boolean;
}

/** Requests per minute of a key, its workspace, or an address without a key; counted in Redis for all gateways. */
export class RateLimits {
  private readonly redis: Redis;
  private readonly key: RateLimiterRedis;
  private readonly workspace: RateLimiterRedis;
  private readonly address: RateLimiterRedis;
  private restUntil = 0;

  constructor(
    redisUrl: string,
    private readonly perMinute: number,
    private readonly now: () => number = Date.now,
  ) {
    this.redis = new Redis(redisUrl, {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: COMMAND_MS,
      connectTimeout: 1500,
      enableAutoPipelining: true,
      retryStrategy: (times) => Math.min(50 * 2 ** times, 1000),
    });
    // The command that meets a failure rejects; this only keeps it from ending the process.
    this.redis.on('error', () => undefined);
    const limiter = (kind: string, points: number) =>
      new RateLimiterRedis({
        storeClient: this.redis,
        keyPrefix: `plnx:limit:${kind}`,
        points,
        duration: WINDOW_S,
        rejectIfRedisNotReady: true,
        // Over the limit: no question to Redis until the window ends.
        inMemoryBlockOnConsumed: points + 1,
      });
    this.key = limiter('key', perMinute);
    this.workspace = limiter('workspace', perMinute * WORKSPACE_FACTOR);
    this.address = limiter('address', perMinute);
  }

  /** Resolves also when Redis is not there: it is connected to in the background. */
  async connect(): Promise<void> {
    await this.redis.connect().catch(() => undefined);
  }

  close(): void {
    this.redis.disconnect();
  }

  ofCaller(caller: Caller): Promise<Verdict> {
    return this.consume([
      [this.key, caller.keyId],
      [this.workspace, caller.workspaceId],
    ]);
  }

  ofAddress(address: string): Promise<Verdict> {
    return this.consume([[this.address, address]]);
  }

  /** Both questions travel together: one round trip. */
  private async consume(asked: readonly (readonly [RateLimiterRedis, string])[]): Promise<Verdict> {
    if (this.now() < this.restUntil) return this.open();
    const answers = await Promise.all(asked.map(([limiter, subject]) => ask(limiter, subject)));
    let tightest: { limit: number; left: number; ms: number } | null = null;
    let waitMs: number | null = null;
    for (const [i, answer] of answers.entries()) {
      if (answer === null) {
        if (this.redis.status !== 'ready') this.restUntil = this.now() + REST_MS;
        return this.open();
      }
      const limit = asked[i]![0].points;
      const seen = {
        limit,
        left: Math.max(0, answer.result.remainingPoints),
        ms: Math.max(0, answer.result.msBeforeNext),
      };
      if (!answer.within) waitMs = Math.max(waitMs ?? 0, seen.ms);
      if (tightest === null || (answer.within ? seen.left < tightest.left : seen.ms >= (waitMs ?? 0))) tightest = seen;
    }
    return {
      headers: this.headers(tightest!.limit, tightest!.left, tightest!.ms),
      retryAfter: waitMs === null ? null : Math.max(1, Math.ceil(waitMs / 1000)),
      unknown: false,
    };
  }

  private open(): Verdict {
    return { headers: this.headers(this.perMinute, this.perMinute, WINDOW_S * 1000), retryAfter: null, unknown: true };
  }

  private headers(limit: number, left: number, ms: number): LimitHeaders {
    return {
      'x-ratelimit-limit': String(limit),
      'x-ratelimit-remaining': String(left),
      'x-ratelimit-reset': String(Math.ceil((this.now() + ms) / 1000)),
    };
  }
}

/** `null`: Redis gave no answer. */
async function ask(
  limiter: RateLimiterRedis,
  subject: string,
): Promise<{ within: boolean; result: RateLimiterRes } | null> {
  try {
    return { within: true, result: await limiter.consume(subject) };
  } catch (refused) {
    return refused instanceof RateLimiterRes ? { within: false, result: refused } : null;
  }
}
