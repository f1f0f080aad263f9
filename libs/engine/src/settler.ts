import {
  StreamError,
  type Clock,
  type Held,
  type Log,
  type Position,
  type Positions,
  type Sink,
  type Source,
  type Steps,
  type StreamLedger,
} from '@planasonix/core';
import type { Counters } from './counters.js';
import { within } from './within.js';

interface Landed {
  readonly partition: string;
  readonly position: Position;
  /** Monotonic time from which it may be taken as durable. */
  readonly ripeAt: number;
  /** Until then the log may lose it again with its host. */
  readonly delayed: boolean;
  /** Read just now, not found in the log at the start. */
  readonly fresh: boolean;
}

/** How long a log may take to say that it is still there, before it is asked again later. */
const STILL_THERE_MS = 1_000;

export interface SettlerDeps {
  readonly ledger: Pick<StreamLedger, 'commitPositions'>;
  readonly sink: Pick<Sink, 'stillThere'>;
  readonly source: Pick<Source, 'ack'>;
  readonly held: Held;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  /** Does the lease hold? Asked before every write. */
  mayWrite(): boolean;
  /** Absent: nobody asks. */
  readonly step?: Steps;
}

/**
 * Commits what the log holds durably and nobody lived to settle. The source is told nothing: whoever reads it next does that.
 * @returns whether it is committed; `false`: the lease is gone, or another owner has taken over
 */
export const settleFound = async (
  positions: Positions,
  { ledger, held, mayWrite }: Pick<SettlerDeps, 'ledger' | 'held' | 'mayWrite'>,
): Promise<boolean> => mayWrite() && (await ledger.commitPositions(held, positions)); // Invariants 1 and 3

export const lapsed = () => new StreamError('fenced', 'The lease has run out');

/** The order log, position, acknowledgement; and the only file that knows it. */
export class Settler {
  readonly #landed: Landed[] = [];
  #running: Promise<boolean> | null = null;
  #closed = false;

  constructor(private readonly deps: SettlerDeps) {}

  /** These events are in the log together with `position`. `delayMs`: until that may be taken as durable. */
  landed(partition: string, position: Position, delayMs: number, fresh = true): void {
    const ripeAt = this.deps.clock.monotonic() + delayMs;
    this.#landed.push({ partition, position, ripeAt, delayed: delayMs > 0, fresh });
  }

  /**
   * Commits the positions that are durable in the log, then lets the source forget. One at a time.
   * @returns whether anything new was committed; `false` too when the store is down, or the log silent: the next call tries again
   * @throws StreamError `fenced`, or what the source throws
   */
  settle(): Promise<boolean> {
    return (this.#running ??= this.#settle().finally(() => (this.#running = null)));
  }

  /** The commit that is under way. */
  get running(): Promise<unknown> | null {
    return this.#running;
  }

  /** Everything that landed is committed. */
  get settled(): boolean {
    return this.#landed.length === 0;
  }

  /** The source is about to be closed: it is told nothing more. */
  close(): void {
    this.#closed = true;
  }

  /** @throws what the log throws, who then is another one, or has begun anew. */
  async #logIsThere(): Promise<boolean> {
    const answer = this.deps.sink.stillThere?.() ?? Promise.resolve();
    return (await within(this.deps.clock, STILL_THERE_MS, answer)) !== 'late';
  }

  async #settle(): Promise<boolean> {
    const { ledger, source, held, clock, log, counters } = this.deps;
    const now = clock.monotonic();
    const positions = new Map<string, Position>();
    let count = 0;
    let fresh = false;
    let delayed = false;
    for (; count < this.#landed.length && this.#landed[count]!.ripeAt <= now; count++) {
      const one = this.#landed[count]!;
      positions.set(one.partition, one.position);
      fresh ||= one.fresh;
      delayed ||= one.delayed;
    }
    if (count === 0) return false;
    // Trap 26: time alone proves nothing. A host may have died right after its last answer, and with it what was not synced.
    if (delayed && !(await this.#logIsThere())) return false;
    if (!this.deps.mayWrite()) throw lapsed(); // Invariant 3
    let committed: boolean;
    try {
      committed = await ledger.commitPositions(held, positions); // Invariant 1: durable in the log, then here …
    } catch (error) {
      if (error instanceof StreamError && error.recourse === 'fenced') throw error;
      counters.failed();
      log.warn({ streamId: held.streamId, err: error }, 'positions could not be committed; the source waits');
      return false;
    }
    if (!committed) throw new StreamError('fenced', 'Another worker has taken over this stream'); // Invariant 3
    this.#landed.splice(0, count);
    this.deps.step?.('position-committed');
    for (const [partition, position] of positions) {
      // Invariant 3: whoever was frozen since the store was asked may find another owner at the source.
      if (this.#closed || !this.deps.mayWrite()) break;
      await source.ack(partition, position); // … then the source may forget
    }
    this.deps.step?.('acknowledged');
    return fresh;
  }
}
