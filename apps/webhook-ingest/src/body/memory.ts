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
  #kept = 0;

  constructor(private memories: readonly Memory[]) {}

  /** That much more, of all of them or of none. */
  take(bytes: number): Room {
    const size = this.#size + bytes;
    if (this.memories.some(({ most }) => size > most)) return 'never';
    if (!tookOf(this.memories, bytes)) return 'not_now';
    this.#size = size;
    return 'room';
  }

  /** As {@link take}, of what stays whatever the rest becomes. */
  keep(bytes: number): Room {
    const room = this.take(bytes);
    if (room === 'room') this.#kept += bytes;
    return room;
  }

  /** Holds the same of these memories instead; `false`, and as before, where one of them has no room for it. */
  moveTo(memories: readonly Memory[]): boolean {
    const fresh = memories.filter((memory) => !this.memories.includes(memory));
    if (!tookOf(fresh, this.#size)) return false;
    for (const memory of this.memories) if (!memories.includes(memory)) memory.give(this.#size);
    this.memories = memories;
    return true;
  }

  give(bytes: number): void {
    for (const memory of this.memories) memory.give(bytes);
    this.#size -= bytes;
  }

  /** Another size in place of what is held: the body goes where the event has come. */
  become(bytes: number): Room {
    const size = bytes + this.#kept;
    if (size > this.#size) return this.take(size - this.#size);
    this.give(this.#size - size);
    return 'room';
  }

  release(): void {
    this.give(this.#size);
  }
}

/** Of all of them or of none. */
function tookOf(memories: readonly Memory[], bytes: number): boolean {
  const short = memories.findIndex((memory) => !memory.take(bytes));
  for (const memory of memories.slice(0, Math.max(0, short))) memory.give(bytes);
  return short < 0;
}
