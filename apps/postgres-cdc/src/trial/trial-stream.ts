import {
  CONNECTED,
  NO_ORDERS,
  systemClock,
  type ChangeBatch,
  type ChangeEvent,
  type Check,
  type Clock,
  type ConnectionSettings,
  type Lag,
  type Log,
  type Sharer,
  type OnLostPosition,
  type Outbound,
  type Owned,
  type Position,
  type Positions,
  type SnapshotOrder,
  type SnapshotProgress,
  type Source,
  type StreamError,
} from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { postgresCdc } from '../source-type.js';
import { fold } from './fold.js';

const outbound: Outbound = { resolve: (host) => Promise.resolve(host) };

type BeforeEach = (batch: ChangeBatch) => void | Promise<void>;

interface Server {
  readonly port: number;
  readonly password: string;
  /** Default: `postgres`. */
  readonly user?: string;
  /** Default: `postgres`. */
  readonly database?: string;
}

/**
 * A stream without the rest of the product: what its source hands over is taken for durable at once and acknowledged.
 * What an owner would find in the store (positions, what was made, orders) is kept between its readers.
 */
export class TrialStream {
  readonly warnings: { readonly fields: object; readonly message: string }[] = [];
  readonly events: ChangeEvent[] = [];
  /** By partition: a source may keep more than one. */
  readonly positions = new Map<string, Position>();
  /** The highest order of each partition, as a log knows it. */
  readonly highest = new Map<string, string>();
  /** Orders that were placed, and those of them that are over. */
  readonly orders: SnapshotOrder[] = [];
  /** Resolves when the store says which orders are open. */
  storeAnswers: Promise<void> = Promise.resolve();
  readonly closed: { id: string; failed: string | null }[] = [];
  owned: Owned = {};
  /** Other streams at its server. */
  sharers: readonly Sharer[] = [];
  /** Of readers that are started from now on. */
  clock: Clock = systemClock;
  /** Of the last reader, once it has ended. */
  failure: StreamError | null = null;
  connected = false;
  private source: Source | null = null;
  private abort = new AbortController();
  private reading: Promise<void> = Promise.resolve();

  constructor(
    readonly id: string,
    private config: Readonly<Record<string, unknown>>,
    private server: Server,
  ) {}

  /** Where the position stands, `16/B374D848`. */
  get lsn(): string {
    return (JSON.parse(this.positions.get('') ?? '{"lsn":"0/0"}') as { lsn: string }).lsn;
  }

  get timeline(): number | undefined {
    return (JSON.parse(this.positions.get('') ?? '{}') as { timeline?: number }).timeline;
  }

  configure(config: Readonly<Record<string, unknown>>): void {
    this.config = config;
  }

  /** The connection leads elsewhere from now on. */
  moveTo(server: Server): void {
    this.server = server;
  }

  /** Reads until `stop`; goes on where it was. @param beforeEach may throw: the reading ends there, as if it were killed. */
  start({
    onLost = null,
    beforeEach = () => undefined,
  }: { onLost?: OnLostPosition | null; beforeEach?: BeforeEach } = {}): void {
    this.failure = null;
    this.connected = false;
    this.abort = new AbortController();
    const source = (this.source = this.make(onLost));
    if (onLost !== null) {
      this.positions.clear();
      this.highest.clear();
    }
    this.reading = this.read(source, new Map(this.positions), beforeEach).finally(() => source.close());
  }

  /** Its time is up, and nobody closes its source: whoever should hangs. */
  abandon(): void {
    this.abort.abort();
  }

  async stop(): Promise<void> {
    this.abort.abort();
    await this.source?.close();
    await this.reading;
    this.source = null;
  }

  /** What ended the reader, once it has ended; `null`: it came to its end. */
  async outcome(): Promise<unknown> {
    await this.reading;
    return this.failure;
  }

  progress(): SnapshotProgress | null {
    const told = this.source?.snapshot() ?? null;
    return told === 'over' ? null : told;
  }

  /** There was nothing left to be read when it began. */
  get rowsOver(): boolean {
    return this.source?.snapshot() === 'over';
  }

  ordersChanged(): void {
    this.source?.ordersChanged?.();
  }

  async rowsDone(timeoutMs = 30_000): Promise<void> {
    const done = () => this.progress()?.state === 'done' && !this.positions.get('')?.includes('"done":false');
    await eventually('the rows are in', done, { timeoutMs });
  }

  /** Resolves once an event with this text has come. */
  async seen(text: string): Promise<void> {
    const came = () => this.events.some(({ data }) => data.includes(text));
    await eventually(`${text} is in the log`, came, { everyMs: 20 });
  }

  fold(): Map<string, Record<string, unknown>> {
    return fold(this.events);
  }

  /** Of the reader; of a source for a look where there is none. */
  async lag(): Promise<Lag> {
    return this.source === null
      ? this.look((source) => source.lag(this.positions, AbortSignal.timeout(8000)))
      : this.source.lag(this.positions, AbortSignal.timeout(8000));
  }

  /** Of the reader; of a source for a look where there is none. */
  check(): Promise<readonly Check[]> {
    const within = AbortSignal.timeout(8000);
    return this.source === null ? this.look((source) => source.check(within)) : this.source.check(within);
  }

  async look<T>(use: (source: Source) => Promise<T>): Promise<T> {
    const source = this.make(null);
    try {
      return await use(source);
    } finally {
      await source.close();
    }
  }

  private async read(source: Source, from: Positions, beforeEach: BeforeEach): Promise<void> {
    try {
      for await (const batch of source.read(from, this.abort.signal, new Map(this.highest))) {
        this.connected ||= batch === CONNECTED;
        await beforeEach(batch);
        this.events.push(...batch.events);
        for (const { order } of batch.events) if (order !== null) this.highest.set(batch.partition, order);
        if (batch.position === null) continue;
        this.positions.set(batch.partition, batch.position);
        await source.ack(batch.partition, batch.position);
      }
    } catch (error) {
      this.failure = error as StreamError;
    }
  }

  private make(onLostPosition: OnLostPosition | null): Source {
    const { port, password, user = 'postgres', database = 'postgres' } = this.server;
    const connection: ConnectionSettings = {
      id: 'conn_1',
      type: 'postgres',
      config: { host: '127.0.0.1', port, database, user, password, sslMode: 'disable' },
    };
    const abandoned = new Map(this.positions);
    const log: Log = {
      ...{ debug: () => undefined, info: () => undefined, error: () => undefined },
      warn: (fields, message) => void this.warnings.push({ fields, message }),
    };
    return postgresCdc.create({
      ...{ streamId: this.id, streamName: this.id, config: this.config, connection, outbound, owned: this.owned },
      remember: (owned) => {
        this.owned = owned;
        return Promise.resolve();
      },
      orders: {
        ...NO_ORDERS,
        open: async () => {
          const open = this.orders.filter((order) => !this.closed.some((one) => one.id === order.id));
          await this.storeAnswers;
          return open;
        },
        done: () =>
          Promise.resolve(
            this.orders.filter(({ id }) => this.closed.some((one) => one.id === id && one.failed === null)).reverse(),
          ),
        close: (id, { failed }) => {
          if (!this.closed.some((one) => one.id === id)) this.closed.push({ id, failed });
          return Promise.resolve();
        },
      },
      ...{ onLostPosition, clock: this.clock, log, sharers: () => Promise.resolve(this.sharers) },
      abandoned: () => Promise.resolve(abandoned),
      reached: () => Promise.resolve(this.positions),
    });
  }
}
