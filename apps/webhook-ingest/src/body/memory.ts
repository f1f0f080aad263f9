/** Bytes that requests hold together. What is held of a part is held of the whole, too. Invariant 6. */
export class Memory {
  #held = 0;

  constructor(
    readonly most: number,
    readonly whole: Memory | null = null,
  ) {}

  /** One that may hold so much, if the whole has it. */
  part(most: number): Memory {
    return new Memory(Math.min(most, this.most), this);
  }

  get held(): number {
    return this.#held;
  }

  /** What its own limit leaves, whatever the whole has. */
  get left(): number {
    return this.most - this.#held;
  }

  get free(): number {
    return Math.min(this.left, this.whole?.free ?? this.left);
  }

  take(bytes: number): boolean {
    if (bytes > this.free) return false;
    this.#add(bytes);
    return true;
  }

  give(bytes: number): void {
    this.#add(-bytes);
  }

  #add(bytes: number): void {
    this.#held += bytes;
    if (this.whole !== null) this.whole.#add(bytes);
  }
}

/** Requests that share what is scarce. */
export interface Crowd {
  /** What those that may be sent away hold, also of each of their memories. Without an end. */
  readonly reading: Memory;
  /** One of them may be sent away from now. */
  enter(hold: Hold): void;
  leave(hold: Hold): void;
  /** Sends others away until these memories have room for so much more; nobody where they can't. @returns whether they have */
  makeRoom(bytes: number, of: readonly Memory[]): boolean;
}

/** `not_now`: others hold it. `never`: it is more than there is, so that coming again is of no use. */
export type Room = 'room' | 'not_now' | 'never';

/** What one request holds, of each of its memories. */
export class Hold {
  #size = 0;
  #kept = 0;
  #end: (() => void) | null = null;
  #isOver = false;

  constructor(
    private memories: readonly Memory[],
    private readonly crowd: Crowd | null = null,
  ) {}

  /** Until `null` is said it may be sent away. @param end is told then; all that it held has been given back */
  revocable(end: (() => void) | null): void {
    this.#end = end;
    if (this.crowd === null) return;
    const { reading } = this.crowd;
    const others = this.memories.filter((memory) => memory !== reading);
    this.moveTo(end === null ? others : [...others, reading]);
    if (end === null) this.crowd.leave(this);
    else this.crowd.enter(this);
  }

  revoke(): void {
    const end = this.#end;
    this.revocable(null);
    this.release();
    this.#isOver = true;
    end?.();
  }

  /** That much more, of all of them or of none. */
  take(bytes: number): Room {
    const size = this.#size + bytes;
    if (this.memories.some(({ most }) => size > most)) return 'never';
    if (this.#isOver) return 'not_now';
    const { memories, crowd } = this;
    if (!tookOf(memories, bytes) && !(crowd?.makeRoom(bytes, memories) && tookOf(memories, bytes))) return 'not_now';
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
