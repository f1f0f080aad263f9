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

interface Shares {
  readonly all: Memory;
  /** Of that. */
  readonly unproved: Memory;
  /** Of that: of requests that may be sent away. */
  readonly reading: Memory;
}

const partOf = (whole: Shares, most: { readonly all: number; readonly unproved: number }): Shares => ({
  all: whole.all.part(most.all),
  unproved: whole.unproved.part(most.unproved),
  reading: whole.reading.part(Infinity),
});

interface Workspace extends Shares {
  /** Those with requests that may be sent away. */
  readonly streams: Set<StreamMemory>;
}

/** The one that holds most without a proof, if it is more than `than`. */
function fullest<T extends Shares>(of: Iterable<T>, than: number): T | null {
  let [found, held] = [null as T | null, than];
  for (const one of of) if (one.unproved.held > held) [found, held] = [one, one.unproved.held];
  return found;
}

/** What they can give before they hold no more than `least` without a proof. */
const spareOf = (of: Iterable<Shares>, least: number): number => {
  let bytes = 0;
  for (const { unproved, reading } of of) bytes += Math.min(reading.held, Math.max(0, unproved.held - least));
  return bytes;
};

/** What a workspace leaves, whatever all have. */
const leftAbove = ({ whole }: Memory): number => whole?.left ?? Infinity;

/** What deliveries to one stream hold: all of them, and of that those that are not proved. */
export class StreamMemory implements Crowd, Shares {
  readonly all: Memory;
  readonly unproved: Memory;
  readonly reading: Memory;
  /** In the order in which they came. */
  readonly #readers = new Set<Hold>();

  constructor(
    private readonly workspace: Workspace,
    private readonly workspaces: Set<Workspace>,
  ) {
    ({ all: this.all, unproved: this.unproved, reading: this.reading } = partOf(workspace, HELD.stream));
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
  makeRoom(bytes: number, of: readonly Memory[]): boolean {
    if (!this.#canMakeRoom(bytes, of)) return false;
    while (of.some(({ free }) => free < bytes)) {
      const largest = this.#largest(bytes, of);
      if (largest === null) return false;
      const [oldest] = largest.#readers;
      oldest!.revoke();
    }
    return true;
  }

  /** Else they would be sent away for nothing. */
  #canMakeRoom(bytes: number, of: readonly Memory[]): boolean {
    const { workspace, workspaces } = this;
    const near = spareOf(workspace.streams, this.unproved.held + bytes);
    const far = spareOf(workspaces, workspace.unproved.held + bytes);
    return of.every(
      (memory) => memory.left >= bytes && leftAbove(memory) + near >= bytes && memory.free + near + far >= bytes,
    );
  }

  #largest(bytes: number, of: readonly Memory[]): StreamMemory | null {
    const { workspace, workspaces } = this;
    // By its own limits: whatever others give back is of no use.
    const isFull = of.some((memory) => leftAbove(memory) < bytes);
    const other = isFull ? null : fullest(workspaces, workspace.unproved.held + bytes);
    return other === null ? fullest(workspace.streams, this.unproved.held + bytes) : fullest(other.streams, 0);
  }
}

/**
 * Who may hold how much. Of what is not proved whoever has less takes it from whoever has most, so that nobody fills it who
 * knows addresses, of one workspace or of many; and no workspace holds all there is.
 */
export class Memories {
  readonly #idle = new Memory(HELD.stream.unproved);
  readonly #whole: Shares = {
    all: new Memory(HELD.whole.all),
    unproved: new Memory(HELD.whole.unproved),
    reading: new Memory(Infinity),
  };
  /** Each lives as long as one of its streams. */
  readonly #workspaces = new Map<string, WeakRef<Workspace>>();
  readonly #gone = new FinalizationRegistry<string>((id) => {
    if (this.#workspaces.get(id)?.deref() === undefined) this.#workspaces.delete(id);
  });
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
    let workspace = this.#workspaces.get(id)?.deref();
    if (workspace === undefined) {
      workspace = { ...partOf(this.#whole, HELD.workspace), streams: new Set() };
      this.#workspaces.set(id, new WeakRef(workspace));
      this.#gone.register(workspace, id);
    }
    return workspace;
  }
}
