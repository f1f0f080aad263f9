import type { ChangeEvent } from '@planasonix/core';
import type { Allowance, Pace } from '@planasonix/rows';
import { seesUnlisted } from '../condition-reach.js';
import type { SourceTable, TableName } from '../tables.js';
import type { Chunk, ChunkSnapshot } from './chunk-reader.js';
import { keysSql, rangeSql, wholeSql } from './chunk-sql.js';
import { lockOut } from './kept-tables.js';
import type { RowTask, Share } from './row-task.js';
import type { Window } from './table-watch.js';

/** Rows that are ready to go, and what is true once they are in the log. */
export interface Piece {
  readonly events: readonly ChangeEvent[];
  readonly last: readonly string[];
}

/** Rows of one chunk at the most: short transactions, so that the source's vacuum is not held up. */
const CHUNK_ROWS = 20_000;

const UNLISTED = 'Its condition speaks of columns that the publication does not list any more.';
const CONFLICTED =
  'The server broke the reading off for another transaction, or for what a standby replays: it is tried again.';

/** One chunk from before its snapshot until its last row has been handed over. */
export class ChunkRun implements Chunk {
  readonly idPrefix: string;
  readonly pieces: Piece[] = [];
  snapshot: ChunkSnapshot | null = null;
  /** Everything was read; `end`: there is nothing behind it. */
  finished: { readonly end: boolean } | null = null;
  /** Rows that came, also where nobody wanted them any more. */
  count = 0;
  /** What it may read now. */
  allowance: Allowance;
  private window: Window | null = null;
  private cancelled = false;
  private readonly off = new AbortController();
  /** What is true at its end has been said. */
  private ended = false;
  /** Keys of rows that were dropped and held what the stream has not said. */
  private readonly again: (readonly string[])[] = [];
  private readonly attempt: number;

  constructor(
    readonly task: RowTask,
    readonly share: Share,
    private readonly pace: Pace,
    /** Told of each piece. @returns whether there is room for more. */
    private readonly arrived: () => boolean,
    /** Told where the table has another name than its rows are wanted under. */
    private readonly renamed: (to: TableName) => void,
    /** Told by which columns the table is read. */
    private readonly rekeyed: (key: readonly string[]) => void,
  ) {
    task.take(share);
    this.allowance = pace.take(this.most);
    this.attempt = task.state.attempt;
    this.idPrefix = task.idPrefix(share);
  }

  get oid(): number {
    return this.task.wish.oid;
  }

  /** It has to be read again: its rows can't be told from stale ones, the table has another key, or nobody wants it. */
  get void(): boolean {
    return this.cancelled || this.window?.void === true || this.attempt !== this.task.state.attempt;
  }

  get whole(): boolean {
    return this.share.kind === 'whole';
  }

  begin(): void {
    // What is void may be over already, and nobody would end its window.
    if (!this.task.whole && !this.void) this.window ??= this.task.watch.begin();
  }

  opened(snapshot: ChunkSnapshot, table: SourceTable): string | null {
    const { task, share } = this;
    this.snapshot = snapshot;
    task.note = null;
    if (this.window !== null) task.watch.opened(this.window, snapshot.visibility);
    task.estimated ??= table.estimatedRows;
    if (!this.void && (table.schema !== task.wish.schema || table.table !== task.wish.name)) {
      // Not a row comes under a name that it was not asked for by, be it for a moment.
      this.cancel();
      this.renamed(table);
    }
    if (!this.void && !task.keyIs(table)) {
      // Of an older snapshot it is the key of then, and the task has that of now.
      if (snapshot.exported) this.postpone();
      else {
        this.rekeyed(table.key);
        if (!task.over) task.restart(table);
        this.cancelled = true;
      }
    }
    if (!this.void && seesUnlisted(task.wish.where, table)) this.withheld(UNLISTED);
    if (this.void) return null;
    task.readUnder(snapshot.visibility);
    const { where } = task.wish;
    if (share.kind === 'whole') return wholeSql(table, where);
    if (share.kind === 'again') return keysSql(table, share.keys, where);
    return rangeSql(table, task.state.lanes[share.lane]!, where, this.most);
  }

