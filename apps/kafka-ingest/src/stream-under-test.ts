import {
  CONNECTED,
  NO_ORDERS,
  systemClock,
  type ChangeEvent,
  type Check,
  type Lag,
  type Log,
  type OnLostPosition,
  type Outbound,
  type Owned,
  type Position,
  type SetAside,
  type Source,
  type SourceContext,
  type StreamError,
  WHOLE,
} from '@planasonix/core';
import { createOutbound } from '@planasonix/outbound';
import { KafkaSource, type Pace } from './source.js';

/** What tests read of an event's data. */
export interface RecordData {
  readonly key: unknown;
  readonly key_encoding: string;
  readonly value: unknown;
  readonly value_encoding: string;
  readonly headers: readonly (readonly [string, string | null, string])[];
  readonly source: { readonly topic: string; readonly partition: number; readonly offset: number };
}

/**
 * A stream without the rest of the product: what its source hands over enters a log in memory together with its position,
 * and is acknowledged. What an owner would find in the store is kept between its readers.
 */
export class StreamUnderTest {
  readonly events: ChangeEvent[] = [];
  readonly kept = new Map<string, Position>();
  readonly aside: SetAside[] = [];
  readonly lines: string[] = [];
  owned: Owned = {};
  failure: StreamError | null = null;
  connected = false;
  /** What it reads of the stream. */
  share = WHOLE;
  /** Where its events are said to go. */
  logTopics: SourceContext['logTopics'];
  neighbours: SourceContext['neighbours'];
  /** More impatient than the product: nothing that a test waits for is slow. */
  pace: Pace = { lookEveryMs: 250, patienceMs: 15_000 };
  /** Called before each batch is taken; what it throws ends the reading there, as if it were killed. */
  beforeEach: () => void | Promise<void> = () => undefined;
  /** What an acknowledgement waits for, while reading goes on. `null`: nothing. */
  ackAfter: Promise<void> | null = null;
  #source: Source | null = null;
  #abort = new AbortController();
  #reading: Promise<void> = Promise.resolve();

  constructor(
    private readonly id: string,
    public config: Readonly<Record<string, unknown>>,
    public connection: Readonly<Record<string, unknown>>,
    private readonly outbound: Outbound = createOutbound({ policy: 'allow-private' }),
  ) {}

  start(onLostPosition: OnLostPosition | null = null): void {
    this.failure = null;
    this.connected = false;
    this.#abort = new AbortController();
    const before = new Map(this.kept);
    if (onLostPosition !== null) this.kept.clear();
    const source = (this.#source = this.#make(onLostPosition, () => Promise.resolve(before)));
    this.#reading = this.#read(source, this.#abort.signal).finally(() => source.close());
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#reading;
    this.#source = null;
  }

  /** What ended it, or `null`. */
  async outcome(): Promise<StreamError | null> {
    await this.#reading;
    this.#source = null;
    return this.failure;
  }

  lag(): Promise<Lag> {
    return this.look((source) => source.lag(this.kept, AbortSignal.timeout(10_000)));
  }

  check(): Promise<readonly Check[]> {
    return this.look((source) => source.check(AbortSignal.timeout(10_000)));
  }

  async look<T>(use: (source: Source) => Promise<T>): Promise<T> {
    if (this.#source !== null) return use(this.#source);
    const source = this.#make(null);
    try {
      return await use(source);
    } finally {
      await source.close();
    }
  }

  data(): RecordData[] {
    return this.events.map(({ data }) => JSON.parse(data.toString()) as RecordData);
  }

  values(): unknown[] {
    return this.data().map(({ value }) => value);
  }

  async #read(source: Source, signal: AbortSignal): Promise<void> {
    try {
      for await (const batch of source.read(new Map(this.kept), signal)) {
        if (signal.aborted) return;
        this.connected ||= batch === CONNECTED;
        await this.beforeEach();
        this.events.push(...batch.events);
        const { partition, position } = batch;
        if (position === null) continue;
        this.kept.set(partition, position);
        const ack = () => source.ack(partition, position);
        if (this.ackAfter === null) await ack();
        else void this.ackAfter.then(ack);
      }
    } catch (error) {
      this.failure = error as StreamError;
    }
  }

  #make(onLostPosition: OnLostPosition | null, abandoned?: SourceContext['abandoned']): Source {
    const { id, config, connection, outbound } = this;
    const write = (fields: object, message: string) =>
      void this.lines.push(
        `${message} ${JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? value.message : value))}`,
      );
    const log: Log = { debug: write, info: write, warn: write, error: write };
    const context: SourceContext = {
      ...{ streamId: id, streamName: id, config, outbound, owned: this.owned, orders: NO_ORDERS },
      connection: { id: 'conn_test', type: 'kafka', config: connection },
      remember: (owned) => Promise.resolve(void (this.owned = owned)),
      setAside: (records) => Promise.resolve(void this.aside.push(...records)),
      ...{ onLostPosition, abandoned, share: this.share, logTopics: this.logTopics, clock: systemClock, log },
      neighbours: this.neighbours,
    };
    return new KafkaSource(context, this.pace);
  }
}
