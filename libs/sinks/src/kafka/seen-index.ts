import { StreamError, type Clock, type LogTotals } from '@planasonix/core';
import type { Redis, Result } from 'ioredis';
import { BEGIN_INDEX, GROW_INDEX, LOOK_INDEX, PUBLISH_TOTALS } from '../redis-stream/index-scripts.js';
import { indexKey, knownKey } from '../redis-stream/keys.js';
import type { Known, SeenTopic } from './seen-topic.js';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    plnxLookIndex(keys: number, ...args: string[]): Result<(string | null)[], Context>;
    plnxGrowIndex(keys: number, ...args: (string | number)[]): Result<number, Context>;
    plnxBeginIndex(...args: (string | number)[]): Result<number, Context>;
    plnxPublishTotals(...args: (string | number)[]): Result<null, Context>;
  }
}

/** How far an index is, and what it knows under the names that were asked for. */
export interface Looked {
  /** Id of the topic that it was made from. */
  readonly topicId: string | null;
  readonly next: number;
  /** Session of who entered last, as far as the index is. */
  readonly entrant: string | null;
  readonly known: ReadonlyMap<string, Known['as']>;
}

const KEPT_S = 90 * 86_400;
const SETTLES_MS = 2_000;
const AGAIN_MS = 10;

export function defineIndexCommands(redis: Redis): void {
  redis.defineCommand('plnxLookIndex', { lua: LOOK_INDEX });
  redis.defineCommand('plnxGrowIndex', { lua: GROW_INDEX });
  redis.defineCommand('plnxBeginIndex', { lua: BEGIN_INDEX, numberOfKeys: 1 });
  redis.defineCommand('plnxPublishTotals', { lua: PUBLISH_TOTALS, numberOfKeys: 1 });
}

/**
 * What a stream has taken in, in Redis, where it can be looked up; the truth is the topic that it is made from. It says
 * how far it is, so nobody has to believe it beyond that.
 */
export class SeenIndex {
  /** @param run a use of Redis, its failures as those of the log */
  constructor(
    private readonly streamId: string,
    private readonly run: <T>(use: (redis: Redis) => Promise<T>) => Promise<T>,
    private readonly clock: Clock,
  ) {}

  async look(topicId: string, names: readonly string[]): Promise<Looked> {
    const keys = [indexKey(this.streamId), ...names.map((name) => knownKey(this.streamId, topicId, name))];
    const [topic, next, entrant, ...values] = await this.run((redis) => redis.plnxLookIndex(keys.length, ...keys));
    const known = new Map<string, Known['as']>();
    names.forEach((name, i) => {
      const as = values[i];
      if (as === 'first' || as === 'other' || as === 'id') known.set(name, as);
    });
    return { topicId: topic ?? null, next: Number(next ?? 0), entrant: entrant || null, known };
  }

  /** Brings it on until it has the entrance of this session; everything that was committed before is in it then. */
  async bringTo(session: string, topic: SeenTopic, topicId: string, signal: AbortSignal): Promise<void> {
    const until = this.clock.monotonic() + SETTLES_MS;
    do {
      // Before the ends of the topic: others bring it on meanwhile, and what it has beyond them was cut back then.
      const at = await this.look(topicId, []);
      const ends = await topic.look(signal);
      if (ends?.id !== topicId)
        throw new StreamError('offset_gap', `The topic ${topic.topic} was deleted or made anew.`);
      let from = at.next;
      // Made from another one, cut back, or older than what the topic still holds.
      if (at.topicId !== topicId || at.next < ends.start || at.next > ends.written) {
        if (!(await this.#begin(at, topicId, ends.start))) continue;
        from = ends.start;
      }
      for await (const { known, entrant, next } of topic.read(ends, from)) {
        if (!(await this.#grow(topicId, { from, next, entrant, known }))) break;
        from = next;
      }
      if ((await this.look(topicId, [])).entrant === session) return;
    } while (this.clock.monotonic() < until && (await this.clock.sleep(AGAIN_MS, signal)));
    throw new StreamError('log_unavailable', 'Another instance has begun to write to the log of the stream.');
  }

  /** For those who report. Later ones win, whoever is late. */
  async publish(epoch: number, { events, bytes }: LogTotals, lastMs: number): Promise<void> {
    await this.run((redis) => redis.plnxPublishTotals(indexKey(this.streamId), epoch, events, bytes, lastMs, KEPT_S));
  }

  /** `false`: it is not as it was seen any more. */
  async #begin(seen: Looked, topicId: string, next: number): Promise<boolean> {
    const args = [seen.topicId ?? '', seen.next, topicId, next, KEPT_S];
    return (await this.run((redis) => redis.plnxBeginIndex(indexKey(this.streamId), ...args))) === 1;
  }

  /** `false`: it is at another place by now. */
  async #grow(
    topicId: string,
    of: {
      readonly from: number;
      readonly next: number;
      readonly entrant: string | null;
      readonly known: readonly Known[];
    },
  ): Promise<boolean> {
    const now = this.clock.now();
    const alive = of.known.filter(({ untilMs }) => untilMs > now);
    const keys = [indexKey(this.streamId), ...alive.map(({ name }) => knownKey(this.streamId, topicId, name))];
    const args = [topicId, of.from, of.next, of.entrant ?? '', KEPT_S];
    const values = alive.flatMap(({ as, untilMs }) => [as, Math.ceil(untilMs - now)]);
    return (await this.run((redis) => redis.plnxGrowIndex(keys.length, ...keys, ...args, ...values))) === 1;
  }
}
