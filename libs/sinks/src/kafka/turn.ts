import { randomBytes } from 'node:crypto';
import type { Clock } from '@planasonix/core';
import type { Redis, Result } from 'ioredis';
import { PASS_TURN, TAKE_TURN } from '../redis-stream/index-scripts.js';
import { askedKey, queueKey, turnKey } from '../redis-stream/keys.js';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    plnxTakeTurn(...args: (string | number)[]): Result<[number, number], Context>;
    plnxPassTurn(...args: string[]): Result<null, Context>;
  }
}

/** Whoever has it and says nothing for so long has it no more. */
const LEASE_MS = 1_000;
const RENEW_MS = 300;
/** Whoever needs longer for one write lets others try, while senders still wait: they may have a better way to the cluster. */
const KEPT_MS = 1_000;
/** Whoever waits and does not ask for so long is gone. */
const GONE_MS = 300;
/** Others are let write after this; entering costs some ms each time. */
const HOLD_MS = 50;

export function defineTurnCommands(redis: Redis): void {
  redis.defineCommand('plnxTakeTurn', { lua: TAKE_TURN, numberOfKeys: 3 });
  redis.defineCommand('plnxPassTurn', { lua: PASS_TURN, numberOfKeys: 3 });
}

/**
 * Whose turn it is to write to the log of a stream. A courtesy among its instances, so that they do not bar each other
 * all the time; who may write is decided by Kafka.
 */
export class Turn {
  readonly #me = randomBytes(9).toString('base64url');
  #since: number | null = null;

  constructor(
    private readonly streamId: string,
    private readonly run: <T>(use: (redis: Redis) => Promise<T>) => Promise<T>,
    private readonly clock: Clock,
  ) {}

  /** `false`: somebody else has it, or came before; it has to be asked again soon. */
  async take(): Promise<boolean> {
    const { mine, waiting } = await this.#ask();
    const now = this.clock.monotonic();
    if (!mine) {
      this.#since = null;
      return false;
    }
    this.#since ??= now;
    if (waiting === 0 || now - this.#since < HOLD_MS) return true;
    await this.pass();
    return false;
  }

  /** Keeps it while something is being written. Never rejects. */
  async keep(signal: AbortSignal): Promise<void> {
    const until = this.clock.monotonic() + KEPT_MS;
    while ((await this.clock.sleep(RENEW_MS, signal)) && this.clock.monotonic() < until)
      await this.#ask().catch(() => undefined);
  }

  /** Neither has it any more nor waits for it. */
  async pass(): Promise<void> {
    this.#since = null;
    await this.run((redis) => redis.plnxPassTurn(...this.#keys(), this.#me));
  }

  async #ask(): Promise<{ readonly mine: boolean; readonly waiting: number }> {
    const [mine, waiting] = await this.run((redis) => redis.plnxTakeTurn(...this.#keys(), this.#me, LEASE_MS, GONE_MS));
    return { mine: mine === 1, waiting };
  }

  #keys(): string[] {
    return [turnKey(this.streamId), queueKey(this.streamId), askedKey(this.streamId)];
  }
}
