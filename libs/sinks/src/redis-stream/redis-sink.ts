import { randomBytes } from 'node:crypto';
import {
  StreamError,
  type Appended,
  type ChangeBatch,
  type ChangeEvent,
  type Clock,
  type LogTotals,
  type OpenedLog,
  type Seat,
  type Sink,
} from '@planasonix/core';
import type { Redis } from 'ioredis';
import { Appends, type AppendWire } from './appends.js';
import { cut, logUnavailable, writerConnection, type RedisFactory } from './connection.js';
import { readDurability, settleDelayMs } from './durability.js';
import { removeDoubles } from './doubles.js';
import { eventsKey, logKey } from './keys.js';
import { joined, piecesOf } from './pieces.js';
import { ANSWER, JOIN, OPEN, ROOM } from './scripts.js';

export interface Retention {
  readonly maxEntries: number;
  readonly onFull: 'block' | 'trim';
}

interface Flight {
  /** `null`: there is nothing to write (all of it was there already); it only keeps its place in the order. */
  readonly wire: AppendWire | null;
  readonly events: number;
  readonly bytes: number;
  readonly duplicates: number;
  resolve(appended: Appended): void;
  reject(error: unknown): void;
}

const fenced = () => new StreamError('fenced', 'The log has a newer owner of this stream');

/**
 * One stream's writing end, on a connection of its own. One connection is one session: the log knows the session and
 * the number of its appends, so a write of an older connection that is still on its way, or one whose predecessor was
 * refused, changes nothing. A lost connection ends the sink; `open` of a new one reads how far the log got.
 */
export class RedisSink implements Sink {
  settleDelayMs = 2_000;
  blocked: { readonly reason: 'log_full' } | null = null;

  readonly #redis: Redis;
  readonly #keys: readonly [string, string];
  readonly #writer: string;
  readonly #orders = new Map<string, string>();
  readonly #flights: Flight[] = [];
  readonly #appends: Appends;
  readonly #closing = new AbortController();
  #signal: AbortSignal | null = null;
  #session = '';
  #sequence = 0;
  #totals: LogTotals = { events: 0, bytes: 0 };
  #dropped = 0;
  #failure: unknown = null;
  /** A batch was refused for want of room; those behind it wait with it. */
  #stalled = false;
  #onTheWire = 0;

  constructor(
    private readonly streamId: string,
    private readonly epoch: number,
    private readonly retention: Retention,
    connect: RedisFactory,
    private readonly clock: Clock,
    private readonly seat: Seat | null,
    transactionFrom: number,
  ) {
    this.#redis = writerConnection(connect);
    this.#appends = new Appends(this.#redis, streamId, transactionFrom);
    this.#keys = [eventsKey(streamId), logKey(streamId)];
    this.#writer = seat === null ? 'writer' : `writer:${seat.index}`;
  }

  async open(options: { readonly reset?: number } = {}): Promise<OpenedLog> {
    if (this.#session) throw new Error('a sink is opened once');
    this.#session = randomBytes(9).toString('base64url');
    let found: unknown;
    let doubles = 0;
    try {
      await this.#redis.connect();
      this.settleDelayMs = settleDelayMs(await readDurability(this.#redis));
      await this.#appends.load();
      found = await this.#begin(options.reset);
      if (Array.isArray(found) && this.seat === null)
        doubles = await removeDoubles(this.#redis, this.#keys, ['session', this.#session]);
    } catch (error) {
      throw this.#fail(logUnavailable(error));
    }
    if (!Array.isArray(found)) throw this.#fail(fenced()); // Invariant 3
    const flat = found as string[];
    const positions = new Map<string, string>();
    const totals = { events: 0, bytes: 0 };
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const name = flat[i]!;
      const value = flat[i + 1]!;
      if (name.startsWith('pos:')) positions.set(name.slice(4), value);
      else if (name.startsWith('ord:')) this.#orders.set(name.slice(4), value);
      else if (name === 'events' || name === 'bytes') totals[name] = Number(value);
    }
    this.#totals = totals;
    return { session: this.#session, positions, orders: new Map(this.#orders), totals, doubles };
  }

  #begin(reset: number | undefined): Promise<unknown> {
    const { seat, epoch } = this;
    if (seat === null) return this.#redis.eval(OPEN, 2, ...this.#keys, epoch, this.#session, reset ?? '');
    return this.#redis.eval(JOIN, 2, ...this.#keys, epoch, seat.session, this.#writer, this.#session);
  }

  append(batch: ChangeBatch, signal: AbortSignal): Promise<Appended> {
    if (this.#failure !== null) return rejected(this.#failure);
    if (signal.aborted) return rejected(this.#fail(signal.reason));
    this.#listen(signal);
    const pieces = piecesOf(batch, this.retention.maxEntries);
    return new Promise((resolve, reject) => {
      const parts: Appended[] = [];
      const landed = (part: Appended) => {
        parts.push(part);
        if (parts.length === pieces.length) resolve(joined(parts));
      };
      for (const piece of pieces) this.#fly(piece, landed, reject);
    });
  }

  #fly(batch: ChangeBatch, resolve: Flight['resolve'], reject: Flight['reject']): void {
    const events = this.#unseen(batch);
    const duplicates = batch.events.length - events.length;
    let bytes = 0;
    for (const event of events) bytes += event.data.length;
    // A batch that the log holds already does not take the position back.
    const writes = events.length > 0 || (batch.position !== null && batch.events.length === 0);
    const wire = writes ? this.#encode(batch, events, bytes) : null;
    this.#flights.push({ wire, events: events.length, bytes, duplicates, resolve, reject });
    if (wire === null) this.#landNothing();
    else if (!this.#stalled) this.#send(this.#flights.at(-1)!);
  }

  async stillThere(): Promise<void> {
    // The connection is never made again: a server that has begun anew can't answer.
    await this.#redis.ping().catch((error: unknown) => {
      throw this.#fail(logUnavailable(error));
    });
  }

  close(): Promise<void> {
    this.#fail(new StreamError('log_unavailable', 'The log was closed'));
    return Promise.resolve();
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
    let kept: ChangeEvent[] | null = null;
    for (let i = 0; i < batch.events.length; i++) {
      const event = batch.events[i]!;
      if (event.order === null || event.order > last) {
        last = event.order ?? last;
        kept?.push(event);
      } else kept ??= batch.events.slice(0, i);
    }
    if (last !== '') this.#orders.set(batch.partition, last);
    return kept ?? batch.events;
  }

  #encode(batch: ChangeBatch, events: readonly ChangeEvent[], bytes: number): AppendWire {
    const order = this.#orders.get(batch.partition) ?? '';
    const args = [
      String(this.epoch),
      `${this.#session}:${this.#sequence}`,
      `${this.#session}:${++this.#sequence}`,
      String(events.length),
      String(bytes),
      String(this.retention.maxEntries),
      this.retention.onFull,
      batch.position === null ? '' : `pos:${batch.partition}`,
      batch.position ?? '',
      order === '' || events.length === 0 ? '' : `ord:${batch.partition}`,
      order,
      `/streams/${this.streamId}`,
      this.#writer,
    ];
    return this.#appends.encode(args, events);
  }

  #send(flight: Flight): void {
    this.#onTheWire++;
    this.#appends.send(flight.wire!).then(
      (answer) => this.#answered(flight, answer),
      (error: unknown) => this.#fail(logUnavailable(error)),
    );
  }

