import { systemClock } from '@planasonix/core';
import { KafkaCluster, kafkaSettings } from '@planasonix/kafka';
import { createOutbound } from '@planasonix/outbound';
import { createTopics, eventually, kcat, startKafka, type Kafka } from '@planasonix/testing';
import { Kafka as Client, logLevel, Partitioners, type Admin, type Producer } from 'kafkajs';
import { StreamUnderTest } from './stream-under-test.js';

export const rising = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** For specs: one broker, topics in it, and streams that read them. */
export class TopicsUnderTest {
  readonly #streams: StreamUnderTest[] = [];
  readonly #producers: Producer[] = [];
  #names = 0;

  private constructor(
    readonly kafka: Kafka,
    private readonly client: Client,
    readonly admin: Admin,
    readonly producer: Producer,
  ) {}

  static async start(): Promise<TopicsUnderTest> {
    const kafka = await startKafka({ properties: { 'log.retention.check.interval.ms': '200' } });
    const client = new Client({
      brokers: [...kafka.brokers],
      logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 20, retries: 10 },
    });
    const admin = client.admin();
    const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await Promise.all([admin.connect(), producer.connect()]);
    return new TopicsUnderTest(kafka, client, admin, producer);
  }

  async stop(): Promise<void> {
    await Promise.all([this.admin, this.producer, ...this.#producers].map((one) => one.disconnect()));
    await this.kafka.stop();
  }

  async stopStreams(): Promise<void> {
    for (const stream of this.#streams.splice(0)) await stream.stop();
  }

  async transactional(): Promise<Producer> {
    const made = this.client.producer({ transactionalId: this.name('tx'), idempotent: true, maxInFlightRequests: 1 });
    await made.connect();
    this.#producers.push(made);
    return made;
  }

  /** One that nothing else has. */
  name(prefix = 't'): string {
    return `${prefix}${++this.#names}`;
  }

  async topic(numPartitions = 1, name = this.name()): Promise<string> {
    await createTopics(this.admin, [{ topic: name, numPartitions }]);
    return name;
  }

  stream(config: Readonly<Record<string, unknown>>): StreamUnderTest {
    const made = new StreamUnderTest(this.name('str_'), config, { brokers: this.kafka.brokers });
    this.#streams.push(made);
    return made;
  }

  async put(to: string, values: readonly (string | Buffer | null)[], partition = 0): Promise<void> {
    await this.producer.send({ topic: to, messages: values.map((value) => ({ partition, key: 'k', value })) });
  }

  /** kafkajs loses what goes to a partition that it does not know yet, and fails for ever over a topic that is gone. */
  async putByKcat(to: string, partition: number, value: string): Promise<void> {
    await kcat(['-b', this.kafka.brokers[0]!, '-P', '-t', to, '-p', String(partition)], `${value}\n`);
  }

  /** As people's tools do it. */
  async commit(group: string, topic: string, offset: number): Promise<void> {
    const settings = kafkaSettings({ config: { brokers: this.kafka.brokers } });
    const outbound = createOutbound({ policy: 'allow-private' });
    const cluster = new KafkaCluster({ settings, outbound, log: silent, clock: systemClock });
    await cluster.commit(group, [{ topic, partition: 0, offset, leaderEpoch: -1 }]);
    cluster.close();
  }

  has(of: StreamUnderTest, count: number): Promise<unknown> {
    return eventually(
      `${count} records`,
      () => of.events.length >= count || (of.failure && Promise.reject(of.failure)),
    );
  }
}
