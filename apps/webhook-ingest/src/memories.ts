import { Hold, Memory, type Crowd } from './body/memory.js';
import { LARGEST_BODY } from './config.js';

const MB = 1024 * 1024;
/** Headers of one request at the most, and room for those of many. */
const HEADERS = { one: 64 * 1024, many: 16 * MB } as const;
/** One delivery as it was sent, inflated, and as an event. */
const DELIVERY = 3 * LARGEST_BODY + HEADERS.one;
/**
 * Bytes that are held at once, of bodies as sent and inflated, of events, and of headers, in all streams that run: of all
 * requests, and of that what is not proved yet. What is sent where nothing is taken in has as much as one stream for what is
 * not proved, beside all of it. Invariant 6.
 */
const HELD = {
  whole: { all: 256 * MB, unproved: DELIVERY },
  workspace: { all: 192 * MB, unproved: 2 * LARGEST_BODY },
  stream: { all: DELIVERY, unproved: LARGEST_BODY + HEADERS.many },
} as const;

interface Pair {
  readonly all: Memory;
  readonly unproved: Memory;
}

const partOf = ({ all, unproved }: Pair, most: { readonly all: number; readonly unproved: number }): Pair => ({
  all: all.part(most.all),
  unproved: unproved.part(most.unproved),
});

interface Workspace extends Pair {
  /** Those with requests that may be sent away. */
  readonly streams: Set<StreamMemory>;
}

/** The one that holds most without a proof, if it is more than `than`. */
function fullest<T extends Pair>(of: Iterable<T>, than: number): T | null {
  let [found, held] = [null as T | null, than];
  for (const one of of) if (one.unproved.held > held) [found, held] = [one, one.unproved.held];
  return found;
}

/** By its own limits: whatever others give back is of no use. */
const isFull = ({ all, unproved }: Pair, bytes: number): boolean => all.left < bytes || unproved.left < bytes;

/** What deliveries to one stream hold: all of them, and of that those that are not proved. */
export class StreamMemory implements Crowd, Pair {
  readonly all: Memory;
  readonly unproved: Memory;
  /** In the order in which they came. */
  readonly #readers = new Set<Hold>();

  constructor(
    private readonly workspace: Workspace,
    private readonly workspaces: Set<Workspace>,
  ) {
    ({ all: this.all, unproved: this.unproved } = partOf(workspace, HELD.stream));
  }

  /** Of a request that is not proved yet. */
  hold(): Hold {
    return new Hold([this.all, this.unproved], this);
  }

  enter(hold: Hold): void {
    this.#readers.add(hold);
    this.workspace.streams.add(this);
    this.workspaces.add(this.workspace);
  }

  leave(hold: Hold): void {
    this.#readers.delete(hold);
    if (this.#readers.size > 0 || !this.workspace.streams.delete(this)) return;
    if (this.workspace.streams.size === 0) this.workspaces.delete(this.workspace);
  }

  /** At the cost of whoever has more: of other workspaces, or of other streams of this one. */
  makeRoom(bytes: number): boolean {
    if (isFull(this, bytes)) return false;
    while (this.all.free < bytes || this.unproved.free < bytes) {
      const largest = this.#largest(bytes);
      if (largest === null) return false;
      const [oldest] = largest.#readers;
      oldest!.revoke();
    }
    return true;
  }

  #largest(bytes: number): StreamMemory | null {
    const { workspace, workspaces } = this;
    const other = isFull(workspace, bytes) ? null : fullest(workspaces, workspace.unproved.held + bytes);
    if (other !== null && other !== workspace) return fullest(other.streams, 0);
    return fullest(workspace.streams, this.unproved.held + bytes);
  }
}

/**
 * Who may hold how much. Of what is not proved whoever has less takes it from whoever has most, so that nobody fills it who
 * knows addresses, of one workspace or of many; and no workspace holds all there is.
 */
export class Memories {
  readonly #idle = new Memory(HELD.stream.unproved);
  readonly #whole: Pair = { all: new Memory(HELD.whole.all), unproved: new Memory(HELD.whole.unproved) };
  readonly #workspaces = new Map<string, Workspace>();
  /** Those with requests that may be sent away. */
  readonly #crowded = new Set<Workspace>();
  readonly #streams = new WeakMap<object, StreamMemory>();

  /** Of a request that is sent where nothing is taken in. */
  idle(): Hold {
    return new Hold([this.#idle]);
  }

  /** @param stream what lives as long as the stream is known */
  of(stream: object, workspaceId: string): StreamMemory {
    let memory = this.#streams.get(stream);
    if (memory === undefined) {
      memory = new StreamMemory(this.#workspace(workspaceId), this.#crowded);
      this.#streams.set(stream, memory);
    }
    return memory;
  }

  #workspace(id: string): Workspace {
    let workspace = this.#workspaces.get(id);
    if (workspace === undefined) {
      workspace = { ...partOf(this.#whole, HELD.workspace), streams: new Set() };
      this.#workspaces.set(id, workspace);
    }
    return workspace;
  }
}
