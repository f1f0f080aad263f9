import type { ChangeEvent } from '@planasonix/core';
import type { OutRecord, PartitionRecords, TopicFacts } from '@planasonix/kafka';
import { keyOf, type CloudEventEncoder } from './cloud-event.js';
import { partitionOf } from './murmur2.js';
import { topicOf } from './topic-name.js';

interface Batch {
  readonly partition: string;
  readonly events: readonly ChangeEvent[];
}

interface Target {
  readonly topic: string;
  readonly partition: number;
  readonly records: OutRecord[];
}

/** Which events go into which partition of which topic, in what form. */
export class Placement {
  /** Topics by subject. */
  readonly #topics = new Map<string, TopicFacts>();

  constructor(
    private readonly streamId: string,
    private readonly template: string,
    private readonly encoder: CloudEventEncoder,
    private readonly topic: (name: string) => Promise<TopicFacts>,
  ) {}

  /** Each partition's records in the order of the events. */
  async of(batches: readonly Batch[]): Promise<readonly PartitionRecords[]> {
    const targets = new Map<string, Target>();
    for (const { partition: from, events } of batches)
      for (const event of events) {
        const { topic, partitions } = this.#topics.get(event.subject) ?? (await this.#find(event.subject));
        const key = keyOf(event);
        // Without a key it is the order of the table, or of the partition that it came from, that is kept.
        const partition = partitionOf(key ?? Buffer.from(`${from} ${event.subject}`), partitions);
        const name = `${topic}/${partition}`;
        let target = targets.get(name);
        if (!target) targets.set(name, (target = { topic, partition, records: [] }));
        target.records.push(...this.encoder.records(event, key));
      }
    return [...targets.values()];
  }

  async #find(subject: string): Promise<TopicFacts> {
    const facts = await this.topic(topicOf(this.template, { stream: this.streamId, subject }));
    this.#topics.set(subject, facts);
    return facts;
  }
}
