/** Producers of topics: some in transactions that lie in each other, of which some are aborted, some without. */
import { setTimeout as wait } from 'node:timers/promises';
import { Kafka, logLevel, Partitioners, type Producer, type RecordMetadata } from 'kafkajs';
import { random, type Random, type Seed } from './random.js';
import type { TopicLedger } from './topic-ledger.js';
import { shipmentOf, type Parcel, type Shipment, type TopicPlace } from './topic-records.js';

const IN_TRANSACTIONS = 3;
const WITHOUT = 2;
const AGAIN_MS = 100;
/** A broker that says nothing for so long has to be asked again. */
const PATIENCE_MS = 4_000;
const TRANSACTION_MS = 15_000;
/** By itself kafkajs sleeps for 0.3 s and more while the end of the last transaction is written. */
const RETRY = { initialRetryTime: 15, maxRetryTime: 500, retries: 8 };

export interface TopicLoadDeps {
  readonly ledger: TopicLedger;
  readonly seed: number;
  readonly brokers: readonly string[];
  /** What there is to be written to. */
  places(): readonly TopicPlace[];
}

/** All producers of a scene, paused and resumed together. */
export class TopicLoad {
  readonly #writers: readonly Writer[];

  constructor(deps: TopicLoadDeps) {
    this.#writers = Array.from(
      { length: IN_TRANSACTIONS + WITHOUT },
      (_, i) => new Writer(String(i), i < IN_TRANSACTIONS, deps),
    );
  }

  /** What comes from here on is a function of this seed. */
  reseed(seed: Seed): void {
    for (const writer of this.#writers) writer.reseed(seed);
  }

  resume(): void {
    for (const writer of this.#writers) writer.resume();
  }

  /** @returns once each knows what became of its last shipment, or that nobody will tell; no transaction is open then */
  async pause(): Promise<void> {
    await Promise.all(this.#writers.map((writer) => writer.pause()));
  }

  /** The load goes on for a while: the moment of a fault is a moment of the load. */
  goOn(ms: number): Promise<void> {
    return wait(ms);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#writers.map((writer) => writer.stop()));
  }
}

class Writer {
  #rng: Random;
  readonly #client: Kafka;
  #producer: Producer | null = null;
  #state: 'running' | 'paused' | 'stopped' = 'paused';
  #running: Promise<void> = Promise.resolve();
  #n = 0;
  /** Its last transaction may be open still. */
  #open = false;

  constructor(
    private readonly name: string,
    private readonly transactional: boolean,
    private readonly deps: TopicLoadDeps,
  ) {
    this.#rng = random(deps.seed, 'writer', name);
    this.#client = new Kafka({
      ...{ clientId: `writer-${name}`, brokers: [...deps.brokers], logLevel: logLevel.NOTHING },
      ...{ connectionTimeout: 1_000, requestTimeout: PATIENCE_MS, retry: RETRY },
    });
  }

  reseed(seed: Seed): void {
    this.#rng = random(seed, 'writer', this.name);
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    this.#running = this.#running.then(() => this.#run());
  }

  pause(): Promise<void> {
    if (this.#state === 'running') this.#state = 'paused';
    return this.#running;
  }

  stop(): Promise<void> {
    this.#state = 'stopped';
    return this.#running;
  }

  async #run(): Promise<void> {
    while (this.#state === 'running') {
      const shipment = shipmentOf(this.deps.places(), this.#rng, () => `${this.name}.${++this.#n}`);
      const producer = await this.#connected();
      if (producer === null) break;
      const isDone = await (this.transactional ? this.#together(producer, shipment) : this.#each(producer, shipment));
      // What it wrote last may be there or not: by the same producer the next one could be taken for it (trap 25a).
      if (!isDone) await this.#drop();
      await wait(shipment.pauseMs);
    }
    // A new one of the same name ends what is open.
    while (this.#open && this.#state !== 'stopped') await this.#connected();
    await this.#drop();
  }

  /** @returns whether all was acknowledged */
  async #each(producer: Producer, { parcels }: Shipment): Promise<boolean> {
    const { ledger } = this.deps;
    for (const parcel of parcels) {
      ledger.sending(parcel.records);
      try {
        this.#placed(parcel, await producer.send(requestOf(parcel)));
        ledger.decided(parcel.records, 'kept');
      } catch {
        ledger.decided(parcel.records, 'unknown');
        return false;
      }
    }
    return true;
  }

  /** @returns whether it ended as it should */
  async #together(producer: Producer, { parcels, end }: Shipment): Promise<boolean> {
    const { ledger } = this.deps;
    const records = parcels.flatMap((parcel) => parcel.records);
    ledger.sending(records);
    let fate: 'aborted' | 'unknown' = 'aborted';
    try {
      this.#open = true;
      const transaction = await producer.transaction();
      for (const parcel of parcels) this.#placed(parcel, await transaction.send(requestOf(parcel)));
      if (end === 'abort') await transaction.abort();
      else {
        // From here on it may be committed, whether or not anybody hears of it.
        fate = 'unknown';
        await transaction.commit();
      }
      this.#open = false;
      ledger.decided(records, end === 'abort' ? 'aborted' : 'kept');
      return true;
    } catch {
      ledger.decided(records, fate);
      return false;
    }
  }

  #placed({ place, records }: Parcel, [answer]: RecordMetadata[]): void {
    const base = Number(answer?.baseOffset ?? -1);
    if (answer?.partition !== place.partition || base < 0) throw new Error('the answer is to something else');
    this.deps.ledger.placed(records, base);
  }

  /** Tries for as long as it takes. A transaction that was left open has ended then. `null`: it is to stop. */
  async #connected(): Promise<Producer | null> {
    while (this.#state !== 'stopped') {
      if (this.#producer !== null) return this.#producer;
      const producer = this.#client.producer({
        ...{
          createPartitioner: Partitioners.DefaultPartitioner,
          idempotent: true,
          maxInFlightRequests: 1,
          retry: RETRY,
        },
        ...(this.transactional
          ? { transactionalId: `battery-writer-${this.name}`, transactionTimeout: TRANSACTION_MS }
          : {}),
      });
      try {
        await producer.connect();
        if (this.transactional) await (await producer.transaction()).abort();
        this.#open = false;
        this.#producer = producer;
      } catch {
        await producer.disconnect().catch(() => undefined);
        await wait(AGAIN_MS);
      }
    }
    return null;
  }

  async #drop(): Promise<void> {
    const producer = this.#producer;
    this.#producer = null;
    await producer?.disconnect().catch(() => undefined);
  }
}

/** One partition in each request: over several a fail-over loses some and doubles others (trap 25a). */
const requestOf = ({ place, records, compression }: Parcel) => ({
  ...{ topic: place.topic, acks: -1, compression },
  messages: records.map(({ message }) => message),
});
