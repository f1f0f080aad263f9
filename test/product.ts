/** The product over a store and a Redis of its own, for specs whose source is no Postgres. */
import type { Redis } from 'ioredis';
import { Kafka as KafkaClient, logLevel, Partitioners, type Admin, type Producer } from 'kafkajs';
import type { Client } from 'pg';
import { startKafka, startPostgres, startRedis, type Kafka } from '@planasonix/testing';
import { startStack, type Stack } from './stack.js';

type End = () => unknown;

export interface Product {
  readonly stack: Stack;
  readonly redis: Redis;
  readonly store: Client;
  /** To be ended before the product is; what was given last goes first. */
  endBefore(end: End): void;
  endAfter(end: End): void;
  end(): Promise<void>;
}

/** Two workers of one connector. */
export async function startProduct(connector: string): Promise<Product> {
  const [postgres, redisServer] = await Promise.all([startPostgres(), startRedis()]);
  const store = await postgres.connect();
  const env = { WORKERS: '2', CONNECTORS: connector };
  const stack = await startStack({ databaseUrl: postgres.adminUrl, redisUrl: redisServer.url, env });
  const ends: End[] = [() => stack.stop(), () => Promise.all([postgres.stop('immediate'), redisServer.stop()])];
  return {
    ...{ stack, store, redis: redisServer.client() },
    endBefore: (end) => void ends.unshift(end),
    endAfter: (end) => void ends.push(end),
    end: async () => {
      for (const end of ends) await end();
    },
  };
}

export interface KafkaSource {
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly producer: Producer;
  /** Of the product's API. */
  readonly connectionId: string;
}

/** A broker with a connection to it; ends with the product. */
export async function addKafka(product: Product): Promise<KafkaSource> {
  const kafka = await startKafka();
  product.endAfter(() => kafka.stop());
  const client = new KafkaClient({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING });
  const admin = client.admin();
  const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent: true });
  await Promise.all([admin.connect(), producer.connect()]);
  const settings = { name: 'kafka', type: 'kafka', config: { brokers: kafka.brokers } };
  const { id: connectionId } = await product.stack.api('POST', '/api/connections', settings);
  product.endBefore(() => Promise.all([admin.disconnect(), producer.disconnect()]));
  return { kafka, admin, producer, connectionId };
}
