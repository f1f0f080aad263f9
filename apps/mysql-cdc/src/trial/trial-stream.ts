import {
  CONNECTED,
  NO_ORDERS,
  systemClock,
  type ChangeEvent,
  type Check,
  type Clock,
  type ConnectionSettings,
  type Lag,
  type Log,
  type OnLostPosition,
  type Outbound,
  type Position,
  type Positions,
  type SnapshotOrder,
  type SnapshotProgress,
  type Source,
  type StreamError,
} from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { mysqlCdc } from '../source-type.js';

const outbound: Outbound = { resolve: (host) => Promise.resolve(host) };
const nothing = (): void => undefined;

export interface Data {
  readonly op: 'c' | 'u' | 'd' | 'r' | 't';
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly source: Readonly<Record<string, unknown>>;
}

/**
 * A stream without the rest of the product: what its source hands over is taken for durable at once. What an owner would
 * find in the store is kept between its readers; what the log holds already is dropped, as the log does it.
 */
export class TrialStream {
  readonly warnings: { readonly fields: object; readonly message: string }[] = [];
  readonly events: ChangeEvent[] = [];
  readonly positions = new Map<string, Position>();
  /** Orders that were placed and not taken back, and those that are over. */
  readonly orders: SnapshotOrder[] = [];
  readonly closed: { readonly id: string; readonly failed: string | null }[] = [];
  /** Nobody hears from the store which orders are open before this is so; and how often it was asked. */
  storeAnswers: Promise<void> = Promise.resolve();
  asked = 0;
  /** The end of an order can't be noted. */
  deaf = false;
  /** Events that came although the log held them. */
  dropped = 0;
  /** Events of the largest batch. */
  largest = 0;
  failure: StreamError | null = null;
  connected = false;
  clock: Clock = systemClock;
  private source: Source | null = null;
  private abort = new AbortController();
  private reading: Promise<void> = Promise.resolve();
  private last = '';
  /** This reader has said what is still to be read. */
  private noted = false;

  constructor(
    readonly id: string,
    public config: Readonly<Record<string, unknown>>,
    public server: Readonly<Record<string, unknown>>,
    private readonly type = 'mariadb',
  ) {}

  /** Reads until `stop`. @param beforeEach may throw: the reading ends there, as if it were killed. */
  start(onLost: OnLostPosition | null = null, beforeEach: () => void | Promise<void> = nothing): void {
    this.failure = null;
    this.connected = false;
    this.noted = false;
    this.abort = new AbortController();
    const source = (this.source = this.make(onLost));
    if (onLost !== null) this.positions.clear();
    this.reading = this.read(source, beforeEach).finally(() => source.close());
  }

  async stop(): Promise<void> {
    this.abort.abort();
    await this.source?.close();
    await this.reading;
    this.source = null;
  }

  /** What ended the reader, once it has ended; `null`: it came to its end. */
  async outcome(): Promise<StreamError | null> {
    await this.reading;
    this.source = null;
    return this.failure;
  }

  /** Resolves once the log is read from a place that is known, and all rows are there. */
  async begun(timeoutMs?: number): Promise<void> {
    await eventually(
      'reading has begun',
      () => {
        if (this.failure !== null) throw this.failure;
        const unread = !this.noted || this.positions.get('#asked')?.includes('"unread":[{') === true;
        return this.positions.get('')?.includes('"phase":"stream"') === true && !unread;
      },
      { timeoutMs, everyMs: 20 },
    );
  }

  progress(): SnapshotProgress | null {
    const told = this.source?.snapshot() ?? null;
    return told === 'over' ? null : told;
  }

  /** There was nothing left to be read when it began. */
  get rowsOver(): boolean {
    return this.source?.snapshot() === 'over';
  }

  /** Resolves once an order is over. */
  async ended(id: string, timeoutMs?: number): Promise<string | null> {
    const over = () => {
      if (this.failure !== null) throw this.failure;
      return this.closed.find((one) => one.id === id);
    };
    return (await eventually(`order ${id} is over`, over, { timeoutMs, everyMs: 20 })).failed;
  }

  /** An order is placed; where the stream runs it hears of it. */
  order(id: string, tables: readonly string[], where: string | null = null): void {
    this.orders.push({ id, tables, where });
    this.source?.ordersChanged?.();
  }

  /** An order is taken back. */
  cancelOrder(id: string): void {
    this.orders.splice(0, this.orders.length, ...this.orders.filter((one) => one.id !== id));
    this.source?.ordersChanged?.();
  }

  checkOrder(tables: readonly string[], where: string | null): Promise<readonly Check[]> {
    return this.look((source) => source.checkOrder!({ tables, where }, AbortSignal.timeout(8000)));
  }

