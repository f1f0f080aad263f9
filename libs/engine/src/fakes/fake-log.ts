import {
  isPlaced,
  StreamError,
  type Appended,
  type ChangeBatch,
  type OpenedLog,
  type Seat,
  type Sink,
} from '@planasonix/core';

interface Waiting {
  readonly batch: ChangeBatch;
  /** Of the one who appends: what he found when he opened, and what he has appended since. */
  readonly own: { events: number; bytes: number };
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: Error) => void;
}

/** A log in memory that keeps the contract; a test says when its appends land. */
export class FakeLog {
  epoch = 0;
  session = 0;
  /** Of those who write beside the session, by their index. */
  readonly besides = new Map<number, number>();
  #lastSession = 0;
  /** The decision that positions were forgotten for. */
  reset: number | null = null;
  ids: string[] = [];
  readonly positions = new Map<string, string>();
  readonly orders = new Map<string, string>();
  events = 0;
  bytes = 0;
  /** Appends land by themselves; otherwise by `land`. */
  auto = true;
  full = false;
  /** Whoever appends is told of what was there when he opened and what he has appended, as by Kafka. */
  totalsPerWriter = false;
  /** Answers nobody; what was sent to it lands when it thaws, also of those who have gone away. */
  frozen = false;
  readonly #thawed: (() => void)[] = [];
  failure: StreamError | null = null;
  /** Parts stay in a transaction that is open until a position comes, as in Kafka. */
  holdsParts = false;
  lastWasPart = false;
  opens = 0;
  settleDelayMs = 0;
  mostInFlight = 0;
  readonly sizes: number[] = [];
  readonly #waiting: Waiting[] = [];

  wipe(): void {
    this.epoch = this.events = this.bytes = 0;
    this.ids = [];
    this.reset = null;
    this.positions.clear();
    this.orders.clear();
  }

  /** The oldest `count` appends become durable. */
  land(count = Number.POSITIVE_INFINITY): void {
    while (!this.full && !this.frozen && count-- > 0 && this.#waiting.length > 0) this.#landOne(this.#waiting.shift()!);
  }

  thaw(): void {
    this.frozen = false;
    this.land();
    for (const go of this.#thawed.splice(0)) go();
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Everything under way is refused. */
  fail(error: StreamError): void {
    for (const one of this.#waiting.splice(0)) one.reject(error);
  }

  sink(epoch: number, seat?: Seat): Sink {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the sink is a view of this log
    const log = this;
    let session = -1;
    const own = { events: 0, bytes: 0 };
    const isBarred = () => log.epoch > epoch || session !== (seat ? log.besides.get(seat.index) : log.session);
    let over: Error | null = null;
    let heard: AbortSignal | null = null;
    const mine: Waiting[] = [];
    const end = (error: Error) => {
      over ??= error;
      for (const one of mine.splice(0)) {
        const at = log.#waiting.indexOf(one);
        if (at >= 0 && !log.frozen) log.#waiting.splice(at, 1);
        one.reject(over);
      }
    };
    return {
      get settleDelayMs() {
        return log.settleDelayMs;
      },
      get blocked() {
        return log.full && mine.length > 0 ? ({ reason: 'log_full' } as const) : null;
      },
      async open(options = {}): Promise<OpenedLog> {
        log.opens++;
        if (log.frozen) await new Promise<void>((go) => log.#thawed.push(go));
        if (log.failure) throw log.failure;
        if (log.epoch > epoch || (seat && (log.epoch !== epoch || seat.session !== `s-${log.session}`)))
          throw new StreamError('fenced', 'newer owner');
        log.epoch = epoch;
        session = ++log.#lastSession;
        if (seat) log.besides.set(seat.index, session);
        else {
          log.session = session;
          log.besides.clear();
        }
        if (options.reset !== undefined && (log.reset !== options.reset || !isPlaced(log.positions))) {
          log.reset = options.reset;
          log.positions.clear();
          log.orders.clear();
        }
        Object.assign(own, { events: log.events, bytes: log.bytes });
        return {
          session: `s-${session}`,
          positions: new Map(log.positions),
          orders: new Map(log.orders),
          totals: { events: log.events, bytes: log.bytes },
        };
      },
      stillThere: async () => {
        if (log.frozen) await new Promise(() => undefined);
        if (log.failure) throw log.failure;
      },
      get unfinished() {
        return log.holdsParts && log.lastWasPart;
      },
      append(batch, signal) {
        if (over !== null) return Promise.reject(over);
        return new Promise((resolve, reject) => {
          const check = (then: () => void) => {
            if (isBarred()) end(new StreamError('fenced', 'newer owner'));
            else if (log.failure) end(log.failure);
            else then();
          };
          const one: Waiting = {
            batch,
            own,
            resolve: (appended) => {
              mine.splice(mine.indexOf(one), 1);
              resolve(appended);
            },
            reject: (error) => {
              over ??= error;
              reject(error);
            },
          };
          if (heard !== signal) signal.addEventListener('abort', () => end(signal.reason as Error), { once: true });
          heard = signal;
          mine.push(one);
          log.#waiting.push(one);
          log.mostInFlight = Math.max(log.mostInFlight, log.#waiting.length);
          check(() => undefined);
          if (log.auto && !log.full) queueMicrotask(() => log.land());
        });
      },
      close() {
        end(new StreamError('log_unavailable', 'closed'));
        return Promise.resolve();
      },
    };
  }

  #landOne({ batch, own, resolve }: Waiting): void {
    let last = this.orders.get(batch.partition) ?? '';
    const fresh = batch.events.filter((event) => {
      if (event.order !== null && event.order <= last) return false;
      last = event.order ?? last;
      return true;
    });
    this.orders.set(batch.partition, last);
    this.ids.push(...fresh.map((event) => event.id));
    this.sizes.push(batch.events.length);
    this.lastWasPart = batch.position === null;
    this.events += fresh.length;
    const bytes = fresh.reduce((sum, event) => sum + event.data.length, 0);
    this.bytes += bytes;
    own.events += fresh.length;
    own.bytes += bytes;
    const moves = fresh.length > 0 || batch.events.length === 0;
    if (batch.position !== null && moves) this.positions.set(batch.partition, batch.position);
    resolve({
      events: fresh.length,
      bytes,
      duplicates: batch.events.length - fresh.length,
      totals: this.totalsPerWriter ? { ...own } : { events: this.events, bytes: this.bytes },
    });
  }
}
