import {
  NO_ORDERS,
  systemClock,
  type Check,
  type ConnectionSettings,
  type Lag,
  type Log,
  type OnLostPosition,
  type Outbound,
  type Owned,
  type Position,
  type Positions,
  type Source,
  type StreamError,
} from '@planasonix/core';
import { postgresCdc } from '../source-type.js';

const outbound: Outbound = { resolve: (host) => Promise.resolve(host) };

interface Server {
  readonly port: number;
  readonly password: string;
}

/**
 * A stream without the rest of the product: what its source hands over is taken for durable at once and acknowledged.
 * What an owner would find in the store (position, what was made) is kept between its readers.
 */
export class TrialStream {
  readonly warnings: { readonly fields: object; readonly message: string }[] = [];
  /** Data of every event, as text. */
  readonly events: string[] = [];
  /** By partition: a source may keep more than one. */
  readonly kept = new Map<string, Position>();
  owned: Owned = {};
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
    return (JSON.parse(this.kept.get('') ?? '{"lsn":"0/0"}') as { lsn: string }).lsn;
  }

  get timeline(): number | undefined {
    return (JSON.parse(this.kept.get('') ?? '{}') as { timeline?: number }).timeline;
  }

  configure(config: Readonly<Record<string, unknown>>): void {
    this.config = config;
  }

  /** The connection leads elsewhere from now on. */
  moveTo(server: Server): void {
    this.server = server;
  }

  start(onLostPosition: OnLostPosition | null = null): void {
    this.failure = null;
    this.connected = false;
    this.abort = new AbortController();
    const source = (this.source = this.make(onLostPosition));
    if (onLostPosition !== null) this.kept.clear();
    this.reading = this.read(source, new Map(this.kept)).finally(() => source.close());
  }

  async stop(): Promise<void> {
    this.abort.abort();
    await this.source?.close();
    await this.reading;
    this.source = null;
  }

  /** Of the reader; of a source for a look where there is none. */
  async lag(): Promise<Lag> {
    return this.source === null
      ? this.look((source) => source.lag(this.kept, AbortSignal.timeout(8000)))
      : this.source.lag(this.kept, AbortSignal.timeout(8000));
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

  private async read(source: Source, from: Positions): Promise<void> {
    try {
      for await (const batch of source.read(from, this.abort.signal)) {
        this.connected = true;
        for (const event of batch.events) this.events.push(event.data.toString());
        if (batch.position === null) continue;
        this.kept.set(batch.partition, batch.position);
        await source.ack(batch.partition, batch.position);
      }
    } catch (error) {
      this.failure = error as StreamError;
    }
  }

  private make(onLostPosition: OnLostPosition | null): Source {
    const { port, password } = this.server;
    const connection: ConnectionSettings = {
      id: 'conn_1',
      type: 'postgres',
      config: { host: '127.0.0.1', port, database: 'postgres', user: 'postgres', password, sslMode: 'disable' },
    };
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
      ...{ orders: NO_ORDERS, onLostPosition, clock: systemClock, log },
    });
  }
}
