import {
  isIn,
  isPlaced,
  Limit,
  StreamError,
  type Held,
  type OnLostPosition,
  type Orders,
  type PipelineOutput,
  type Position,
  type Positions,
  type Seat,
  type Share,
  type Sink,
  type SnapshotProgress,
  type Source,
  type StreamSpec,
} from '@planasonix/core';
import type { Counters } from './counters.js';
import type { EngineDeps, SourceExtras } from './deps.js';
import { DurableProgress } from './durable-progress.js';
import { failureOf, type Failure } from './failure.js';
import { preflight, PreflightFailed } from './preflight.js';
import { Pump } from './pump.js';
import { within } from './within.js';

export type AttemptEnd = { readonly kind: 'ended' } | { readonly kind: 'failed'; readonly failure: Failure };

export interface AttemptDeps {
  readonly engine: EngineDeps;
  readonly spec: StreamSpec;
  readonly held: Held;
  readonly counters: Counters;
  readonly extras: SourceExtras;
  /** What it reads. */
  readonly share: Share;
  /** It writes beside another one. Absent: it is the writer of the stream. */
  readonly seat?: Seat;
  /** `false`: look only (log opened, lag known, nothing read): a paused stream that was taken over. */
  readonly reads: boolean;
  /** Ask the source first whether it can run. */
  readonly preflight: boolean;
  mayWrite(): boolean;
  /** Something to look at: opened, connected, or over. */
  onChange(): void;
  onSettled(): void;
  /** The log holds a place from after the lost position was given up: the decision has been carried out. */
  onGivenUp(): void;
}

const CLOSE_MS = 1_500;
const LAG_MS = { reading: 1_000, looking: 10_000, late: 5_000 } as const;

/** One connection to a log and a source, from opening to closing. Never throws: `end` says what became of it. */
export class Attempt {
  #end: AttemptEnd | null = null;
  #sink: Sink | null = null;
  #source: Source | null = null;
  #pump: Pump | null = null;
  readonly #rows = new DurableProgress();
  #session: string | null = null;
  #orders: Orders = new Map();
  #progressed = false;
  /** The log held a position when it was opened. */
  #placed = false;
  #ordersRang = false;
  /** Found lost by looking, while nothing was being read. */
  #lost: StreamError | null = null;
  /** What is to be done about a lost position, until it has been done. */
  #onLost: OnLostPosition | null;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;

  constructor(private readonly deps: AttemptDeps) {
    this.#onLost = deps.extras.onLostPosition;
    this.#done = this.#run();
  }

  get end(): AttemptEnd | null {
    return this.#end;
  }

  get reads(): boolean {
    return this.deps.reads;
  }

  /** The log takes nothing any more from whoever wrote before, nor what he had sent. */
  get opened(): boolean {
    return this.#session !== null;
  }

  /** Something of what it found in the log or appended is durable and may not be committed. */
  get unsettled(): boolean {
    return this.#sink?.settleDelayMs === 0 && !(this.#pump?.settled ?? !this.#placed);
  }

  /** The log that it writes to. */
  get output(): PipelineOutput {
    return this.deps.spec.output;
  }

  /** What is under way to the store. */
  get committing(): Promise<unknown> | null {
    return this.#pump?.committing ?? null;
  }

  /** Names the opening of the log; `null`: it is not open yet. */
  get session(): string | null {
    return this.#session;
  }

