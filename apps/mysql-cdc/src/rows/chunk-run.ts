import type { ChangeEvent } from '@planasonix/core';
import type { Allowance, Pace } from '@planasonix/rows';
import type { LogPlace } from '../server.js';
import type { Bound } from './chunk-sql.js';
import type { RowTask, Share } from './row-task.js';
import type { Window } from './row-watch.js';

/** Rows that are ready to go, and what is true once they are in the log. */
export interface Piece {
  readonly events: ChangeEvent[];
  /** Bounds of the key of the last one. */
  readonly last: string[];
}

/**
 * Rows of one chunk at the most, or keys where a condition decides which rows: short transactions, so that the source need not keep old
 * versions of rows for long.
 */
export const CHUNK_ROWS = 20_000;

/** One chunk from before its transaction begins until its last row has been handed over. */
export class ChunkRun {
  readonly idPrefix: string;
  readonly pieces: Piece[] = [];
  /** Nothing that its rows hold was committed behind this place; `null`: they are not being read yet. */
  place: LogPlace | null = null;
  /** Everything was read; `end`: there is nothing behind it; `upto`: the key it was read up to, whether or not that has a row. */
  finished: { readonly end: boolean; readonly upto?: Bound } | null = null;
  /** Rows that were read. */
  count = 0;
  /** What it may read now. */
  allowance: Allowance;
  /** Rows that the pace has been told of. */
  private told = 0;
  private window: Window | null = null;
  private cancelled = false;
  private readonly off = new AbortController();
  /** What is true at its end has been said. */
  private ended = false;
  private readonly attempt: number;

  constructor(
    readonly task: RowTask,
    readonly share: Share,
    /** How fast its rows may be read. */
    private readonly pace: Pace,
  ) {
    task.take(share);
    this.allowance = pace.take(this.most);
    this.attempt = task.state.attempt;
    this.idPrefix = task.idPrefix(share);
  }

  /** It has to be read again: its rows can't be told from stale ones, the table has another key, or nobody wants it. */
  get void(): boolean {
    return this.cancelled || this.window?.void === true || this.attempt !== this.task.state.attempt;
  }

  /** Rows that it may have at once. */
  get most(): number {
    const { share, pace } = this;
    return share.kind === 'whole' ? pace.atOnce : Math.min(CHUNK_ROWS, pace.atOnce);
  }

  /** To be called now and then while rows are read, and at the end. */
  tell(): void {
    this.allowance.came(this.count - this.told);
    this.told = this.count;
  }

  /** Resolves once it has another allowance; with `false` where nothing is read any more. */
  async more(): Promise<boolean> {
    const next = await this.pace.next(this.most);
    if (next !== null) this.allowance = next;
    return next !== null;
  }

  /** What is void may be over already, and nobody would end its window. */
  watch(begin: () => Window): void {
    if (!this.void) this.window = begin();
  }

  /** It has to be read again later. */
  cancel(): void {
    this.cancelled = true;
    this.pieces.length = 0;
  }

  /** Nobody wants its rows any more: who reads them need not wait for the next one. */
  drop(): void {
    this.cancel();
    this.off.abort();
  }

  get dropped(): AbortSignal {
    return this.off.signal;
  }

  /** Rows of a piece that are not stale. */
  keep({ events }: Piece): ChangeEvent[] {
    const { window } = this;
    return window === null || window.quiet ? events : events.filter((event) => !window.stale(event.partitionkey));
  }

  /** After rows of a piece were handed over; `null`: at the end of a run without any. */
  advance(piece: Piece | null, rows: number): void {
    const { task, share } = this;
    task.state.rows += rows;
    const lane = share.kind === 'lane' ? task.state.lanes[share.lane] : undefined;
    if (lane !== undefined && piece !== null) lane.after = piece.last;
    if (this.ended || this.pieces.length > 0 || this.finished === null) return;
    this.ended = true;
    const { end, upto } = this.finished;
    if (lane !== undefined && upto !== undefined) lane.after = [...upto];
    if (lane !== undefined && end) lane.done = true;
    if (share.kind === 'whole') task.state.done = true;
  }

  close(): void {
    this.window?.close();
    this.task.give(this.share);
  }
}
