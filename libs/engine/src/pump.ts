import {
  type Appended,
  Bell,
  type ChangeBatch,
  type Position,
  type Orders,
  type Positions,
  type Sink,
  type Source,
  StreamError,
} from '@planasonix/core';
import { Batcher, isSnapshot, oldestOf, type Group } from './batcher.js';
import { PUMP_LIMITS, type PumpLimits } from './pump-limits.js';
import { lapsed, Settler, type SettlerDeps } from './settler.js';

export interface PumpDeps extends SettlerDeps {
  readonly source: Source;
  readonly sink: Sink;
  /** Of the log, as it was opened. */
  readonly orders: Orders;
  readonly limits?: Partial<PumpLimits>;
  /** Reading began, and where is in the log: whoever goes on from it finds what is written from now on. */
  onConnected(): void;
  /** Positions that were read here were committed. */
  onSettled(): void;
}

type State = 'running' | 'draining' | 'paused' | 'stopping' | 'over';

/**
 * From a source to a log. Low rate: each batch goes out as it comes. High rate: while the log is busy, batches merge.
 * It never waits for a batch to fill. Used once.
 */
export class Pump {
  readonly #limits: PumpLimits;
  readonly #batcher: Batcher;
  readonly #settler: Settler;
  readonly #changed = new Bell();
  readonly #abort = new AbortController();
  readonly #flights: Group[] = [];
  readonly #positions = new Map<string, Position>();
  #flightBytes = 0;
  #state: State = 'running';
  /** The source has given something. */
  #answered = false;
  /** The source says that it reads; what it gave before lands first. */
  #connecting = false;
  /** It gave the places where it begins, which are new. */
  #began = false;
  #connected = false;
  #sendSoon = false;
  #heartbeatAt = Number.NEGATIVE_INFINITY;
  /** When the log last owed no answer, gave one, or said that it waits. */
  #answeredAt: number;
  /** When something landed, or the log was asked whether it is still there. */
  #heardAt: number;
  /** What a pull brought after the pump was told to pause. */
  #parked: ChangeBatch | null = null;
  #sourceEnded = false;
  #failure: { readonly error: unknown } | null = null;