  /** Over how many readers the stream could be spread; `null`: not known, or its source can't be. */
  get shares(): number | null {
    return this.connected ? (this.#source?.shares?.() ?? null) : null;
  }

  get connected(): boolean {
    return this.#pump?.connected ?? false;
  }

  /** It reads, and where everything of the stream begins is in the log: what reads a part of it finds it there. */
  get begun(): boolean {
    return this.connected && (this.#placed || (this.#pump?.positions.size ?? 0) > 0);
  }

  /** Something became durable. */
  get progressed(): boolean {
    return this.#progressed;
  }

  get blocked(): { readonly reason: string } | null {
    return this.#sink?.blocked ?? null;
  }

  snapshot(): SnapshotProgress | 'over' | null {
    return this.#rows.see(this.#source?.snapshot() ?? null, this.#pump?.counts ?? { handed: 0, landed: 0 });
  }

  /** Orders have come or were cancelled. */
  ordersChanged(): void {
    this.#ordersRang = true;
    if (this.#source) this.#tellOfOrders(this.#source);
  }

  oldestHeld(): number | null {
    return this.#pump?.oldestHeld() ?? null;
  }

  /** @returns `false` when there is nothing that could be kept: end it instead. */
  async pause(withinMs: number): Promise<boolean> {
    return this.#pump !== null && this.#end === null && (await this.#pump.pause(withinMs));
  }

  resume(): void {
    this.#pump?.resume();
  }

  /** Lets what was read land within the time, then closes. Resolves when everything is closed. */
  async stop(withinMs: number): Promise<void> {
    if (this.#pump && withinMs > 0) await this.#pump.stop(withinMs);
    this.#abort.abort(new StreamError('internal', 'The attempt was ended'));
    await within(this.deps.engine.clock, CLOSE_MS * 2, this.#done);
  }

  async #run(): Promise<void> {
    const { engine, spec } = this.deps;
    try {
      const positions = await this.#open();
      const onLostPosition = this.#onLost;
      const source = (this.#source = engine.createSource(
        { ...spec, onLostPosition },
        { ...this.deps.extras, onLostPosition, share: this.deps.share, reached: () => Promise.resolve(positions) },
      ));
      if (this.#ordersRang) this.#tellOfOrders(source);
      if (this.deps.reads) await this.#read(source, positions);
      else await this.#watchLag(source, () => positions, LAG_MS.looking, this.#abort.signal);
      if (this.#lost) throw this.#lost;
      this.#end = { kind: 'ended' };
    } catch (error) {
      this.#end = {
        kind: 'failed',
        failure:
          this.#lost === null && this.#abort.signal.aborted && error === this.#abort.signal.reason
            ? ABORTED
            : this.#failure(this.#lost ?? error),
      };
    }
    await this.#close();
    this.deps.onChange();
  }

  /** The log's position is the truth about where to go on. */
  async #open(): Promise<Positions> {
    const { engine, spec, extras, counters, reads, seat } = this.deps;
    const sink = (this.#sink = engine.openSink(spec, seat));
    const gives = reads && this.#onLost !== null;
    const opened = await sink.open(gives ? { reset: spec.givenUpAt } : {});
    counters.opened(opened.totals);
    if (opened.doubles)
      engine.log.warn(
        { streamId: spec.id, events: opened.doubles },
        'events that a killed log added and nobody counted were removed from it: they are in it elsewhere, or come again',
      );
    this.#session = opened.session;
    this.#orders = opened.orders;
    this.#placed = opened.positions.size > 0;
    this.deps.onChange();
    this.#abort.signal.throwIfAborted();
    if (gives && isPlaced(opened.positions)) {
      // Invariant 2: given up once, by an attempt that could not say so. A second time would skip what it began.
      this.#onLost = null;
      this.deps.onGivenUp();
    }
    if (opened.positions.size > 0 || gives) return this.#ours(opened.positions);
    const committed = await extras.abandoned();
    if (!this.deps.reads) return committed;
    if (committed.size > 0)
      // Invariant 2: the source has forgotten what the log no longer holds.
      throw new StreamError('offset_gap', 'The log is empty, but the source was acknowledged before: the log was lost');
    return opened.positions;
  }

  /** Those of other shares are others' to move. Notes about the source are everybody's to read. */
  #ours(positions: Positions): Positions {
    const { share } = this.deps;
    if (share.of === 1) return positions;
    return new Map([...positions].filter(([partition]) => partition.startsWith('#') || isIn(share, partition)));
  }

  async #read(source: Source, from: Positions): Promise<void> {
    const { engine, held, counters } = this.deps;
    const { clock, log, ledger } = engine;
    if (this.deps.preflight) {
      const givesUp = this.#onLost !== null;
      await preflight(engine, { spec: this.deps.spec, source, givesUp, signal: this.#abort.signal });
    }
    const pump = new Pump({
      source,
      sink: this.#sink!,
      orders: this.#orders,
      ledger,
      held,
      clock,
      log,
      counters,
      limits: engine.pump,
      mayWrite: () => this.deps.mayWrite(),
      step: engine.step,
      onConnected: () => this.deps.onChange(),
      onSettled: () => {
        this.#progressed = true;
        this.deps.onSettled();
        if (isPlaced(pump.positions)) this.deps.onGivenUp();
      },
    });
    const over = new AbortController();
    this.#pump = pump;
    const positions = (): ReadonlyMap<string, Position> => pump.positions;
    void this.#watchLag(source, positions, LAG_MS.reading, over.signal);
    try {
      await pump.run(from, this.#abort.signal);
    } finally {
      over.abort();
    }
  }

  #tellOfOrders(source: Source): void {
    if (source.ordersChanged) source.ordersChanged();
    else void this.#refuseOrders();
  }

  /** Invariant 7: an order that nobody will ever carry out is not left waiting. */
  async #refuseOrders(): Promise<void> {
    const { orders } = this.deps.extras;
    try {
      for (const { id } of await orders.open())
        await orders.close(id, { failed: 'This type of source can not read rows again while it runs.' });
    } catch (error) {
      this.deps.engine.log.warn({ streamId: this.deps.held.streamId, err: error }, 'orders could not be closed');
    }
  }

  async #watchLag(source: Source, positions: () => Positions, everyMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.deps.engine;
    do {
      const limit = new Limit(signal);
      try {
        const lag = await within(clock, LAG_MS.late, source.lag(positions(), limit.signal), signal);
        if (signal.aborted) return;
        if (lag === 'late') this.deps.counters.lagUnknown();
        else this.deps.counters.lagged(lag);
      } catch (error) {
        this.deps.counters.lagUnknown();
        // What is lost does not come back, and a paused stream has nobody else who would notice (trap 9). One that
        // has yet to connect finds out by reading, and knows better what it is.
        const settled = this.connected || !this.deps.reads;
        if (error instanceof StreamError && error.recourse === 'lost' && settled && !signal.aborted) {
          this.#lost = error;
          this.#abort.abort(error);
        }
      }
      limit.end();
    } while (await clock.sleep(everyMs, signal));
  }

  #failure(error: unknown): Failure {
    return error instanceof PreflightFailed
      ? error.failure
      : failureOf(error, this.deps.engine.log, this.deps.held.streamId);
  }

  async #close(): Promise<void> {
    const { clock } = this.deps.engine;
    this.#abort.abort(new StreamError('internal', 'The attempt is over'));
    // The log first: nothing may be written any more once somebody hears that this is over.
    await within(clock, CLOSE_MS, Promise.allSettled([this.#sink?.close(), this.#source?.close()]));
  }
}

const ABORTED: Failure = { code: 'internal', recourse: 'retry', message: 'ended', hint: null };
