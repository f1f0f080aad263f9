/** What one turn of the event loop does at the most before it hears what else has come: pieces of work, and bytes of them. */
const A_TURN = { pieces: 8, bytes: 256 * 1024 } as const;

interface Piece {
  readonly bytes: number;
  readonly begin: () => void;
}

/**
 * The one thread, shared fairly. Whoever has little to do is not behind all that a flood has brought before: each turn of
 * the event loop takes one piece of each that has some, then another one of each, until it is full. What belongs to one
 * stays in the order in which it came.
 */
export class Turns {
  /** What waits, by whose it is; the first one is next. */
  readonly #waiting = new Map<string, Piece[]>();
  #left = { pieces: 0, bytes: 0 };
  #isUnderWay = false;

  /** @param nextTurn runs what it is given when the event loop has heard what else has come */
  constructor(private readonly nextTurn: (run: () => void) => void = setImmediate) {}

  /** Resolves when it is the turn of a piece of work. @param bytes that it goes over */
  take(whose: string, bytes: number): Promise<void> {
    if (!this.#isUnderWay) this.#begin();
    if (this.#waiting.size === 0 && this.#hasRoom) {
      this.#spend(bytes);
      return Promise.resolve();
    }
    return new Promise((begin) => {
      const waiting = this.#waiting.get(whose);
      if (waiting === undefined) this.#waiting.set(whose, [{ bytes, begin }]);
      else waiting.push({ bytes, begin });
    });
  }

  /** A piece always goes, however large it is. */
  get #hasRoom(): boolean {
    return this.#left.pieces > 0 && this.#left.bytes > 0;
  }

  #spend(bytes: number): void {
    this.#left.pieces--;
    this.#left.bytes -= bytes;
  }

  #begin(): void {
    this.#isUnderWay = true;
    this.#left = { ...A_TURN };
    // One that is put back is met again behind the others.
    for (const [whose, waiting] of this.#waiting) {
      if (!this.#hasRoom) break;
      this.#waiting.delete(whose);
      if (waiting.length > 1) this.#waiting.set(whose, waiting);
      const { bytes, begin } = waiting.shift()!;
      this.#spend(bytes);
      begin();
    }
    this.nextTurn(() => {
      if (this.#waiting.size > 0) this.#begin();
      else this.#isUnderWay = false;
    });
  }
}
