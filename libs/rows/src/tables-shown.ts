/** So many tables at most are shown in a stream's progress: of those being read, and of those that are over the last ones. */
export const TABLES_SHOWN = 200;

/** Those that are over: no more are kept than are shown (Invariant 6). */
export class Finished<T> {
  readonly #last: T[] = [];

  /** In the order in which they ended. */
  get last(): readonly T[] {
    return this.#last;
  }

  add(one: T): void {
    this.#last.push(one);
    if (this.#last.length > TABLES_SHOWN) this.#last.shift();
  }
}
