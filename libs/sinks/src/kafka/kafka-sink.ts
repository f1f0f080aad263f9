import {
  StreamError,
  type Appended,
  type ChangeBatch,
  type ChangeEvent,
  type LogTotals,
  type OpenedLog,
  type Position,
  type Seat,
  type Sink,
} from '@planasonix/core';
import { CloudEventEncoder } from './cloud-event.js';
import type { Mark } from './journal.js';
import { logFailure, reach, type KafkaDeps, type Reached } from './kafka-cluster.js';
import { Placement } from './placement.js';
import { topicOfAll } from './topic-name.js';
import { StreamWriter, type KafkaOutput } from './writer.js';

interface Flight {
  readonly partition: string;
  /** Those that the log does not hold. */
  readonly events: readonly ChangeEvent[];
  readonly position: Position | null;
  readonly bytes: number;
  readonly duplicates: number;
  /** Of its last event; empty: none has one. */
  readonly order: string;
  /** `part`: of something larger that is not whole yet. `nothing`: the log holds all of it. */
  readonly kind: 'whole' | 'part' | 'nothing';
  resolve(appended: Appended): void;
  reject(error: unknown): void;
}

/** How long a sink that is closed may take to give up what it has open, ms; then the next owner does. */
const GIVE_UP_MS = 1_500;

/**
 * One stream's writing end. Everything that waits goes into one Kafka transaction together with the positions that it
 * reaches. Parts of a large transaction of the source are written as they come and resolve, in an open Kafka
 * transaction, which the end of the source's own commits: so readers see it whole, and it need not fit into memory.
 */
export class KafkaSink implements Sink {
  readonly settleDelayMs = 0;
  readonly blocked = null;

  readonly #marks = new Map<string, Mark>();
  readonly #flights: Flight[] = [];
  readonly #closing = new AbortController();
  #signal: AbortSignal | null = null;
  #reached: Reached | null = null;
  #writer: StreamWriter | null = null;
  #placement: Placement | null = null;
  #totals: LogTotals = { events: 0, bytes: 0 };
  /** What is written in the open transaction, and of which partitions. */
  #written: LogTotals = { events: 0, bytes: 0 };
  readonly #touched = new Set<string>();
  /** Taken into account when an event is handed over; `#marks` follow when it is written. */
  readonly #orders = new Map<string, string>();
  #running: Promise<void> | null = null;
  #failure: unknown = null;

  constructor(
    private readonly streamId: string,
    private readonly epoch: number,
    private readonly output: KafkaOutput,
    private readonly deps: KafkaDeps,
    private readonly seat: Seat | null,
  ) {}

