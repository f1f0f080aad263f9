import { type Clock, type Lag, StreamError, type Waker } from '@planasonix/core';
import type { ClientConfig } from 'pg';
import { Acker, statusInterval } from './acker.js';
import { StreamDecoder, type DecoderOptions, type RelationInfo } from './decode/index.js';
import type { ServerIdentity } from './position.js';
import { WalConnection } from './wal-connection.js';
import { WalQueue, type WalBatch } from './wal-queue.js';

/** A server that says nothing for this long, though it was asked, is gone: a dead network is noticed within 60 s. */
const SILENCE_MS = 45_000;
const TICK_MS = 500;
/** An idle position is handed over this often at the most. */
const IDLE_MS = 1000;

export interface WalReaderDeps {
  readonly config: ClientConfig;
  readonly slot: string;
  readonly publication: string;
  /** The one that was opened; nothing is read from another. */
  readonly server: ServerIdentity;
  readonly instance: string | null;
  readonly serverVersion: number;
  readonly walSenderTimeoutMs: number;
  /** What the slot has been told so far. */
  readonly confirmed: bigint;
  readonly decoder: DecoderOptions;
  /** Makes types and key of a table known; `true`: they are already. */
  known(relation: RelationInfo): boolean;
  learn(relation: RelationInfo): Promise<void>;
  readonly clock: Clock;
  /** Stirred when there may be something to take. */
  readonly waker: Waker;
}

interface HeldMessage {
  readonly message: Buffer;
  readonly high: number;
  readonly low: number;
  /** It was looked at before, by types that are no more. */
  readonly again?: true;
}

