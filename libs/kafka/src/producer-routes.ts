import { StreamError, type Clock } from '@planasonix/core';
import type { KafkaCluster } from './client-cluster.js';
import { KafkaError, MOVED, toStreamError } from './connection-error.js';

/** What a producer must know of a topic. */
export interface TopicFacts {
  readonly topic: string;
  readonly partitions: number;
  /** The largest batch that it takes, bytes; less where it has refused one. */
  readonly maxBytes: number;
}

/** Kafka's own default, with some room for what differs between versions. */
export const DEFAULT_MAX_BYTES = 1_000_000;

const NO_SUCH_TOPIC = 3;
/** A topic that was made just now is known to every broker after some ms. */
const APPEARS_MS = 10_000;
const ASK_AGAIN_MS = 50;

export interface RouteOptions {
  readonly cluster: KafkaCluster;
  readonly clock: Clock;
  /** Makes a topic that is not there. `false`: it may not be made. */
  readonly create: (topic: string) => Promise<boolean>;
  /** `null` where we may not ask. */
  readonly maxBytes: (topic: string) => Promise<number | null>;
}

/** Topics, how many partitions they have, and who leads these. */
export class ProducerRoutes {
  readonly #facts = new Map<string, Promise<TopicFacts>>();
  readonly #leaders = new Map<string, number>();

  constructor(private readonly options: RouteOptions) {}

  /** @throws StreamError `topic_missing`, `permission_denied`, `source_unreachable` */
  topic(name: string): Promise<TopicFacts> {
    let facts = this.#facts.get(name);
    if (!facts) {
      facts = this.#find(name);
      this.#facts.set(name, facts);
      facts.catch(() => this.#facts.delete(name));
    }
    return facts;
  }

  /** The topic does not take a batch of so many bytes: the next ones are smaller. */
  refused(name: string, bytes: number): void {
    const known = this.#facts.get(name);
    if (known)
      this.#facts.set(
        name,
        known.then((facts) => ({ ...facts, maxBytes: Math.min(facts.maxBytes, Math.floor(bytes / 2)) })),
      );
  }

  /** Node id; -1: nobody that is known. */
  leader(topic: string, partition: number): number {
    return this.#leaders.get(`${topic}/${partition}`) ?? -1;
  }

  /** Asks again who leads; what can't be asked now stays unknown. */
  async refresh(topics: readonly string[]): Promise<void> {
    const view = await this.options.cluster.view(topics);
    for (const { topic, partitions } of view.topics)
      for (const { partition, leader } of partitions) this.#leaders.set(`${topic}/${partition}`, leader);
  }

  async #find(name: string): Promise<TopicFacts> {
    const { cluster, clock, create } = this.options;
    const until = clock.monotonic() + APPEARS_MS;
    for (let made = false; ;) {
      const [found] = (await cluster.view([name])).topics;
      if (found?.error === 0 && found.partitions.length > 0) {
        for (const { partition, leader } of found.partitions) this.#leaders.set(`${name}/${partition}`, leader);
        const maxBytes = (await this.options.maxBytes(name)) ?? DEFAULT_MAX_BYTES;
        return { topic: name, partitions: found.partitions.length, maxBytes };
      }
      const error = found?.error ?? NO_SUCH_TOPIC;
      if (error === NO_SUCH_TOPIC && !made) {
        made = await create(name);
        if (!made)
          throw new StreamError('topic_missing', `There is no topic ${name}.`, {
            hint: `kafka-topics.sh --create --topic ${name}; or set createTopics in the output of the pipeline.`,
          });
        continue;
      }
      const appears = error === 0 || error === NO_SUCH_TOPIC || MOVED.has(error);
      if (!appears) throw toStreamError(new KafkaError(error, `topic ${name}`), 'looking for the topic');
      if (clock.monotonic() > until) throw new StreamError('source_unreachable', `Nobody leads the topic ${name}.`);
      await clock.sleep(ASK_AGAIN_MS);
    }
  }
}
