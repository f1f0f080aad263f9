import { systemClock, type Clock, type Log } from '@planasonix/core';
import { createOutbound } from '@planasonix/outbound';
import { createTopics, kcat, startProxy, type Kafka as Server, type Proxy } from '@planasonix/testing';
import {
  Kafka,
  logLevel,
  Partitioners,
  type Admin,
  type ITopicConfig,
  type Producer,
  type ProducerConfig,
} from 'kafkajs';
import {
  CLIENT,
  EARLIEST,
  FetchReader,
  kafkaSettings,
  KafkaCluster,
  type ClusterOptions,
  type KafkaClient,
  type KafkaRecord,
  type Place,
  type ReaderOptions,
} from './index.js';

export const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** For specs: a server, kafkajs' own ways of putting something into it, and our ways of reading it. */
export class ClusterUnderTest {
  readonly #closers: (() => unknown)[] = [];
  #admin: Promise<Admin> | null = null;

  constructor(
    readonly server: Server,
    private readonly client: KafkaClient = CLIENT,
  ) {}

  cluster(
    config: Readonly<Record<string, unknown>> = {},
    answerMs: ClusterOptions['answerMs'] = {},
    clock: Clock = systemClock,
  ): KafkaCluster {
    const cluster = new KafkaCluster({
      settings: kafkaSettings({ config: { brokers: this.server.brokers, ...config } }),
      outbound: createOutbound({ policy: 'allow-private' }),
      log: silent,
      clock,
      client: this.client,
      answerMs,
    });
    this.#closers.push(() => cluster.close());
    return cluster;
  }

  kafkaJs(): Kafka {
    return new Kafka({
      brokers: [...this.server.brokers],
      logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 20 },
    });
  }

  admin(): Promise<Admin> {
    return (this.#admin ??= (async () => {
      const admin = this.kafkaJs().admin();
      await admin.connect();
      this.#closers.push(() => admin.disconnect());
      return admin;
    })());
  }

  async create(topic: string, options: Omit<ITopicConfig, 'topic'> = {}): Promise<void> {
    await createTopics(await this.admin(), [{ topic, ...options }]);
  }

  async producer(options: ProducerConfig = {}): Promise<Producer> {
    const producer = this.kafkaJs().producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options });
    await producer.connect();
    this.#closers.push(() => producer.disconnect());
    return producer;
  }

  /** By librdkafka: `key:value` lines. */
  async put(topic: string, lines: readonly string[], ...more: string[]): Promise<void> {
    const to = ['-b', this.server.brokers.join(','), '-P', '-t', topic, '-K', ':', '-X', 'acks=all'];
    await kcat([...to, ...more], lines.map((line) => `${line}\n`).join(''));
  }

  /** Every partition of a topic, from its first record on. */
  async places(cluster: KafkaCluster, topic: string): Promise<Place[]> {
    const view = await cluster.view([topic]);
    const found = view.topics.find((one) => one.topic === topic)!;
    const asks = found.partitions.map(({ partition }) => ({ topic, partition, timestamp: EARLIEST }));
    const offsets = await cluster.offsets(asks, new AbortController().signal);
    return offsets.map(({ partition, offset }) => ({ topic, topicId: found.id, partition, offset, leaderEpoch: -1 }));
  }

  reader(cluster: KafkaCluster, options: Partial<ReaderOptions> = {}): FetchReader {
    const reader = new FetchReader({ cluster, clock: systemClock, ...options });
    this.#closers.push(() => reader.close());
    return reader;
  }

  /** Reads until every partition is at its end. */
  async all(
    topic: string,
    options: Partial<ReaderOptions> = {},
    config: Readonly<Record<string, unknown>> = {},
  ): Promise<KafkaRecord[]> {
    const cluster = this.cluster(config);
    const reader = this.reader(cluster, options);
    const places = await this.places(cluster, topic);
    reader.add(places);
    const records: KafkaRecord[] = [];
    const next = new Map(places.map(({ partition, offset }) => [partition, offset]));
    for (;;) {
      const chunk = await reader.next(5000);
      if (chunk) {
        records.push(...chunk.records);
        next.set(chunk.partition, chunk.next);
      }
      const ended = [...next].every(([partition, offset]) => reader.ends.get(`${topic}/${partition}`) === offset);
      if (ended) return records;
      if (!chunk)
        throw new Error(`nothing came; at ${JSON.stringify([...next])}, ends ${JSON.stringify([...reader.ends])}`);
    }
  }

  async proxied(port: number): Promise<Proxy> {
    const proxy = await startProxy({ targetPort: port });
    this.#closers.push(() => proxy.stop());
    return proxy;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}
