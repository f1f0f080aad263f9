/**
 * Streams that are to be taken up: some at once, because each opens connections, and the next one as soon as one of
 * them is open.
 */
export class Openings {
  #waiting: string[] = [];
  #open = 0;

  /** @param open resolves when the stream is open or may count as open; does not throw */
  constructor(
    private readonly atOnce: number,
    private readonly open: (streamId: string) => Promise<void>,
  ) {}

  /** What is to be taken up by now, first ones first; what still waits from an earlier look is forgotten. */
  offer(streamIds: readonly string[]): void {
    this.#waiting = [...streamIds];
    this.#next();
  }

  #next(): void {
    for (; this.#open < this.atOnce && this.#waiting.length > 0; this.#open++)
      void this.open(this.#waiting.shift()!).then(() => {
        this.#open--;
        this.#next();
      });
  }
}
