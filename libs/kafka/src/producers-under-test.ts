import { systemClock } from '@planasonix/core';
import { createOutbound } from '@planasonix/outbound';
import { kcat } from '@planasonix/testing';
import { silent } from './cluster-under-test.js';
import {
  KafkaCluster,
  kafkaSettings,
  ProducerRoutes,
  TopicAdmin,
  TransactionalProducer,
  type KafkaClient,
  type OutRecord,
  type TransactionOptions,
} from './index.js';

const outbound = createOutbound({ policy: 'allow-private' });

export const text = (value: string, key: string | null = null): OutRecord => ({
  key: key === null ? null : Buffer.from(key),
  value: Buffer.from(value),
  headers: [],
});

/** What librdkafka reads, committed alone; values in the order of each partition. */
export async function committed(brokers: readonly string[], topic: string): Promise<string[]> {
  const args = ['-b', brokers.join(','), '-C', '-t', topic, '-e', '-q', '-f', '%s\n'];
  const out = await kcat([...args, '-X', 'isolation.level=read_committed']);
  return out.toString().split('\n').slice(0, -1);
}

/** For specs: producers of one cluster, which make topics that are missing. */
export class Producers {
  readonly #closers: (() => void)[] = [];

  constructor(
    private readonly brokers: readonly string[],
    private readonly client: KafkaClient,
    /** Of the connection, beside its brokers. */
    private readonly config: Readonly<Record<string, unknown>> = {},
  ) {}

  make(transactionalId: string, more: Partial<TransactionOptions> = {}): TransactionalProducer {
    const settings = kafkaSettings({ config: { brokers: this.brokers, ...this.config } });
    const cluster = new KafkaCluster({ settings, outbound, log: silent, clock: systemClock, client: this.client });
    const admin = new TopicAdmin({ settings, outbound, log: silent }, this.client);
    const routes = new ProducerRoutes({
      cluster,
      clock: systemClock,
      create: (topic) => admin.create({ topic, partitions: 1, replicationFactor: -1 }).then(() => true),
      maxBytes: () => Promise.resolve(null),
    });
    const producer = new TransactionalProducer({ cluster, clock: systemClock, routes, transactionalId, ...more });
    this.#closers.push(
      () => producer.close(),
      () => cluster.close(),
    );
    return producer;
  }

  close(): void {
    for (const close of this.#closers.splice(0)) close();
  }
}
