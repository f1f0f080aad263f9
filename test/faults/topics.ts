/** The topics of a scene: what there is to be written to, what another client finds in them, and what becomes of them. */
import { createTopics, eventually, kcat } from '@planasonix/testing';
import type { KafkaScene } from './kafka-scene.js';
import type { Found, TopicLedger } from './topic-ledger.js';
import type { TopicPlace } from './topic-records.js';

export class Topics {
  /** Partition → how far it has been read here. */
  readonly #compared = new Map<string, number>();
  #places: readonly TopicPlace[];

  constructor(
    private readonly kafka: KafkaScene,
    private readonly ledger: TopicLedger,
    topics: readonly (readonly [topic: string, partitions: number])[],
  ) {
    this.#places = topics.flatMap(([topic, count]) =>
      Array.from({ length: count }, (_, partition) => ({ topic, making: 1, partition })),
    );
  }

  /** What is written to now. */
  get places(): readonly TopicPlace[] {
    return this.#places;
  }

  /** Committed records that librdkafka finds since the last call; while the load rests. */
  async held(): Promise<readonly Found[]> {
    const brokers = this.kafka.server.directBrokers.join(',');
    const each = this.#places.map(async ({ topic, partition }) => {
      const name = `${topic}/${partition}`;
      const from = this.#compared.get(name) ?? 0;
      const args = ['-b', brokers, '-C', '-t', topic, '-p', String(partition), '-o', String(from), '-e', '-q'];
      const lines = await kcat([...args, '-f', '%o %h\n', '-X', 'isolation.level=read_committed']);
      const found = lines
        .toString()
        .split('\n')
        .slice(0, -1)
        .map((line) => foundIn(line, topic, partition));
      this.#compared.set(name, (found.at(-1)?.offset ?? from - 1) + 1);
      return found;
    });
    return (await Promise.all(each)).flat();
  }

  /** @returns the first offset that is written to next, of each partition */
  async ends(topic: string): Promise<ReadonlyMap<number, number>> {
    const found = await this.kafka.admin.fetchTopicOffsets(topic);
    return new Map(found.map(({ partition, high }) => [partition, Number(high)]));
  }

  /** Takes away what is before an offset, as retention does. While the load rests. */
  async retain(place: TopicPlace, offset: number): Promise<void> {
    const { topic, partition } = place;
    await this.kafka.admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] });
    this.ledger.gone(place, offset);
    const name = `${topic}/${partition}`;
    this.#compared.set(name, Math.max(offset, this.#compared.get(name) ?? 0));
  }

  /** While the load rests. */
  async addPartition(topic: string): Promise<void> {
    const there = this.#places.filter((place) => place.topic === topic);
    const count = there.length + 1;
    await this.kafka.admin.createPartitions({ topicPartitions: [{ topic, count }] });
    await this.#leads(topic, count);
    this.#places = [...this.#places, { ...there[0]!, partition: there.length }];
  }

  /** While the load rests. @param meanwhile between the two */
  async makeAnew(topic: string, meanwhile: () => Promise<void>): Promise<void> {
    const there = this.#places.filter((place) => place.topic === topic);
    const { admin } = this.kafka;
    await admin.deleteTopics({ topics: [topic] });
    await eventually(`${topic} is gone`, async () => !(await admin.listTopics()).includes(topic));
    for (const place of there) {
      this.ledger.gone(place);
      this.#compared.delete(`${topic}/${place.partition}`);
    }
    await meanwhile();
    await createTopics(admin, [{ topic, numPartitions: there.length }]);
    await this.#leads(topic, there.length);
    this.#places = this.#places.map((place) =>
      place.topic === topic ? { ...place, making: place.making + 1 } : place,
    );
  }

  async #leads(topic: string, partitions: number): Promise<void> {
    await eventually(`${topic} has ${partitions} partitions with leaders`, async () => {
      const { topics } = await this.kafka.admin.fetchTopicMetadata({ topics: [topic] });
      return topics[0]!.partitions.filter(({ leader }) => leader >= 0).length === partitions;
    });
  }
}

/** As kcat writes it: the offset, and headers of which the id is the first. */
function foundIn(line: string, topic: string, partition: number): Found {
  const { offset, id } = /^(?<offset>\d+) id=(?<id>[^,]+)/.exec(line)!.groups!;
  return { id: id!, topic, partition, offset: Number(offset) };
}