  constructor(private readonly deps: PumpDeps) {
    this.#limits = { ...PUMP_LIMITS, ...deps.limits };
    this.#batcher = new Batcher(this.#limits);
    this.#settler = new Settler(deps);
    this.#answeredAt = this.#heardAt = deps.clock.monotonic();
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** What is under way to the store. */
  get committing(): Promise<unknown> | null {
    return this.#settler.running;
  }

  /** All that it found in the log and appended is committed. */
  get settled(): boolean {
    const knowsFound = this.#answered || this.#positions.size === 0;
    return knowsFound && this.#flights.length === 0 && this.#settler.settled;
  }

  /** Where the log stands, by partition. */
  get positions(): Positions {
    return this.#positions;
  }

  /** Commit time of the oldest event that was handed over and is not in the log, ms. */
  oldestHeld(): number | null {
    const parked = (this.#parked?.events ?? []).map((event) => event.timeMs);
    return oldestOf([this.#batcher.oldestMs(), ...this.#flights.map((group) => group.oldestMs), ...parked]);
  }

  /** Events that the source has handed over, and those of them that are in the log. */
  get counts(): { readonly handed: number; readonly landed: number } {
    const { waiting, taken } = this.#batcher.counts;
    const landed = this.#flights.reduce((left, group) => left - group.events.length, taken);
    return { handed: taken + waiting + (this.#parked?.events.length ?? 0), landed };
  }

  /**
   * Reads from `from` until the source ends by itself or `stop` has drained (resolves), or until something fails or
   * `signal` is aborted (rejects). What it leaves behind it has ended: nothing is written after it has settled.
   */
  async run(from: Positions, signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#fail(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    for (const [partition, position] of from) this.#positions.set(partition, position);
    const iterator = this.deps.source.read(from, this.#abort.signal, this.deps.orders)[Symbol.asyncIterator]();
    void this.#read(iterator);
    void this.#tick();
    try {
      for (;;) {
        const seen = this.#changed.count;
        if (this.#failure) throw this.#failure.error;
        if (this.#state === 'over') return;
        if (this.#sourceEnded && this.#state === 'running') {
          await this.stop(Number.POSITIVE_INFINITY);
          continue;
        }
        await this.#changed.wait(seen);
      }
    } finally {
      this.#state = 'over';
      this.#settler.close();
      signal.removeEventListener('abort', onAbort);
      this.#abort.abort();
      void Promise.resolve(iterator.return?.()).catch(() => undefined);
    }
  }

  /**
   * Stops pulling and lets what was pulled land; the source's connection stays.
   * @returns `false` when that took longer than `withinMs` (a log that is full), or where the log would hold up its readers
   *   meanwhile for a transaction that has no end yet: the pump must be given up then.
   */
  async pause(withinMs: number): Promise<boolean> {
    if (this.#state === 'paused') return true;
    if (this.#state !== 'running') return false;
    this.#state = 'draining';
    const landed = await this.#landAll(withinMs);
    if (!landed || this.#state !== 'draining' || this.deps.sink.unfinished === true) return false;
    this.#state = 'paused';
    return true;
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    const parked = this.#parked;
    this.#parked = null;
    if (parked) this.#add(parked);
    this.#changed.ring();
  }

  /** Stops pulling, lets what was pulled land within the time, settles, ends. */
  async stop(withinMs: number): Promise<void> {
    if (this.#state === 'over') return;
    this.#state = 'stopping';
    await this.#landAll(withinMs);
    this.#state = 'over';
    this.#changed.ring();
  }

  async #landAll(withinMs: number): Promise<boolean> {
    const { clock } = this.deps;
    const until = clock.monotonic() + withinMs;
    const timer = new AbortController();
    if (Number.isFinite(withinMs)) void clock.sleep(withinMs, timer.signal).then(() => this.#changed.ring());
    const settled = () => {
      this.#changed.ring();
      return true;
    };
    this.#send();
    const busy = () => this.#flights.length > 0 || !this.#batcher.empty;
    while (busy() && !this.#failure && clock.monotonic() < until) await this.#changed.wait();
    if (!busy() && !this.#failure) {
      let done = false;
      void this.#settleAll(until === Infinity).then(() => (done = settled()));
      // The store may be slow: what is not committed in time is found in the log by the next reader.
      while (!done && !this.#failure && clock.monotonic() < until) await this.#changed.wait();
    }
    timer.abort();
    return !busy() && !this.#failure;
  }

  /** @param patient until nothing is left: what is not durable yet will be, and the store comes back */
  async #settleAll(patient: boolean): Promise<void> {
    await this.#settle();
    while (patient && !this.#settler.settled && !this.#failure && !this.#over())
      if (await this.deps.clock.sleep(this.#limits.settleEveryMs, this.#abort.signal)) await this.#settle();
  }

  async #read(iterator: AsyncIterator<ChangeBatch>): Promise<void> {
    try {
      for (;;) {
        while (this.#state !== 'over' && (this.#state !== 'running' || this.#mayNotPull())) await this.#changed.wait();
        if (this.#state === 'over') return;
        const pulled = await iterator.next();
        if (this.#over()) return;
        if (pulled.done) break;
        this.#take(pulled.value);
      }
      this.#sourceEnded = true;
      this.#changed.ring();
    } catch (error) {
      this.#fail(error);
    }
  }

  #mayNotPull(): boolean {
    return this.#batcher.full || this.#parked !== null || this.#connecting;
  }

  #over(): boolean {
    return this.#state === 'over';
  }

  #take(batch: ChangeBatch): void {
    if (!this.#answered) {
      this.#answered = true;
      // What the last reader wrote to the log, and perhaps did not live to settle.
      for (const [partition, position] of this.#positions)
        this.#settler.landed(partition, position, this.deps.sink.settleDelayMs, false);
    }
    if (batch.events.length === 0 && batch.position === null) {
      this.#connecting = !this.#connected;
      return this.#connect();
    }
    this.#began ||= !this.#connected;
    if (this.deps.step && isSnapshot(batch)) this.deps.step('snapshot-chunk');
    if (this.#state === 'running') this.#add(batch);
    else this.#parked = batch; // Invariant 7: nothing enters the log once it says paused
  }

  /**
   * Invariant 7: a stream that runs loses nothing of what is written from then on, so where it began is durable, and
   * committed where the log alone may lose it yet: a log that is lost then is known for that.
   */
  #connect(): void {
    if (!this.#connecting || this.#flights.length > 0 || !this.#batcher.empty) return;
    if (this.#began && this.deps.sink.settleDelayMs > 0 && !this.#settler.settled) return;
    this.#connecting = false;
    this.#connected = true;
    this.deps.onConnected();
  }

  #add(batch: ChangeBatch): void {
    this.#batcher.add(batch);
    if (this.#batcher.full || this.#batcher.head?.closed) this.#send();
    if (this.#sendSoon) return;
    // What the source can give at once comes before this; what it must wait for does not.
    this.#sendSoon = true;
    setImmediate(() => {
      this.#sendSoon = false;
      this.#send();
    });
  }

  #send(): void {
    for (let group = this.#batcher.head; group && this.#maySend(group); group = this.#batcher.head) {
      if (!this.deps.mayWrite()) return this.#fail(lapsed()); // Invariant 3
      this.#batcher.take();
      this.#flights.push(group);
      this.#flightBytes += group.bytes;
      if (group.events.length === 0) this.#heartbeatAt = this.deps.clock.monotonic();
      this.deps.sink
        .append({ partition: group.partition, events: group.events, position: group.position }, this.#abort.signal)
        .then(
          (appended) => this.#landed(group, appended),
          (error: unknown) => this.#fail(error),
        );
      this.#changed.ring();
    }
  }

  #maySend(group: Group): boolean {
    if (this.#state === 'paused' || this.#state === 'over') return false;
    const flights = this.#flights.length;
    if (flights >= this.#limits.inFlight) return false; // Invariant 6
    if (flights > 0 && this.#flightBytes + group.bytes > this.#limits.inFlightBytes) return false;
    if (this.#state !== 'running' || group.closed || this.#batcher.full) return true;
    if (flights >= this.#limits.eager) return false;
    // A position alone (a heartbeat, a commit that we don't care for) is not worth an fsync of its own.
    const alone = group.events.length === 0 && this.#batcher.length === 1;
    return !alone || !this.#connected || this.deps.clock.monotonic() - this.#heartbeatAt >= this.#limits.settleEveryMs;
  }

  #landed(group: Group, appended: Appended): void {
    if (this.#state === 'over') return;
    if (this.#flights.shift() !== group) return this.#fail(new Error('the sink resolved appends out of order'));
    this.#flightBytes -= group.bytes;
    const { clock, counters, sink } = this.deps;
    this.#answeredAt = this.#heardAt = clock.monotonic();
    counters.durable(group.events, appended, clock.now());
    if (this.deps.step && group.events.length > 0)
      this.deps.step(isSnapshot(group) ? 'snapshot-recorded' : 'log-appended');
    // What the log held already does not move its position: others may have written it without this one (Invariant 1).
    if (group.position !== null && (appended.events > 0 || group.events.length === 0)) {
      this.#positions.set(group.partition, group.position);
      this.#settler.landed(group.partition, group.position, sink.settleDelayMs);
    }
    this.#send();
    this.#connect();
    this.#changed.ring();
  }

  async #tick(): Promise<void> {
    while (await this.deps.clock.sleep(this.#limits.settleEveryMs, this.#abort.signal)) {
      this.#watch();
      this.#send();
      await this.#settle();
    }
  }

  /** A source is told to wait for as long as somebody gets on, not for a log that is silent (trap 8, Invariant 6). */
  #watch(): void {
    const { clock, sink } = this.deps;
    const now = clock.monotonic();
    // Another one has less than was said to be durable: that is found out also while nothing is written (trap 26).
    if (this.#state === 'running' && now - this.#heardAt >= this.#limits.askEveryMs) {
      this.#heardAt = now;
      sink.stillThere?.().catch((error: unknown) => this.#fail(error));
    }
    if (this.#flights.length === 0 || sink.blocked !== null) this.#answeredAt = now;
    else if (now - this.#answeredAt > this.#limits.answerWithinMs)
      this.#fail(
        new StreamError('log_unavailable', `The log has not answered for ${this.#limits.answerWithinMs / 1000} s`),
      );
  }

  async #settle(): Promise<void> {
    try {
      if (await this.#settler.settle()) this.deps.onSettled();
      this.#connect();
      this.#changed.ring();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#failure || this.#state === 'over') return;
    this.#failure = { error };
    this.#abort.abort();
    this.#changed.ring();
  }
}
