import { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Caller } from '../contract/scopes.js';
import { Coalescer } from './coalescer.js';
import type { LimitHeaders } from './pass.js';

/** A workspace has ten times what a key has. */
const WORKSPACE_FACTOR = 10;
const WINDOW_S = 60;
/** A Redis that is away must not make every request wait: it is left alone for this long. */
const REST_MS = 1000;
/** Longer than a slow fsync of the log on the same Redis. */
const COMMAND_MS = 1500;
/** A connection on which nothing comes back is made anew: the network may have swallowed it. */
const SILENCE_MS = 5000;
const MOST_REMEMBERED = 10_000;

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
  private readonly key: Counter;
  private readonly workspace: Counter;
  private readonly address: Counter;
  private restUntil = 0;

  constructor(
    redisUrl: string,
    private readonly perMinute: number,
    /** Goes on whatever is done to the clock of the machine, ms. */
    private readonly monotonic: () => number = () => performance.now(),
  ) {
    this.redis = new Redis(redisUrl, {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: COMMAND_MS,
      socketTimeout: SILENCE_MS,
      connectTimeout: 1500,
      enableAutoPipelining: true,
      retryStrategy: (times) => Math.min(50 * 2 ** times, 1000),
    });
    // The command that meets a failure rejects; this only keeps it from ending the process.
    this.redis.on('error', () => undefined);
    const counter = (kind: string, points: number) => new Counter(this.redis, kind, points, monotonic);
    this.key = counter('key', perMinute);
    this.workspace = counter('workspace', perMinute * WORKSPACE_FACTOR);
    this.address = counter('address', perMinute);
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
  private async consume(asked: readonly (readonly [Counter, string])[]): Promise<Verdict> {
    // A key over its limit does not use up what its workspace has.
    for (const [counter, subject] of asked) {
      const refused = counter.known(subject);
      if (refused !== null) return this.verdict([refused]);
    }
    if (this.monotonic() < this.restUntil) return this.open();
    try {
      return this.verdict(await Promise.all(asked.map(([counter, subject]) => counter.count(subject))));
    } catch {
      if (this.redis.status !== 'ready') this.restUntil = this.monotonic() + REST_MS;
      return this.open();
    }
  }

  /** What is told is the limit that refuses the longest, else the one with the least left. */
  private verdict(counted: readonly Counted[]): Verdict {
    const refused = counted.filter((one) => !one.within).sort((a, b) => b.ms - a.ms)[0];
    const told = refused ?? [...counted].sort((a, b) => a.left - b.left)[0]!;
    return {
      headers: this.headers(told.limit, told.left, told.ms),
      retryAfter: refused === undefined ? null : Math.max(1, Math.ceil(refused.ms / 1000)),
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
      'x-ratelimit-reset': String(Math.ceil((Date.now() + ms) / 1000)),
    };
  }
}

interface Counted {
  readonly limit: number;
  readonly within: boolean;
  readonly left: number;
  readonly ms: number;
}

/** Counts what one kind of subject has used. Requests that come together are counted together, each exactly. */
class Counter {
  private readonly shares: Coalescer<RateLimiterRes>;
  /** Subjects over their limit, with the end of their window: no question to Redis until then. */
  private readonly over = new Map<string, number>();

  constructor(
    redis: Redis,
    kind: string,
    private readonly points: number,
    private readonly monotonic: () => number,
  ) {
    const limiter = new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: `plnx:limit:${kind}`,
      points,
      duration: WINDOW_S,
      rejectIfRedisNotReady: true,
    });
    this.shares = new Coalescer((subject, count) =>
      limiter.consume(subject, count).catch((refused: unknown) => {
        if (refused instanceof RateLimiterRes) return refused;
        throw refused;
      }),
    );
  }

  /** Refused without asking, or `null`. */
  known(subject: string): Counted | null {
    const until = this.over.get(subject);
    if (until === undefined) return null;
    const ms = until - this.monotonic();
    if (ms > 0) return { limit: this.points, within: false, left: 0, ms };
    this.over.delete(subject);
    return null;
  }

  /** @throws Error when Redis gives no answer. */
  async count(subject: string): Promise<Counted> {
    const { answer, place, count } = await this.shares.ask(subject);
    const used = answer.consumedPoints - count + place;
    const ms = Math.max(0, answer.msBeforeNext);
    const within = used <= this.points;
    if (!within) this.remember(subject, ms);
    return { limit: this.points, within, left: Math.max(0, this.points - used), ms };
  }

  private remember(subject: string, ms: number): void {
    if (this.over.size >= MOST_REMEMBERED) this.over.clear();
    this.over.set(subject, this.monotonic() + ms);
  }
}
