import { StreamError, type ChangeBatch, type Clock, type Lag } from '@planasonix/core';
import type { ClientConfig } from 'pg';
import { Acker, statusInterval } from './acker.js';
import { StreamDecoder, lsnText, type DecoderOptions, type RelationInfo } from './decode/index.js';
import { encodePosition, type PgPosition } from './position.js';
import { WalConnection } from './wal-connection.js';
import { WalQueue } from './wal-queue.js';

/** A server that says nothing for this long, though it was asked, is gone: a dead network is noticed within 60 s. */
const SILENCE_MS = 45_000;
const TICK_MS = 500;
/** An idle position is handed over this often at the most. */
const IDLE_MS = 1000;

export interface WalReaderDeps {
  readonly config: ClientConfig;
  readonly slot: string;
  readonly publication: string;
  readonly serverVersion: number;
  readonly walSenderTimeoutMs: number;
  /** Where to go on; becomes the position of what is read. */
  readonly position: PgPosition;
  /** What the slot has been told so far. */
  readonly confirmed: bigint;
  readonly decoder: DecoderOptions;
  /** Makes types and key of a table known; `true`: they are already. */
  known(relation: RelationInfo): boolean;
  learn(relation: RelationInfo): Promise<void>;
  readonly clock: Clock;
}

/** Reads one slot from one place on: decodes what comes, hands it over in batches, keeps the server informed. */
export class WalReader {
  private readonly decoder: StreamDecoder;
  private readonly queue: WalQueue;
  private readonly connection: WalConnection;
  private readonly acker: Acker;
  /** Messages that wait until a table is known; the driver uses its buffer again, so these are copies. */
  private held: { readonly message: Buffer; readonly high: number; readonly low: number }[] | null = null;
  private failure: Error | null = null;
  private heardAt: number;
  private provedAtMs: number | null = null;
  private walEnd = 0n;
  private handedOver: bigint;
  private idleAt = 0;
  private throttled = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly deps: WalReaderDeps,
    from: bigint,
  ) {
    this.decoder = new StreamDecoder(deps.decoder);
    this.queue = new WalQueue(this.decoder);
    this.handedOver = from;
    this.heardAt = deps.clock.monotonic();
    this.connection = new WalConnection(deps.config, {
      data: (message, high, low) => this.data(message, high, low),
      keepalive: (walEnd, mustAnswer) => this.keepalive(walEnd, mustAnswer),
      failed: (error) => this.fail(error),
    });
    this.acker = new Acker(this.connection.service, deps.confirmed, () => deps.clock.monotonic());
  }

  async open(from: bigint): Promise<void> {
    const { slot, publication, serverVersion, walSenderTimeoutMs } = this.deps;
    await this.connection.open({ slot, publication, from, messages: serverVersion >= 140_000 });
    const interval = statusInterval(walSenderTimeoutMs);
    this.timer = setInterval(() => this.tick(interval), Math.min(TICK_MS, interval / 2));
  }

  /** Durable elsewhere up to `lsn`. */
  settle(lsn: bigint): void {
    this.acker.settle(lsn);
  }

  get lag(): Lag {
    const backlog = this.walEnd - this.acker.acknowledged;
    return {
      oldestPendingMs: this.queue.oldestPendingMs,
      provedAtMs: this.provedAtMs,
      backlogBytes: this.walEnd === 0n ? null : Number(backlog > 0n ? backlog : 0n),
    };
  }

  async *batches(signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const stir = (): void => this.queue.stir();
    signal.addEventListener('abort', stir);
    try {
      while (!signal.aborted) {
        if (this.failure !== null) throw this.failure;
        const batch = this.queue.next() ?? this.idle();
        if (batch === null) {
          await this.queue.wait();
          continue;
        }
        if (this.throttled && this.queue.roomy) {
          this.throttled = false;
          this.connection.resume();
        }
        if (batch.endLsn !== null) this.handedOver = batch.endLsn;
        yield {
          partition: '',
          events: batch.events,
          position:
            batch.endLsn === null
              ? null
              : encodePosition({ ...this.deps.position, phase: 'stream', lsn: lsnText(batch.endLsn) }),
        };
      }
    } finally {
      signal.removeEventListener('abort', stir);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.connection.close();
  }

  /** WAL that holds nothing of ours may be forgotten too: outside a transaction and with nothing pending (trap 7). */
  private idle(): { events: readonly []; endLsn: bigint } | null {
    const now = this.deps.clock.monotonic();
    if (!this.queue.empty || this.held !== null || this.walEnd <= this.handedOver || now - this.idleAt < IDLE_MS)
      return null;
    this.idleAt = now;
    return { events: [], endLsn: this.walEnd };
  }

  private data(message: Buffer, high: number, low: number): void {
    this.heardAt = this.deps.clock.monotonic();
    if (this.failure !== null) return;
    if (this.held !== null) this.held.push({ message: Buffer.from(message), high, low });
    else this.process(message, high, low);
  }

  private process(message: Buffer, high: number, low: number): void {
    try {
      const { decoder, queue } = this;
      const fed = decoder.feed(message, high, low);
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
      }
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The catalog has to be asked; what comes meanwhile waits, and the socket with it. */
  private hold(relation: RelationInfo): void {
    this.held = [];
    this.connection.pause();
    this.deps.learn(relation).then(
      () => {
        this.decoder.adopt();
        const held = this.held ?? [];
        this.held = null;
        held.forEach((one, i) => {
          // One of them may be the next table that is not known: the rest waits again.
          const waiting = this.held;
          if (waiting !== null) waiting.push(...held.slice(i, i + 1));
          else this.process(one.message, one.high, one.low);
        });
        if (this.held === null && !this.throttled) this.connection.resume();
      },
      (error: unknown) => this.fail(error instanceof Error ? error : new Error(String(error))),
    );
  }

  private keepalive(walEnd: bigint, mustAnswer: boolean): void {
    this.heardAt = this.deps.clock.monotonic();
    this.provedAtMs = this.deps.clock.now();
    // Decoding may be behind what is held back here; then the place is not reached yet.
    if (this.held === null && walEnd > this.walEnd) this.walEnd = walEnd;
    if (mustAnswer) this.acker.answer();
    this.queue.stir();
  }

  private tick(intervalMs: number): void {
    this.acker.tick(intervalMs);
    if (this.throttled || this.held !== null) this.heardAt = this.deps.clock.monotonic();
    else if (this.deps.clock.monotonic() - this.heardAt > SILENCE_MS)
      this.fail(new StreamError('source_unreachable', `The server has not answered for ${SILENCE_MS / 1000} s.`));
    if (this.queue.empty) this.queue.stir();
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.queue.stir();
  }
}