  rows(events: readonly ChangeEvent[], last: readonly string[]): boolean {
    this.count += events.length;
    this.allowance.came(events.length);
    if (this.void) return true;
    this.pieces.push({ events, last });
    return this.arrived();
  }

  async more(): Promise<boolean> {
    const next = await this.pace.next(this.most);
    if (next !== null) this.allowance = next;
    return next !== null;
  }

  /** @param count rows that were read; `null`: the table is gone. */
  read(count: number | null): void {
    this.finished = { end: count === null || this.share.kind !== 'lane' || count < this.most };
  }

  /** Rows that it may have at once. */
  private get most(): number {
    const { share, pace } = this;
    if (share.kind === 'again') return share.keys.length;
    return share.kind === 'whole' ? pace.atOnce : Math.min(CHUNK_ROWS, pace.atOnce);
  }

  postpone(): void {
    this.task.later = true;
    this.cancel();
  }

  busy(why: 'locked' | 'conflict'): void {
    if (this.void) return;
    if (why === 'locked') lockOut(this.task);
    else this.task.note = CONFLICTED;
    this.cancel();
  }

  withheld(why: string): void {
    const { task } = this;
    task.note = why;
    if (task.phase === 'reading') task.phase = 'starting';
    this.cancel();
  }

  /** Nobody wants it any more. */
  drop(): void {
    this.cancel();
    this.off.abort();
  }

  /** Aborted once nobody wants it any more. */
  get dropped(): AbortSignal {
    return this.off.signal;
  }

  /** It has to be read again later. */
  cancel(): void {
    this.cancelled = true;
    this.pieces.length = 0;
    this.again.length = 0;
  }

  /**
   * Rows of a piece that say something new and are not stale; these are read again where the stream has not said all of them.
   *
   * @returns `null` where those are too many: from here on it is read again, under a snapshot that sees what made them stale.
   */
  keep({ events }: Piece): readonly ChangeEvent[] | null {
    const { window, task, again } = this;
    if (window === null || (window.quiet && task.watch.quiet)) return events;
    const kept = events.filter((event) => {
      if (task.watch.tells(event.partitionkey)) return false;
      const stale = window.stale(event.partitionkey);
      if (stale !== false && stale !== null) again.push(stale);
      return stale === false;
    });
    // What is read by itself is in the list already.
    if (this.share.kind === 'again' || task.hasRoomFor(again.length)) return kept;
    this.cancel();
    return null;
  }

  private readAgain(): void {
    for (const key of this.again.splice(0)) this.task.readAgain(key);
  }

  /** A row that is not visible yet, though the stream has told of it, does not come: it is still to be read (trap 13). */
  private missed(keys: readonly (readonly string[])[]): void {
    const asked = new Map(keys.map((key) => [key.join('\0'), key]));
    for (const hole of this.window?.holes() ?? []) {
      const key = asked.get(hole.join('\0'));
      if (key !== undefined) this.again.push(key);
    }
  }

  /** After a piece was handed over. */
  advance(piece: Piece | null): void {
    const { task, share } = this;
    task.state.rows += piece?.events.length ?? 0;
    const lane = share.kind === 'lane' ? task.state.lanes[share.lane] : undefined;
    if (lane !== undefined && piece !== null) {
      lane.after = [...piece.last];
      this.readAgain();
    }
    if (this.ended || this.pieces.length > 0 || this.finished === null) return;
    this.ended = true;
    if (lane !== undefined && this.finished.end) lane.done = true;
    if (share.kind === 'again') {
      task.gone(share.keys);
      this.missed(share.keys);
    }
    // After that: what was read by itself and is stale once more has to be read once more.
    this.readAgain();
    if (share.kind === 'whole') task.state.done = true;
  }

  close(): void {
    this.window?.close();
    this.task.give(this.share);
  }
}
