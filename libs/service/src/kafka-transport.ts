import { setTimeout as wait } from 'node:timers/promises';
import { ClientKafka, ServerKafka, type KafkaOptions, type MicroserviceOptions } from '@nestjs/microservices';
import type { Log } from '@planasonix/core';
import { inflate } from '@planasonix/kafka';
import { CompressionCodecs, CompressionTypes, logLevel, Partitioners } from 'kafkajs';
import { LossyEmitter, reasonOf, type Emitter } from './lossy-emitter.js';

/** How the system's own events reach Kafka. */
export interface KafkaTransport {
  /** `host:port` each. */
  readonly brokers: readonly string[];
  readonly tls: boolean;
  readonly sasl: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    readonly username: string;
    readonly password: string;
  } | null;
}

type TransportOptions = NonNullable<KafkaOptions['options']>;

const REQUEST_MS = 10_000;
const CONNECT_MS = 3_000;

const clientOf = ({ brokers, tls, sasl }: KafkaTransport): NonNullable<TransportOptions['client']> => ({
  clientId: 'planasonix',
  brokers: [...brokers],
  ssl: tls,
  // kafkajs has a type for each mechanism, all of the same form.
  ...(sasl === null ? {} : { sasl: { ...sasl } as never }),
  connectionTimeout: CONNECT_MS,
  authenticationTimeout: CONNECT_MS,
  requestTimeout: REQUEST_MS,
  // What goes wrong is tried again, and told by us.
  logLevel: logLevel.NOTHING,
});

const RETRY_MS = 1_000;
const CLOSE_MS = 2_000;
/** Reports are worth nothing after some minutes: the totals of the next one hold them. They stay as they are sent. */
const TOPIC = {
  ...{ numPartitions: 3, replicationFactor: -1 },
  configEntries: [
    { name: 'retention.ms', value: '3600000' },
    { name: 'compression.type', value: 'producer' },
  ],
};

// Brokers compress anew where a topic is set so, and kafkajs itself reads gzip alone (trap 25). It is never asked to write them.
for (const codec of [CompressionTypes.Snappy, CompressionTypes.LZ4, CompressionTypes.ZSTD] as const)
  CompressionCodecs[codec] = () => ({ decompress: (bytes: Buffer) => Promise.resolve(inflate(codec, bytes)) });

/**
 * Nest's Kafka transport, patient: its own fails the boot when Kafka is down at that moment, and gives up for good when its
 * consumer does. This one makes the topics that it listens to, listens whenever Kafka comes, and closes within a bound.
 */
class PatientServerKafka extends ServerKafka {
  private readonly over = new AbortController();
  private gaveUp: () => void = () => undefined;
  /** Why it does not listen, where that was told. */
  private told = '';

  constructor(
    options: TransportOptions,
    private readonly log: Log,
  ) {
    super(options);
  }

  override listen(callback: (error?: unknown) => void): Promise<void> {
    void this.keepListening();
    callback();
    return Promise.resolve();
  }

  override async close(): Promise<void> {
    this.over.abort();
    this.gaveUp();
    await this.letGo();
  }

  override registerConsumerEventListeners(): void {
    super.registerConsumerEventListeners();
    const { consumer } = this;
    consumer?.on(consumer.events.CRASH, ({ payload }) => {
      this.tell(payload.error);
      if (!payload.restart) this.gaveUp();
    });
    consumer?.on(consumer.events.GROUP_JOIN, () => (this.told = ''));
  }

  private async keepListening(): Promise<void> {
    const { signal } = this.over;
    while (!signal.aborted) {
      const ended = new Promise<void>((resolve) => (this.gaveUp = resolve));
      try {
        this.client = this.createClient();
        await this.makeTopics();
        if (!signal.aborted) await this.start(() => undefined);
        await ended;
      } catch (error) {
        this.tell(error);
      }
      await this.letGo();
      await wait(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** The same each second is told once. */
  private tell(error: unknown): void {
    const reason = reasonOf(error);
    if (this.told !== reason && !this.over.signal.aborted)
      this.log.warn({ reason }, 'nothing is heard over Kafka; it is tried again');
    this.told = reason;
  }

  /**
   * Nothing is made by accident: brokers need not allow it. One that is there stays as it is, and who may not make any
   * listens to those that are there.
   */
  private async makeTopics(): Promise<void> {
    const admin = this.client!.admin();
    try {
      await admin.connect();
      const topics = [...this.messageHandlers.keys()].map((topic) => ({ ...TOPIC, topic }));
      await admin.createTopics({ topics, waitForLeaders: false }).catch(async (error: unknown) => {
        const there = new Set(await admin.listTopics());
        if (!topics.every(({ topic }) => there.has(topic))) throw error;
      });
    } finally {
      void admin.disconnect().catch(() => undefined);
    }
  }

  private async letGo(): Promise<void> {
    const { consumer, producer } = this;
    this.consumer = null;
    this.producer = null;
    this.client = null;
    const left = Promise.allSettled([consumer?.disconnect(), producer?.disconnect()]);
    const late = new AbortController();
    await Promise.race([left, wait(CLOSE_MS, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
  }
}

/** One group for all that listen: each event is heard by one of them, and what none was there to hear is heard later. */
export const kafkaMicroservice = (transport: KafkaTransport, groupId: string, log: Log): MicroserviceOptions => ({
  strategy: new PatientServerKafka(
    {
      client: clientOf(transport),
      postfixId: '',
      consumer: {
        groupId,
        allowAutoTopicCreation: false,
        maxWaitTimeInMs: 300,
        sessionTimeout: 10_000,
        heartbeatInterval: 1_000,
        metadataMaxAge: 30_000,
        retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5 },
      },
      subscribe: { fromBeginning: true },
      producer: { createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false },
    },
    log,
  ),
});

const SEND_MS = 3_000;

export const kafkaEmitter = (transport: KafkaTransport, log: Log): Emitter =>
  new LossyEmitter(
    {
      sendMs: SEND_MS,
      create: () =>
        new ClientKafka({
          client: { ...clientOf(transport), retry: { initialRetryTime: 50, retries: 1 } },
          producerOnlyMode: true,
          producer: { createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false },
          send: { acks: 1, timeout: SEND_MS },
        }),
      drop: (client) => void client.close().catch(() => undefined),
    },
    log,
  );
