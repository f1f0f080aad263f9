import type { Clock } from '@planasonix/core';
import type { KafkaCluster } from './client-cluster.js';
import type { Call } from './client.js';
import { KafkaError, MOVED, toStreamError } from './connection-error.js';
import { askAny } from './producer-ask.js';
import type { ProducerRoutes } from './producer-routes.js';
import {
  addPartitionsCall,
  endTransactionCall,
  initProducerCall,
  transactionCoordinatorCall,
  type ProducerIdentity,
} from './producer-requests.js';
import { lostOr, PATIENCE_MS } from './transaction-lost.js';
import { TransactionWriter, type PartitionRecords } from './transaction-writer.js';

export interface TransactionOptions {
  readonly cluster: KafkaCluster;
  readonly clock: Clock;
  readonly routes: ProducerRoutes;
  /** One name, one producer: whoever begins bars those who began before. */
  readonly transactionalId: string;
  /** What is longer open than this is given up by the broker. Milliseconds. */
  readonly timeoutMs?: number;
  /** Of the first batch of each partition. Default: 0. */
  readonly firstSequence?: number;
}

/** The longest that a broker allows unless it is told otherwise. */
const LONGEST_MS = 900_000;
/** Every broker allows this. */
const MODEST_MS = 60_000;
const BUSY_MS = [2, 5, 10, 20] as const;

const CONCURRENT = 51;
const BAD_TIMEOUT = 50;
/**
 * Writes in transactions. Sequences are ours, a batch that is sent again is the same bytes, and the answers are kept by
 * partition: a leader that changes neither loses nor doubles (trap 25a). Once anything but a moved leader is met it is
 * thrown away. One call at a time.
 */
export class TransactionalProducer {
  readonly #over = new AbortController();
  #coordinator = -1;
  #identity: ProducerIdentity | null = null;
  #writer: TransactionWriter | null = null;
  #timeoutMs: number;
  /** A request was given up without an answer, and may yet arrive. */
  #strayed = false;
  /** Partitions that the open transaction has, as `topic/partition`. */
  readonly #members = new Set<string>();

  constructor(private readonly options: TransactionOptions) {
    this.#timeoutMs = options.timeoutMs ?? LONGEST_MS;
  }

  get open(): boolean {
    return this.#members.size > 0;
  }

  /**
   * Bars every producer of this name that began before, and ends what it has open. Resolves when that is decided.
   * @returns `true`: nobody has ever begun under this name, as far as the cluster remembers (7 days by default)
   */
  async begin(): Promise<boolean> {
    const found = await this.#init();
    this.#is(found);
    return found.producerEpoch === 0;
  }

  /**
   * Gives the transactions that follow another time; none is open. It bars nobody.
   * @throws TransactionLost where another one has begun
   */
  async allow(timeoutMs: number = LONGEST_MS): Promise<void> {
    this.#timeoutMs = timeoutMs;
    await this.#renew();
  }

  /** @param as who it is already; absent: it bars whoever began before */
  async #init(as?: ProducerIdentity): Promise<Pick<ProducerIdentity, 'producerId' | 'producerEpoch'>> {
    const { transactionalId } = this.options;
    const ask = () => this.#coordinated(initProducerCall(transactionalId, this.#timeoutMs, as));
    return ask().catch((error: unknown) => {
      if (!(error instanceof KafkaError) || error.code !== BAD_TIMEOUT) throw error;
      this.#timeoutMs = Math.min(this.#timeoutMs, MODEST_MS);
      return ask();
    });
  }

  #is(found: Pick<ProducerIdentity, 'producerId' | 'producerEpoch'>): void {
    const identity = { transactionalId: this.options.transactionalId, ...found };
    this.#identity = identity;
    this.#writer = new TransactionWriter({ ...this.options, identity, signal: this.#over.signal });
  }

  /**
   * A commit that was given up at a broker which hung may arrive when it wakes, and would end the next transaction in its
   * middle. With another epoch it is refused.
   */
  async #renew(): Promise<void> {
    this.#strayed = false;
    this.#is(await this.#init(this.#id));
  }

  /**
   * Records of partitions, each partition's in order. Durable when it resolves, and visible once committed.
   * @throws TransactionLost, StreamError, KafkaError that a record was refused with
   */
  async write(parts: readonly PartitionRecords[]): Promise<void> {
    await Promise.all([...new Set(parts.map(({ topic }) => topic))].map((topic) => this.options.routes.topic(topic)));
    if (this.#strayed && !this.open) await this.#renew();
    const fresh = new Map<string, number[]>();
    for (const { topic, partition } of parts) {
      const name = `${topic}/${partition}`;
      if (this.#members.has(name)) continue;
      this.#members.add(name);
      fresh.set(topic, [...(fresh.get(topic) ?? []), partition]);
    }
    if (fresh.size > 0) await this.#coordinated(addPartitionsCall(this.#id, fresh));
    await this.#writer!.write(parts);
  }

  /** An answer that is lost is asked for again; the outcome is known when it resolves. */
  async commit(): Promise<void> {
    if (this.open) await this.#coordinated(endTransactionCall(this.#id, true));
    this.#members.clear();
  }

  async abort(): Promise<void> {
    if (this.open) await this.#coordinated(endTransactionCall(this.#id, false));
    this.#members.clear();
  }

  /** Nothing is waited for any more. */
  close(): void {
    this.#over.abort();
  }

  get #id(): ProducerIdentity {
    if (this.#identity === null) throw new Error('a producer begins before it writes');
    return this.#identity;
  }

  async #coordinated<R>(call: Call<R>): Promise<R> {
    const { cluster, clock, transactionalId } = this.options;
    const until = clock.monotonic() + PATIENCE_MS;
    for (let tries = 0; ; tries++) {
      try {
        if (this.#coordinator < 0)
          this.#coordinator = await askAny(cluster, transactionCoordinatorCall(transactionalId));
        return await cluster.send(this.#coordinator, 'ask', call);
      } catch (error) {
        const code = error instanceof KafkaError ? error.code : null;
        const failure = code === null ? toStreamError(error, 'asking the coordinator of the transactions') : null;
        const moved = code === null ? failure?.code === 'source_unreachable' : MOVED.has(code);
        if (!moved && code !== CONCURRENT) throw lostOr(failure ?? error);
        if (moved) this.#coordinator = -1;
        if (code === null) this.#strayed = true;
        if (this.#over.signal.aborted || clock.monotonic() > until)
          throw failure ?? toStreamError(error, 'asking the coordinator of the transactions');
      }
      // Every client meets this wait: the markers of the last transaction are still being written.
      await clock.sleep(this.#coordinator < 0 ? 100 : (BUSY_MS[tries] ?? BUSY_MS.at(-1)!), this.#over.signal);
    }
  }
}