/** Reads one slot from one place on: decodes what comes, hands it over in batches, keeps the server informed. */
export class WalReader {
  private readonly decoder: StreamDecoder;
  private readonly queue: WalQueue;
  private readonly connection: WalConnection;
  private readonly acker: Acker;
  /** Messages that wait until a table is known; the driver uses its buffer again, so these are copies. */
  private held: HeldMessage[] | null = null;
  private failure: Error | null = null;
  /** The catalog is being asked about a table. */
  private learning = false;
  private heardAt: number;
  private provedAtMs: number | null = null;
  private walEnd = 0n;
  private handedOver_: bigint;
  private idleAt = 0;
  private throttled = false;
  private frozen = false;
  /** What the server has written while nothing was decoded, and since when that is known (ms since the Unix epoch). */
  private unread: { readonly lsn: bigint; readonly sinceMs: number } | null = null;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly deps: WalReaderDeps,
    from: bigint,
  ) {
    this.decoder = new StreamDecoder(deps.decoder);
    this.queue = new WalQueue(this.decoder, deps.waker);
    this.handedOver_ = from;
    this.heardAt = deps.clock.monotonic();
    this.connection = new WalConnection(deps.config, {
      data: (message, high, low) => this.data(message, high, low),
      keepalive: (walEnd, mustAnswer) => this.keepalive(walEnd, mustAnswer),
      failed: (error) => this.fail(error),
    });
    this.acker = new Acker(this.connection.service, deps.confirmed, () => deps.clock.monotonic());
  }

  /**
   * Reads until it is closed, or `signal` is aborted: with the lease that it stands for the slot is let go of, also
   * where whoever should pull hangs. The status that is sent meanwhile tells what is durable, and no more (trap 8).
   */
  async open(from: bigint, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    signal.addEventListener('abort', () => void this.close(), { once: true });
    const { slot, publication, server, instance, serverVersion, walSenderTimeoutMs } = this.deps;
    const late = setTimeout(() => {
      this.fail(
        new StreamError('source_unreachable', `The server did not begin to send within ${SILENCE_MS / 1000} s.`),
      );
      void this.connection.close();
    }, SILENCE_MS);
    try {
      await this.connection.open({ slot, publication, from, server, instance, messages: serverVersion >= 140_000 });
    } catch (error) {
      throw this.failure ?? error;
    } finally {
      clearTimeout(late);
    }
    signal.throwIfAborted();
    const interval = statusInterval(walSenderTimeoutMs);
    this.timer = setInterval(() => this.tick(interval), Math.min(TICK_MS, interval / 2));
  }

  /** Durable elsewhere up to `lsn`. */
  settle(lsn: bigint): void {
    this.acker.settle(lsn);
  }

  /**
   * @param head how far the server's WAL went when it was asked. A keepalive tells only how far the server has read it
   *   to us: that says nothing of commits behind that place.
   */
  lag(head: { readonly lsn: bigint; readonly atMs: number } | null): Lag {
    const { endLsn } = this.decoder;
    const received = this.held === null && endLsn > this.walEnd ? endLsn : this.walEnd;
    if (head !== null && received >= head.lsn) this.provedAtMs = head.atMs;
    const end = head !== null && head.lsn > received ? head.lsn : received;
    const backlog = end - this.acker.acknowledged;
    // Also of what was held back: decoding is not there yet.
    const decoded = endLsn > this.walEnd ? endLsn : this.walEnd;
    if (this.frozen && head !== null && head.lsn > decoded)
      this.unread = { lsn: head.lsn, sinceMs: this.unread?.sinceMs ?? head.atMs };
    else if (this.unread !== null && decoded >= this.unread.lsn) this.unread = null;
    return {
      // What lies there nobody knows before it is read: it counts as a change, so that the lag grows.
      oldestPendingMs: this.queue.oldestPendingMs ?? this.unread?.sinceMs ?? null,
      provedAtMs: this.provedAtMs,
      backlogBytes: end === 0n ? null : Number(backlog > 0n ? backlog : 0n),
    };
  }

  /** End of the last commit that was taken. */
  get handedOver(): bigint {
    return this.handedOver_;
  }

  /** Every transaction that committed before this place has been taken. */
  get reached(): bigint {
    const clear = this.queue.empty && this.held === null && this.walEnd > this.handedOver_;
    return clear ? this.walEnd : this.handedOver_;
  }

  /** What is ready to be handed over, or `null`. @throws what ended the reading. */
  take(): WalBatch | null {
    if (this.failure !== null) throw this.failure;
    const batch = this.queue.next() ?? this.idle();
    if (batch === null) return null;
    if (this.throttled && this.queue.roomy) {
      this.throttled = false;
      if (this.held === null) this.connection.resume();
    }
    if (batch.endLsn !== null) this.handedOver_ = batch.endLsn;
    return batch;
  }

  /** Asks the server how far its WAL goes: the answer moves `reached` on where nothing else does. */
  ask(): void {
    this.acker.ask();
  }

  /** Decodes nothing more for now. What was decoded is there to be taken, also of a transaction that is not whole. */
  freeze(): void {
    if (this.frozen) return;
    this.frozen = true;
    this.held ??= [];
    this.connection.pause();
    this.queue.flush();
  }

  /** Everything that was decoded before it froze has been taken. */
  get drained(): boolean {
    return this.queue.drained;
  }

  thaw(): void {
    if (!this.frozen) return;
    this.frozen = false;
    if (!this.learning) this.release();
  }

  /** Nothing is taken from the server, which can't tell us that it wants to end; or it has ended, and nobody asks. */
  get stands(): boolean {
    return this.failure !== null || this.connection.stands;
  }

  /** Lets a server go that wants to end: it would wait for as long as nothing is taken, and keep a checkpoint or a shutdown waiting. */
  hangUp(why = new StreamError('source_unreachable', 'The server ended the replication connection.')): void {
    this.fail(why);
    void this.connection.close();
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.connection.close();
  }

  /** WAL that holds nothing of ours may be forgotten too: outside a transaction and with nothing pending (trap 7). */
  private idle(): WalBatch | null {
    const now = this.deps.clock.monotonic();
    if (!this.queue.empty || this.held !== null || this.walEnd <= this.handedOver_ || now - this.idleAt < IDLE_MS)
      return null;
    this.idleAt = now;
    return { events: [], endLsn: this.walEnd, bytes: 0, oldestMs: null };
  }

  private data(message: Buffer, high: number, low: number): void {
    this.heardAt = this.deps.clock.monotonic();
    if (this.failure !== null) return;
    if (this.held !== null) this.held.push({ message: Buffer.from(message), high, low });
    else this.process(message, high, low);
  }

  private process(message: Buffer, high: number, low: number, again = false): void {
    try {
      const { decoder, queue } = this;
      const fed = again ? decoder.feedAgain(message, high, low) : decoder.feed(message, high, low);
      if (fed === 'change') {
        queue.changed();
        if (!this.throttled && queue.full) {
          this.throttled = true;
          this.connection.pause();
        }
      } else if (fed === 'commit') queue.committedUpTo(decoder.endLsn);
      else if (fed === 'relation') {
        if (this.deps.known(decoder.pending!)) decoder.adopt();
        else this.hold(decoder.pending!);
      } else if (fed === 'outdated') {
        this.hold(decoder.pending!);
        this.held!.push({ message: Buffer.from(message), high, low, again: true });
      }
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The catalog has to be asked; what comes meanwhile waits, and the socket with it. */
  private hold(relation: RelationInfo): void {
    this.held ??= [];
    this.learning = true;
    this.connection.pause();
    this.deps
      .learn(relation)
      .then(() => {
        this.decoder.adopt();
        this.learning = false;
        if (!this.frozen) this.release();
      })
      .catch((error: unknown) => this.fail(error instanceof Error ? error : new Error(String(error))));
  }

  /** Decodes what was held back. One of these may be the next table that is not known: the rest waits again. */
  private release(): void {
    const held = this.held ?? [];
    this.held = null;
    for (let i = 0; i < held.length; i++) {
      const { message, high, low, again } = held[i]!;
      this.process(message, high, low, again);
      if (this.pausedAgain()) {
        (this.held ??= []).push(...held.slice(i + 1));
        return;
      }
    }
    if (!this.throttled) this.connection.resume();
  }

  private pausedAgain(): boolean {
    return this.held !== null;
  }

  private keepalive(walEnd: bigint, mustAnswer: boolean): void {
    this.heardAt = this.deps.clock.monotonic();
    // Decoding may be behind what is held back here; then the place is not reached yet.
    if (this.held === null && walEnd > this.walEnd) this.walEnd = walEnd;
    if (mustAnswer) this.acker.answer();
    this.deps.waker.stir();
  }

  private tick(intervalMs: number): void {
    this.acker.tick(intervalMs);
    if (this.throttled || this.held !== null) this.heardAt = this.deps.clock.monotonic();
    else if (this.deps.clock.monotonic() - this.heardAt > SILENCE_MS)
      this.fail(new StreamError('source_unreachable', `The server has not answered for ${SILENCE_MS / 1000} s.`));
    this.deps.waker.stir();
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.deps.waker.stir();
  }
}
