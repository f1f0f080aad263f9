import { ROW_EVENT_TYPES, type ChangeEvent } from '@planasonix/core';
import { fileNumber, isBefore } from '../position.js';
import type { LogPlace } from '../server.js';
import type { SiftState } from './rows-state.js';

/** Keys that are remembered for one window at the most. Invariant 6. */
const MOST_KEYS = 200_000;
/** What these may weigh, in characters. */
const MOST_TEXT = 32 * 1024 * 1024;

/**
 * The time from before a chunk's transaction sees the table until its rows are handed over. Every change that was handed
 * over before is seen; of every key that was told of since, the log has something newer than the row (trap 13).
 */
export class Window {
  private blurred = false;
  private readonly keys = new Set<string>();
  private text = 0;

  constructor(private readonly forget: (window: Window) => void) {}

  /** The rows can't be told apart from stale ones any more: the chunk has to be read again. */
  get void(): boolean {
    return this.blurred;
  }

  told(key: string): void {
    if (this.blurred || this.keys.has(key)) return;
    this.text += key.length;
    if (this.keys.size < MOST_KEYS && this.text <= MOST_TEXT) this.keys.add(key);
    else this.blur();
  }

  /** Nothing of what was told counts any more. A large transaction may keep its chunk from being ended for long. */
  blur(): void {
    this.blurred = true;
    this.keys.clear();
  }

  stale(key: string): boolean {
    return this.keys.has(key);
  }

  get quiet(): boolean {
    return this.keys.size === 0;
  }

  close(): void {
    this.forget(this);
  }
}

interface Name {
  readonly schema: string;
  readonly table: string;
}

/** Where the transaction of a change begins, from its order: `attempt-file-begin-seq`, hexadecimal. */
export interface Begin {
  readonly file: number;
  readonly pos: number;
}

export const beginOf = (order: string): Begin & { readonly attempt: number } => {
  const [attempt = 0, file = 0, pos = 0] = order.split('-').map((part) => Number.parseInt(part, 16));
  return { attempt, file, pos };
};

/** Whether a place between transactions is behind one that begins there. */
export const isBehind = (place: LogPlace, begin: Begin): boolean => {
  const file = fileNumber(place.file);
  return file > begin.file || (file === begin.file && place.pos > begin.pos);
};

/** What is handed over of the log while rows are read: which keys it tells of, and what rows hold already. */
export class RowWatch {
  private readonly windows = new Map<string, Set<Window>>();
  private sifts = new Map<string, SiftState>();

  /** @param foldsCase names of tables do not tell upper from lower case */
  constructor(private readonly foldsCase: boolean) {}

  /** To be called before the transaction of a chunk begins. */
  begin(of: Name): Window {
    const name = this.nameOf(`${of.schema}.${of.table}`);
    const all = this.windows.get(name) ?? new Set();
    const window = new Window((one) => {
      all.delete(one);
      if (all.size === 0 && this.windows.get(name) === all) this.windows.delete(name);
    });
    this.windows.set(name, all.add(window));
    return window;
  }

  /** Rows were read as a whole at a place that the log has yet to come to. */
  sift(sift: SiftState): void {
    this.sifts.set(this.nameOf(`${sift.schema}.${sift.table}`), sift);
  }

  /** What has to be kept of that. */
  get state(): readonly SiftState[] {
    return [...this.sifts.values()];
  }

  /** Whether the log has rows of this table that were read as a whole, with all that was before this place. */
  holds({ schema, table }: Name, place: LogPlace): boolean {
    const sift = this.sifts.get(this.nameOf(`${schema}.${table}`));
    return sift !== undefined && !isBefore(sift, place);
  }

  /** @returns what of these changes is to be handed over, as it is now */
  handed(events: ChangeEvent[]): ChangeEvent[] {
    if (this.windows.size === 0 && this.sifts.size === 0) return events;
    return events.filter((event) => this.takes(event));
  }

  /** Everything up to there was handed over. */
  passed(place: LogPlace): void {
    for (const [name, sift] of this.sifts) if (!isBefore(place, sift)) this.sifts.delete(name);
  }

  private takes({ subject, partitionkey, type, order }: ChangeEvent): boolean {
    const name = this.nameOf(subject);
    const sift = this.sifts.get(name);
    if (sift !== undefined && order !== null && isBehind(sift, beginOf(order))) return false;
    for (const window of this.windows.get(name) ?? [])
      if (type === ROW_EVENT_TYPES.t) window.blur();
      else window.told(partitionkey);
    return true;
  }

  private nameOf(subject: string): string {
    return this.foldsCase ? subject.toLowerCase() : subject;
  }
}

/** Of the last change among these. */
export const lastBegin = (events: readonly ChangeEvent[]): Begin | null => {
  const order = events.at(-1)?.order;
  return order === undefined || order === null ? null : beginOf(order);
};
