import type { RowGate, WrittenChange } from '../decode/index.js';
import type { Visibility } from './visibility.js';

/** What one transaction did to the table, as far as a reader of rows has to know. */
interface Traces {
  readonly commitLsn: bigint;
  /** Key → texts of its columns where values were not sent again (a row that is dropped must be read again), else null. */
  readonly keys: Map<string, readonly string[] | null>;
  emptied: boolean;
}

/** Keys that are remembered at the most. Invariant 6. */
const MOST_KEYS = 200_000;
/** The same for keys that the stream has told of while the rows wait for their turn; over all tables of the worker. */
const MOST_TOLD = 200_000;
let told = 0;

/**
 * The time from before a chunk's snapshot is taken until its rows are handed over: which keys were changed by
 * transactions that the stream has delivered and the snapshot does not see. Rows of those keys are stale.
 */
export class Window {
  /** The rows can't be told apart from stale ones any more: the chunk has to be read again. */
  void = false;
  private seen: Visibility | null = null;

  constructor(
    private readonly traces: Map<number, Traces>,
    private readonly forget: (window: Window) => void,
  ) {}

  /** The snapshot is taken. */
  open(seen: Visibility): void {
    this.seen = seen;
    for (const [xid, { commitLsn }] of this.traces) if (seen.sees(xid, commitLsn)) this.traces.delete(xid);
    for (const { emptied } of this.traces.values()) this.void ||= emptied;
  }

  /** Whether rows may be stale for what that transaction did, as far as it is known by now. */
  needs(xid: number, commitLsn: bigint): boolean {
    return !this.void && (this.traces.has(xid) || this.seen?.sees(xid, commitLsn) !== true);
  }

  add(xid: number, traces: Traces): void {
    if (this.needs(xid, traces.commitLsn)) this.traces.set(xid, traces);
  }

  /** Nothing of what was added counts any more: the chunk is read again. */
  blur(): void {
    this.void = true;
    this.traces.clear();
  }

  of(xid: number): Traces | undefined {
    return this.traces.get(xid);
  }

  all(): Iterable<Traces> {
    return this.traces.values();
  }

  /** @returns `false` where a row of this key is not stale; else what to read again (`null`: nothing). */
  stale(key: string): false | readonly string[] | null {
    let found: false | readonly string[] | null = false;
    for (const { keys } of this.traces.values()) {
      const texts = keys.get(key);
      if (texts !== undefined) found = texts ?? (found === false ? null : found);
    }
    return found;
  }

  /** Keys of rows that it does not see and the stream has not said all of. */
  *holes(): Generator<readonly string[]> {
    for (const { keys } of this.traces.values()) for (const texts of keys.values()) if (texts !== null) yield texts;
  }

  get quiet(): boolean {
    return this.traces.size === 0;
  }

  /** After `add`: a transaction that it does not see has emptied the table. */
  emptied(xid: number): void {
    if (this.seen !== null && this.traces.has(xid)) this.void = true;
  }

  close(): void {
    this.forget(this);
  }
}

/**
 * Watches the changes of one table while its rows are being read. Rows enter the log when the stream has passed
 * everything that their snapshot saw; so only changes that it did not see can have come before them (trap 13).
 */
export class TableWatch implements RowGate {
  private readonly windows = new Set<Window>();
  /** Transactions that were delivered and that no snapshot was known to see yet. */
  private recent = new Map<number, Traces>();
  private latest: Visibility | null = null;
  private keys = 0;
  private overflows = 0;
  private sharpAt = 0;
  private last: { readonly xid: number; readonly traces: Traces } | null = null;
  /** Keys of which the stream has said everything since somebody listens: their rows would say nothing new. */
  private readonly told = new Set<string>();
  private closed = false;
  /** Chunks are being read, or about to be. */
  reading = false;

  /** @param moved the key was changed and values were not sent again: perhaps nobody knows them, so read the row. */
  constructor(
    private readonly moved: (key: readonly string[], change: WrittenChange) => void,
    /** Rows that the stream has told of by itself under this name need not be read under it; `null`: all are read. */
    private readonly spares: string | null = null,
  ) {}

  /** Something was forgotten: every writer that is open now has to be waited out before the next chunk. */
  get blurred(): boolean {
    return this.overflows > this.sharpAt;
  }

  /** For `sharpened`: to be asked for before the writers are looked at. */
  get overflowCount(): number {
    return this.overflows;
  }

  /** Every transaction that was delivered when `overflowCount` was `since` is visible by now. */
  sharpened(since: number): void {
    this.sharpAt = since;
  }