  #answered(flight: Flight, [code, events = 0, bytes = 0, dropped = 0]: number[]): void {
    if (this.#failure !== null) return;
    this.#onTheWire--;
    this.#dropped += dropped;
    switch (code) {
      case ANSWER.ok:
        if (flight !== this.#flights[0]) break;
        this.#totals = { events, bytes };
        return this.#land();
      case ANSWER.full:
      case ANSWER.outOfTurn:
        if (code === ANSWER.outOfTurn && !this.#stalled) break;
        this.#stalled = true;
        if (this.#onTheWire === 0) void this.#awaitRoom();
        return;
      case ANSWER.fenced:
        this.#fail(fenced()); // Invariant 3
        return;
      case ANSWER.lost:
        this.#fail(new StreamError('log_unavailable', 'The log of this stream has gone from Redis'));
        return;
      case ANSWER.failed:
        this.#fail(new StreamError('log_unavailable', 'Redis did not take all events of a transaction'));
        return;
    }
    this.#fail(new StreamError('log_unavailable', 'The log went back to an older state'));
  }

  #land(): void {
    const flight = this.#flights.shift()!;
    if (flight.wire) this.#appends.release(flight.wire);
    const dropped = this.#dropped;
    this.#dropped = 0;
    flight.resolve({
      events: flight.events,
      bytes: flight.bytes,
      duplicates: flight.duplicates,
      dropped,
      totals: this.#totals,
    });
    this.#landNothing();
  }

  #landNothing(): void {
    if (this.#flights[0]?.wire === null) this.#land();
  }

  /** Waits until the first batch has room, then sends all that wait, in order. */
  async #awaitRoom(): Promise<void> {
    this.blocked = { reason: 'log_full' };
    const { maxEntries, onFull } = this.retention;
    for (let wait = 50; this.#failure === null; wait = Math.min(wait * 1.5, 500)) {
      await this.clock.sleep(wait, this.#closing.signal);
      if (this.#failure !== null) return;
      const first = this.#flights[0]!;
      // The writer of the first batch's turn: nothing of ours after it was written.
      const turn = this.#sequence - this.#flights.filter((flight) => flight.wire !== null).length;
      let answer: number[];
      try {
        answer = (await this.#redis.eval(
          ROOM,
          2,
          ...this.#keys,
          this.epoch,
          `${this.#session}:${turn}`,
          first.events,
          maxEntries,
          onFull,
          this.#writer,
        )) as number[];
      } catch (error) {
        this.#fail(logUnavailable(error));
        return;
      }
      this.#dropped += answer[1] ?? 0;
      if (answer[0] === ANSWER.full) continue;
      if (answer[0] === ANSWER.fenced) this.#fail(fenced());
      else if (answer[0] !== ANSWER.ok)
        this.#fail(new StreamError('log_unavailable', 'The log of this stream has gone from Redis'));
      else break;
    }
    if (this.#failure !== null) return;
    this.#stalled = false;
    this.blocked = null;
    for (const flight of this.#flights) if (flight.wire !== null) this.#send(flight);
  }

  /** Ends the sink: everything under way and everything after it rejects with the first failure. */
  #fail(failure: unknown): unknown {
    if (this.#failure !== null) return this.#failure;
    this.#failure = failure;
    this.blocked = null;
    this.#closing.abort();
    cut(this.#redis);
    for (const flight of this.#flights.splice(0)) flight.reject(failure);
    return failure;
  }
}

// The reason is a StreamError or the signal's own.
// eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
const rejected = (reason: unknown): Promise<never> => Promise.reject(reason);
