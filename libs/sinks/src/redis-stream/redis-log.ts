import {
  findingOf,
  StreamError,
  type Check,
  type Clock,
  type EventLog,
  type Inlet,
  type LogEntry,
  type LogTotals,
  type PipelineOutput,
  type Positions,
  type Seat,
  type Sink,
} from '@planasonix/core';
import type { Redis } from 'ioredis';
import type { WhileUsed } from '../while-used.js';
import { TRANSACTION_FROM } from './appends.js';
import { controlWhileUsed, logUnavailable, tailConnection, type RedisFactory } from './connection.js';
import { durabilityChecks, readDurability, settleDelayMs } from './durability.js';
import { checkedCursor, toEntry, type RawEntry } from './entries.js';
import { answersOf, reportKeys } from './inlet-reports.js';
import { borrowedKey, eventsKey, logKey } from './keys.js';
import { RedisInlet } from './redis-inlet.js';
import { RedisSink, type Retention } from './redis-sink.js';
import { EXPIRE, FENCE, PLACE, TAKE_BACK } from './scripts.js';

export type RedisOutput = Extract<PipelineOutput, { type: 'redis_stream' }>;

const DEFAULT_RETENTION: Retention = { maxEntries: 1_000_000, onFull: 'block' };

/** XREAD BLOCK comes back this often, in ms, to see whether anybody still listens. */
const TAIL_BLOCK_MS = 2_000;

/** The Redis log of one pipeline: one Redis stream per stream, beside it a hash with what the writer must know. */
export class RedisLog implements EventLog {
  readonly #retention: Retention;
  readonly #control: WhileUsed<Redis>;

  constructor(
    output: RedisOutput,
    private readonly connect: RedisFactory,
    private readonly clock: Clock,
    private readonly transactionFrom = TRANSACTION_FROM,
  ) {
    this.#control = controlWhileUsed(connect);
    const { retention } = output;
    this.#retention = retention ? { maxEntries: retention.max_entries, onFull: retention.on_full } : DEFAULT_RETENTION;
  }

  sink(streamId: string, epoch: number, seat: Seat | null = null): Sink {
    return new RedisSink(streamId, epoch, this.#retention, this.connect, this.clock, seat, this.transactionFrom);
  }

  inlet(): Inlet {
    return new RedisInlet(this.#retention, this.connect, this.clock);
  }

  answers(streamId: string): Promise<readonly string[]> {
    return this.#run((redis) => answersOf(redis, streamId));
  }

  async fence(streamId: string, epoch: number): Promise<void> {
    await this.#durably((redis) => redis.eval(FENCE, 1, logKey(streamId), epoch));
  }

  async place(streamId: string, epoch: number, positions: Positions): Promise<void> {
    const fields = [...positions].flatMap(([partition, position]) => [`pos:${partition}`, position]);
    const placed = await this.#durably((redis) => redis.eval(PLACE, 1, logKey(streamId), epoch, ...fields));
    if (placed !== 1) throw new StreamError('fenced', 'The log has a newer owner of this stream'); // Invariant 3
  }

  async read(
    streamId: string,
    { limit, after }: { readonly limit: number; readonly after?: string | null },
  ): Promise<readonly LogEntry[]> {
    const key = eventsKey(streamId);
    const from = after ? `(${checkedCursor(after)}` : null;
    const found = await this.#run((redis) =>
      from ? redis.xrange(key, from, '+', 'COUNT', limit) : redis.xrevrange(key, '+', '-', 'COUNT', limit),
    );
    const entries = (found as RawEntry[]).map(toEntry);
    return from ? entries : entries.reverse();
  }

  async *tail(
    streamId: string,
    after: string | null,
    signal: AbortSignal,
    placed?: () => void,
  ): AsyncIterable<LogEntry> {
    const key = eventsKey(streamId);
    let last: string = after === null ? '' : checkedCursor(after);
    const redis = tailConnection(this.connect);
    const stop = () => redis.disconnect();
    signal.addEventListener('abort', stop, { once: true });
    try {
      if (signal.aborted) return;
      await redis.connect();
      // Not `$`: between two reads of `$` entries would be missed.
      if (last === '') last = (await redis.xrevrange(key, '+', '-', 'COUNT', 1))[0]?.[0] ?? '0-0';
      placed?.();
      while (!signal.aborted) {
        const answer: [string, RawEntry[]][] | null = await redis.xread(
          'COUNT',
          200,
          'BLOCK',
          TAIL_BLOCK_MS,
          'STREAMS',
          key,
          last,
        );
        for (const raw of answer?.[0]?.[1] ?? []) {
          if (signal.aborted) return;
          last = raw[0];
          yield toEntry(raw);
        }
      }
    } catch (error) {
      if (!signal.aborted) throw logUnavailable(error);
    } finally {
      signal.removeEventListener('abort', stop);
      redis.disconnect();
    }
  }

  depth(streamId: string): Promise<number> {
    return this.#run((redis) => redis.xlen(eventsKey(streamId)));
  }

  async totals(streamId: string): Promise<LogTotals> {
    const [events, bytes] = await this.#run((redis) => redis.hmget(logKey(streamId), 'events', 'bytes'));
    return { events: Number(events ?? 0), bytes: Number(bytes ?? 0) };
  }

  async expire(streamId: string, seconds: number, epoch: number): Promise<void> {
    const after = Math.max(0, Math.ceil(seconds));
    await this.#run(async (redis) => {
      const keys = [eventsKey(streamId), logKey(streamId)];
      await redis.eval(TAKE_BACK, 3, ...keys, borrowedKey(streamId));
      await redis.eval(EXPIRE, 2, ...keys, after, epoch);
      await redis.unlink(...reportKeys(streamId));
    });
  }

  async check(): Promise<readonly Check[]> {
    try {
      return durabilityChecks(await this.#run(readDurability));
    } catch (error) {
      return [findingOf(logUnavailable(error))];
    }
  }

  close(): Promise<void> {
    this.#control.end();
    return Promise.resolve();
  }

  /** A fence or a place that a crash forgets is none. */
  async #durably(write: (redis: Redis) => Promise<unknown>): Promise<unknown> {
    const { answer, delay } = await this.#run(async (redis) => ({
      answer: await write(redis),
      delay: settleDelayMs(await readDurability(redis)),
    }));
    if (delay > 0) await this.clock.sleep(delay);
    return answer;
  }

  async #run<T>(use: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      return await this.#control.use(use);
    } catch (error) {
      throw logUnavailable(error);
    }
  }
}
