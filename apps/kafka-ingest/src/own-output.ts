import { StreamError, type LogTopics } from '@planasonix/core';
import type { KafkaConfig } from './config.js';

/** Topics that the stream itself writes to: what it read there would come back with each commit. */
export class OwnOutput {
  /** Where records of the topics go that the config names. */
  readonly #named: ReadonlySet<string>;

  /** @param log `null`: its events go elsewhere */
  constructor(
    private readonly config: KafkaConfig,
    private readonly log: LogTopics | null,
  ) {
    this.#named = new Set(log === null ? [] : config.topics.map((topic) => log.of(topic)));
  }

  /**
   * Whether a topic of the stream's is to be passed over. Who gives a pattern means all others; who names a topic means it.
   * @throws StreamError `config_invalid` where it was named, or would be its own copy
   */
  has(topic: string): boolean {
    const { config, log } = this;
    if (log === null) return false;
    const isCopy = log.only === null && log.of(topic) === topic;
    const isWritten = this.#named.has(topic) || (config.pattern !== null && log.may(topic));
    if (isCopy || (isWritten && config.topics.includes(topic)))
      throw new StreamError(
        'config_invalid',
        `The stream writes to the topic ${topic}, which it is to read: it would read what it writes, for ever.`,
        {
          hint: `Leave ${topic} out of topics and topic_pattern, or let the pipeline write to topics of other names or to another cluster.`,
        },
      );
    return isWritten;
  }
}
