import type { FoldEntry } from './fold.js';

/** An event as a consumer of the log reads it. */
export interface LoggedEvent extends FoldEntry {
  readonly type: string;
  readonly time: string;
  /** When it was written, ms. */
  readonly loggedAt: number;
}

/** The log, seen by a reader who shares no code with the product. */
export interface DemoLog {
  /** Events that are in it. */
  depth(): Promise<number>;
  /** The last ones, oldest first. */
  newest(count: number): Promise<readonly LoggedEvent[]>;
  /** Every event, oldest first, read anew. */
  all(): AsyncIterable<LoggedEvent>;
  /** A command for those who want to look for themselves. */
  readonly howToLook: string;
  close(): Promise<void>;
}