  admits(): boolean {
    return true;
  }

  /** It tells of nothing. */
  get quiet(): boolean {
    return this.told.size === 0;
  }

  /** The stream has said everything of this row. */
  tells(key: string): boolean {
    return this.told.has(key);
  }

  /** What was told counts no more. */
  forget(): void {
    told -= this.told.size;
    this.told.clear();
  }

  /** Nobody will ask any more; changes may still come by. */
  close(): void {
    this.closed = true;
    this.forget();
  }

  wrote(change: WrittenChange): void {
    const { op, xid, commitLsn, key, moved, hole } = change;
    if (this.closed) return;
    if (op === 't' || change.subject === this.spares) this.tell(change);
    if (!this.reading) return;
    if (moved && hole !== null) this.moved(hole, change);
    const unseen = this.latest?.sees(xid, commitLsn) !== true;
    if (!unseen && !this.isNeeded(xid, commitLsn)) return;
    const traces = this.tracesOf(xid, commitLsn, unseen);
    if (op === 't') traces.emptied = true;
    else if (!traces.keys.has(key)) {
      traces.keys.set(key, hole);
      this.keys++;
    } else if (hole !== null) traces.keys.set(key, hole);
    for (const window of this.windows) {
      window.add(xid, traces);
      if (op === 't') window.emptied(xid);
    }
    if (this.keys > MOST_KEYS) this.blur();
  }

  private tell({ op, key, moved, hole }: WrittenChange): void {
    if (op === 't') this.forget();
    // Of several rows that had this value, before it became a key, another one may be left.
    else if (op === 'd') told -= Number(this.told.delete(key));
    else if (hole === null) {
      if (told >= MOST_TOLD || this.told.has(key)) return;
      this.told.add(key);
      told++;
    } else if (moved && this.told.delete(key)) told--;
  }

  /** To be called before the snapshot of a chunk is taken. */
  begin(): Window {
    const window = new Window(new Map(this.recent), (one) => {
      this.windows.delete(one);
      this.count();
    });
    window.void = this.blurred;
    this.windows.add(window);
    return window;
  }

  /** The snapshot of `window` was taken: whatever it sees, later ones see too. */
  opened(window: Window, seen: Visibility): void {
    window.open(seen);
    this.latest = seen;
    for (const [xid, { commitLsn }] of this.recent) if (seen.sees(xid, commitLsn)) this.recent.delete(xid);
  }

  /** Nobody reads for now: what this snapshot sees need not be remembered, for the next ones see it too. */
  sees(seen: Visibility): void {
    const window = this.begin();
    this.opened(window, seen);
    window.close();
  }

  private tracesOf(xid: number, commitLsn: bigint, unseen: boolean): Traces {
    if (this.last?.xid === xid && this.last.traces.commitLsn === commitLsn) return this.last.traces;
    const traces = this.recent.get(xid) ?? this.inWindows(xid) ?? { commitLsn, keys: new Map(), emptied: false };
    if (unseen) this.recent.set(xid, traces);
    this.last = { xid, traces };
    return traces;
  }

  private isNeeded(xid: number, commitLsn: bigint): boolean {
    for (const window of this.windows) if (window.needs(xid, commitLsn)) return true;
    return false;
  }

  private inWindows(xid: number): Traces | undefined {
    for (const window of this.windows) {
      const traces = window.of(xid);
      if (traces !== undefined) return traces;
    }
    return undefined;
  }

  /** Readers that overlap leave no moment without a window: what nobody needs any more is found by counting. */
  private count(): void {
    const kept = new Set(this.recent.values());
    for (const window of this.windows) for (const traces of window.all()) kept.add(traces);
    this.keys = 0;
    for (const { keys } of kept) this.keys += keys.size;
  }

  /** Forgets what the stream has said: chunks that are being read are void, and everything so far is waited out. */
  blur(): void {
    for (const window of this.windows) window.blur();
    this.recent.clear();
    this.keys = 0;
    this.last = null;
    this.overflows++;
  }
}

/** A table that nobody asked for: a publication may cover more than the stream does. */
export const SHUT: RowGate = { admits: () => false, wrote: () => undefined };

/** Behind rows that were read as a whole: only what they do not hold already goes through. */
export class Sift implements RowGate {
  constructor(private readonly held: Visibility) {}

  admits(xid: number, commitLsn: bigint): boolean {
    return !this.held.sees(xid, commitLsn);
  }

  wrote(): void {}
}
