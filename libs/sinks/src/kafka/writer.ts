import { randomBytes } from 'node:crypto';
import { StreamError, type Clock, type PipelineOutput } from '@planasonix/core';
import {
  ProducerRoutes,
  topicSettings,
  TransactionalProducer,
  TransactionLost,
  type PartitionRecords,
  type TopicFacts,
} from '@planasonix/kafka';
import { entrantRecord, Journal, journalRecords, type JournalChange, type JournalState } from './journal.js';
import type { Reached } from './kafka-cluster.js';

export type KafkaOutput = Extract<PipelineOutput, { type: 'kafka' }>;

/** A new leader knows within seconds what is decided. */
const SETTLES_MS = 15_000;

export const fenced = (): StreamError => new StreamError('fenced', 'The log has a newer owner of this stream');

export interface WriterOptions {
  readonly streamId: string;
  readonly epoch: number;
  readonly output: KafkaOutput;
  readonly reached: Reached;
  readonly clock: Clock;
}

/**
 * One owner's right to write to the log of a stream. Whoever enters bars those who entered before, by the producer's
 * epoch, which every broker checks; and who may enter is said by the store's epoch, which is in the journal. So a
 * writer of an older epoch that wakes up finds a newer one there and writes nothing (Invariant 3), and one that is
 * writing already is refused by the brokers.
 */
export class StreamWriter {
  readonly session = randomBytes(9).toString('base64url');
  readonly #journal: Journal;
  readonly #producer: TransactionalProducer;
  readonly #routes: ProducerRoutes;
  readonly #over = new AbortController();

  constructor(private readonly options: WriterOptions) {
    const { streamId, output, reached, clock } = options;
    const { cluster } = reached;
    this.#journal = new Journal(streamId, reached, clock, output.createTopics?.replicationFactor ?? -1);
    this.#routes = new ProducerRoutes({
      cluster,
      clock,
      create: (topic) => this.#create(topic),
      maxBytes: (topic) => maxBytesOf(reached, topic),
    });
    const transactionalId = `planasonix.${streamId}`;
    this.#producer = new TransactionalProducer({ cluster, clock, routes: this.#routes, transactionalId });
  }

  /** @throws StreamError `topic_missing`, … */
  topic(name: string): Promise<TopicFacts> {
    return this.#routes.topic(name);
  }

  /** What is written and not committed. */
  get open(): boolean {
    return this.#producer.open;
  }

  /**
   * Bars every other writer and tells what the log knows. It does so even to those of the same epoch; with a higher one
   * in the log it throws `fenced`, and nothing has changed.
   */
  async enter(): Promise<JournalState> {
    const { signal } = this.#over;
    const known = await this.#journal.read(signal);
    this.#judge(known);
    const made = known === null && (await this.#journal.make());
    const neverBegun = await this.#producer.begin();
    if (made && !neverBegun) {
      // The stream was here, and its log was removed.
      await this.#journal.remove();
      throw fenced();
    }
    await this.#producer.write([{ topic: this.#journal.topic, partition: 0, records: [entrantRecord(this.session)] }]);
    await this.#producer.commit();
    const state = await this.#truth();
    this.#judge(state);
    if (state.ending !== null) await this.#journal.keep();
    return state;
  }

  /**
   * Whatever another one had begun is decided, and nobody else can commit. A broker that lags behind, or leads no more
   * and does not know it, is told by our own record, which it has not.
   */
  async #truth(): Promise<JournalState> {
    const { clock } = this.options;
    const until = clock.monotonic() + SETTLES_MS;
    do {
      const state = await this.#journal.read(this.#over.signal);
      if (state?.entrant === this.session) return state;
    } while (clock.monotonic() < until && (await clock.sleep(100, this.#over.signal)));
    throw new StreamError('log_unavailable', 'The positions of the stream can not be read back from Kafka.');
  }

  async #create(topic: string): Promise<boolean> {
    const { createTopics } = this.options.output;
    if (topic === this.#journal.topic) await this.#journal.make();
    else if (createTopics === undefined) return false;
    else await this.options.reached.admin.create({ topic, ...createTopics });
    return true;
  }

  write(parts: readonly PartitionRecords[], change?: Omit<JournalChange, 'epoch' | 'session'>): Promise<void> {
    const { epoch } = this.options;
    if (change === undefined) return this.#producer.write(parts);
    const records = journalRecords({ ...change, epoch, session: this.session });
    return this.#producer.write([...parts, { topic: this.#journal.topic, partition: 0, records }]);
  }

  commit(): Promise<void> {
    return this.#producer.commit();
  }

  abort(): Promise<void> {
    return this.#producer.abort();
  }

  /** What a lost transaction means: another one has entered, or it was open for too long. */
  async explain(error: unknown): Promise<unknown> {
    if (!(error instanceof TransactionLost)) return error;
    try {
      const state = await this.#journal.read(this.#over.signal);
      if (state === null || state.epoch > this.options.epoch || state.session !== this.session) return fenced();
    } catch {
      // Then the next attempt finds out.
    }
    return new StreamError('log_unavailable', `The transaction in Kafka was ended from outside: ${error.message}`, {
      hint: 'A transaction of the source that takes more than 15 minutes to write is given up by Kafka.',
      cause: error,
    });
  }

  close(): void {
    this.#over.abort();
    this.#producer.close();
  }

  #judge(state: JournalState | null): void {
    if (state !== null && state.epoch > this.options.epoch) throw fenced();
  }
}

async function maxBytesOf({ cluster }: Reached, topic: string): Promise<number | null> {
  const found = (await topicSettings(cluster, topic))?.get('max.message.bytes');
  return found === undefined ? null : Number(found);
}
