import { Bell, StreamError, type ChangeBatch, type Position, type StreamErrorCode } from '@planasonix/core';
import type { Place } from '@planasonix/kafka';

export interface Beyond {
  /** What may be done instead of passing anything over; a sentence. */
  readonly first: string;
  /** What is passed over by it: `offset 4`. */
  readonly without: string;
  /** Where to go on. */
  readonly next: number;
}

/**
 * A place that the stream can't pass, with the position behind it. To be told once all that was handed over before it is
 * durable: whoever sets that position would pass over the rest (Invariant 2).
 */
export class StuckAt extends StreamError {
  constructor(code: StreamErrorCode, message: string, at: Pick<Place, 'topic' | 'partition'>, beyond: Beyond) {
    const position = JSON.stringify({ [at.topic]: { [at.partition]: beyond.next } });
    super(code, message, {
      hint: `${beyond.first} To go on without ${beyond.without}, stop the stream and set its position (PUT …/position) to ${position}.`,
    });
  }
}

/** What was handed over and is not known to be durable. */
export class Handed {
  readonly #open = new Map<string, Position>();
  readonly #changed = new Bell();

  add({ partition, position }: ChangeBatch): void {
    if (position !== null) this.#open.set(partition, position);
  }

  /** It and all that came before it. */
  durable(partition: string, position: Position): void {
    if (this.#open.get(partition) === position) this.#open.delete(partition);
    this.#changed.ring();
  }

  /** Waits for all of it, however long: a log that is full is waited for (Invariant 6), one that is silent aborts `signal`. */
  async landed(signal: AbortSignal): Promise<void> {
    const ring = () => this.#changed.ring();
    signal.addEventListener('abort', ring, { once: true });
    while (this.#open.size > 0 && !signal.aborted) await this.#changed.wait();
    signal.removeEventListener('abort', ring);
  }
}