  async open({ reset }: { readonly reset?: number } = {}): Promise<OpenedLog> {
    if (this.#writer) throw new Error('a sink is opened once');
    const { streamId, epoch, seat, output } = this;
    const { clock } = this.deps;
    try {
      const reached = (this.#reached = await reach(output.connectionId, this.deps));
      const writer = (this.#writer = new StreamWriter({ streamId, epoch, seat, output, reached, clock }));
      const { marks, totals, reset: before } = await writer.enter(reset === undefined ? 'refuse' : 'take');
      this.#totals = totals;
      // Invariant 2: what this decision led to is not given up a second time.
      const done =
        before === reset && [...marks].some(([name, { position }]) => position !== null && !name.startsWith('#'));
      const forgets = reset !== undefined && !done;
      const forgotten = new Map(forgets ? [...marks.keys()].map((partition) => [partition, null]) : []);
      if (seat === null) {
        await writer.write([], { totals, marks: forgotten, ...(forgets ? { reset } : {}) });
        await writer.commit();
      }
      // A topic that is missing is told of at once where its name does not depend on the events.
      const topic = topicOfAll(output.topic, streamId);
      if (topic !== null) await writer.topic(topic);
      const encoder = new CloudEventEncoder(streamId, output.tombstones === true);
      this.#placement = new Placement(streamId, output.topic, encoder, (topic) => writer.topic(topic));
      const { session } = writer;
      if (forgets) return { session, positions: new Map(), orders: new Map(), totals };
      const positions = new Map<string, Position>();
      for (const [partition, mark] of marks) {
        this.#marks.set(partition, mark);
        if (mark.order !== '') this.#orders.set(partition, mark.order);
        if (mark.position !== null) positions.set(partition, mark.position);
      }
      return { session, positions, orders: new Map(this.#orders), totals };
    } catch (error) {
      throw this.#fail(logFailure((await this.#writer?.explain(error)) ?? error));
    }
  }

  append(batch: ChangeBatch, signal: AbortSignal): Promise<Appended> {
    if (this.#failure !== null) return rejected(this.#failure);
    if (signal.aborted) return rejected(this.#fail(signal.reason));
    const { partition, position } = batch;
    const events = this.#unseen(batch);
    let bytes = 0;
    for (const event of events) bytes += event.data.length;
    this.#listen(signal);
    return new Promise((resolve, reject) => {
      this.#flights.push({
        ...{ partition, events, position, bytes },
        duplicates: batch.events.length - events.length,
        order: this.#orders.get(partition) ?? '',
        kind: kindOf(batch, events),
        resolve,
        reject,
      });
      this.#running ??= this.#run();
    });
  }

  get unfinished(): boolean {
    return this.#writer?.open ?? false;
  }

  async close(): Promise<void> {
    this.#fail(new StreamError('log_unavailable', 'The log was closed'));
    const late = new AbortController();
    // Readers of the topics wait behind a transaction that is open.
    await Promise.race([this.#giveUp(), this.deps.clock.sleep(GIVE_UP_MS, late.signal)]);
    late.abort();
    this.#writer?.close();
    this.#reached?.cluster.close();
  }

  async #giveUp(): Promise<void> {
    await this.#running;
    if (this.#writer?.open) await this.#writer.abort().catch(() => undefined);
  }

  /** A writer gives the same signal each time: one listener is enough. */
  #listen(signal: AbortSignal): void {
    if (signal === this.#signal) return;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#fail(signal.reason), { once: true, signal: this.#closing.signal });
  }

  /** Drops what the partition holds already and moves its last order on. Invariant 4. */
  #unseen(batch: ChangeBatch): readonly ChangeEvent[] {
    let last = this.#orders.get(batch.partition) ?? '';
    const kept = batch.events.filter(({ order }) => {
      if (order !== null && order <= last) return false;
      last = order ?? last;
      return true;
    });
    this.#orders.set(batch.partition, last);
    return kept;
  }

  /** Writes what waits, until nothing does. */
  async #run(): Promise<void> {
    try {
      // Whatever is appended in this turn goes with the first.
      await Promise.resolve();
      for (let round = this.#round(); round.length > 0 && this.#failure === null; round = this.#round()) {
        await this.#write(round);
        // Those who were answered append before the next round is taken.
        await Promise.resolve();
      }
    } catch (error) {
      this.#fail(logFailure((await this.#writer!.explain(error)) ?? error));
    } finally {
      this.#running = null;
    }
  }

  /** What goes out together: a part does not begin behind a position, which would then have to wait for its end. */
  #round(): readonly Flight[] {
    let whole = false;
    for (let i = 0; i < this.#flights.length; i++) {
      const { kind } = this.#flights[i]!;
      if (kind === 'part' && whole) return this.#flights.slice(0, i);
      whole ||= kind === 'whole';
    }
    return this.#flights.slice();
  }

  async #write(round: readonly Flight[]): Promise<void> {
    const commits = round.some(({ kind }) => kind === 'whole');
    const parts = await this.#placement!.of(round);
    let { events, bytes } = this.#written;
    for (const flight of round) {
      if (flight.kind === 'nothing') continue;
      const { partition } = flight;
      const position = flight.position ?? this.#marks.get(partition)?.position ?? null;
      this.#marks.set(partition, { position, order: flight.order });
      this.#touched.add(partition);
      events += flight.events.length;
      bytes += flight.bytes;
    }
    this.#written = { events, bytes };
    const totals = { events: this.#totals.events + events, bytes: this.#totals.bytes + bytes };
    if (!commits) {
      if (parts.length > 0) await this.#writer!.write(parts);
      return this.#land(round);
    }
    const marks = new Map([...this.#touched].map((partition) => [partition, this.#marks.get(partition)!]));
    await this.#writer!.write(parts, { totals, marks });
    if (this.#failure !== null) return;
    await this.#writer!.commit(); // Invariant 1: events and their position, or neither
    this.#totals = totals;
    this.#written = { events: 0, bytes: 0 };
    this.#touched.clear();
    this.#land(round);
  }

  #land(round: readonly Flight[]): void {
    if (this.#failure !== null) return;
    this.#flights.splice(0, round.length);
    const totals = this.#totals;
    for (const flight of round) {
      const { events, bytes, duplicates } = flight;
      flight.resolve({ events: events.length, bytes, duplicates, totals });
    }
  }

  /** Ends the sink: everything under way and everything after it rejects with the first failure. */
  #fail(failure: unknown): unknown {
    if (this.#failure !== null) return this.#failure;
    this.#failure = failure;
    this.#closing.abort();
    for (const flight of this.#flights.splice(0)) flight.reject(failure);
    return failure;
  }
}

/** A batch that the log holds already does not take the position back. */
function kindOf({ events, position }: ChangeBatch, unseen: readonly ChangeEvent[]): Flight['kind'] {
  if (position !== null && (unseen.length > 0 || events.length === 0)) return 'whole';
  return unseen.length > 0 ? 'part' : 'nothing';
}

// The reason is a StreamError or the signal's own.
// eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
const rejected = (reason: unknown): Promise<never> => Promise.reject(reason);
