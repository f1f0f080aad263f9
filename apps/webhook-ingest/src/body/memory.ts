/** Bytes that all requests together hold. Invariant 6. */
export class Memory {
  #held = 0;

  constructor(readonly most: number) {}

  take(bytes: number): boolean {
    if (this.#held + bytes > this.most) return false;
    this.#held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

/** `not_now`: others hold it. `never`: it is more than there is, so that coming again is of no use. */
export type Room = 'room' | 'not_now' | 'never';

/** What one request holds, of each of its memories. */
export class Hold {
  #size = 0;

  constructor(private readonly memories: readonly Memory[]) {}

  /** That much more, of all of them or of none. */
  take(bytes: number): Room {
    const size = this.#size + bytes;
    if (this.memories.some(({ most }) => size > most)) return 'never';
    const short = this.memories.findIndex((memory) => !memory.take(bytes));
    if (short >= 0) {
      for (const memory of this.memories.slice(0, short)) memory.give(bytes);
      return 'not_now';
    }
    this.#size = size;
    return 'room';
  }

  give(bytes: number): void {
    for (const memory of this.memories) memory.give(bytes);
    this.#size -= bytes;
  }

  /** Another size in place of what is held: the body goes where the event has come. */
  become(bytes: number): Room {
    if (bytes > this.#size) return this.take(bytes - this.#size);
    this.give(this.#size - bytes);
    return 'room';
  }

  release(): void {
    this.give(this.#size);
  }
}