  /** Resolves once so many events have come; says what went wrong if that is why they do not. */
  async count(n: number, timeoutMs?: number): Promise<void> {
    await eventually(
      `${n} events`,
      () => {
        if (this.failure !== null) throw this.failure;
        return this.events.length >= n;
      },
      { timeoutMs, everyMs: 20 },
    );
  }

  /** Resolves once an event with this text has come. */
  async seen(text: string): Promise<void> {
    let from = 0;
    await eventually(
      `${text} is in the log`,
      () => {
        if (this.failure !== null) throw this.failure;
        for (; from < this.events.length; from++) if (this.events[from]!.data.includes(text)) return true;
        return false;
      },
      { everyMs: 20 },
    );
  }

  data(): Data[] {
    return this.events.map(({ data }) => JSON.parse(data.toString()) as Data);
  }

  /** Subject and key → text of the newest row, as a reader who knows nothing but the contract makes it. */
  fold(): Map<string, string> {
    const rows = new Map<string, string>();
    for (const { subject, partitionkey, data } of this.events) {
      const text = data.toString();
      const { op } = JSON.parse(text) as Data;
      if (op === 't') {
        for (const key of [...rows.keys()]) if (key.startsWith(`${subject} `)) rows.delete(key);
      } else if (op === 'd') rows.delete(`${subject} ${partitionkey}`);
      else rows.set(`${subject} ${partitionkey}`, afterText(text));
    }
    return rows;
  }

  lag(): Promise<Lag> {
    return this.look((source) => source.lag(this.positions, AbortSignal.timeout(8000)));
  }

  check(onLost: OnLostPosition | null = null): Promise<readonly Check[]> {
    return this.look((source) => source.check(AbortSignal.timeout(20_000)), onLost);
  }

  settle(wanted: unknown): Promise<Positions> {
    return this.look((source) => source.settle!(wanted, this.positions, AbortSignal.timeout(8000)));
  }

  /** Of the reader; of a source for a look where there is none. */
  async look<T>(use: (source: Source) => Promise<T>, onLost: OnLostPosition | null = null): Promise<T> {
    if (this.source !== null) return use(this.source);
    const source = this.make(onLost);
    try {
      return await use(source);
    } finally {
      await source.close();
    }
  }

  private async read(source: Source, beforeEach: () => void | Promise<void>): Promise<void> {
    try {
      const orders = new Map(this.last === '' ? [] : [['', this.last]]);
      for await (const batch of source.read(new Map(this.positions), this.abort.signal, orders)) {
        this.connected ||= batch === CONNECTED;
        await beforeEach();
        this.largest = Math.max(this.largest, batch.events.length);
        for (const event of batch.events) this.append(event);
        if (batch.position === null) continue;
        this.positions.set(batch.partition, batch.position);
        this.noted ||= batch.partition === '#asked';
        await source.ack(batch.partition, batch.position);
      }
    } catch (error) {
      this.failure = error as StreamError;
    }
  }

  private append(event: ChangeEvent): void {
    if (event.order !== null && event.order <= this.last) {
      this.dropped += 1;
      return;
    }
    this.last = event.order ?? this.last;
    this.events.push(event);
  }

  private make(onLostPosition: OnLostPosition | null): Source {
    const connection: ConnectionSettings = { id: 'conn_1', type: this.type, config: this.server };
    const abandoned = new Map(this.positions);
    const log: Log = {
      ...{ debug: nothing, info: nothing, error: nothing },
      warn: (fields, message) => void this.warnings.push({ fields, message }),
    };
    return mysqlCdc.create({
      ...{ streamId: this.id, streamName: this.id, config: this.config, connection, outbound, owned: {} },
      orders: {
        ...NO_ORDERS,
        open: async () => {
          const open = this.orders.filter((order) => !this.closed.some((one) => one.id === order.id));
          this.asked++;
          await this.storeAnswers;
          return open;
        },
        done: () =>
          Promise.resolve(
            this.orders.filter(({ id }) => this.closed.some((one) => one.id === id && one.failed === null)).reverse(),
          ),
        close: (id, { failed }) => {
          if (this.deaf) return Promise.reject(new Error('not now'));
          if (!this.closed.some((one) => one.id === id)) this.closed.push({ id, failed });
          return Promise.resolve();
        },
      },
      ...{ onLostPosition, clock: this.clock, log },
      reached: () => Promise.resolve(this.positions),
      abandoned: () => Promise.resolve(abandoned),
      remember: () => Promise.resolve(),
    });
  }
}

/** The row's own text, every digit of it. */
export function afterText(text: string): string {
  const from = text.indexOf('"after":') + 8;
  return text.slice(from, text.lastIndexOf(',"unchanged":[]'));
}
