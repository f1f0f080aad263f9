import type { Clock, Waker } from '@planasonix/core';
import { Pace } from '@planasonix/rows';
import type { Client } from 'pg';
import type { PostgresConfig } from '../config.js';
import type { TableName } from '../tables.js';
import { ChunkReader, type ChunkDeps } from './chunk-reader.js';
import { ChunkRun } from './chunk-run.js';
import { HeldUp } from './held-up.js';
import type { RowTask, Share } from './row-task.js';

/** Pieces that wait for the engine before the readers' sockets are paused. Invariant 6. */
const WAITING = 8;
/** A reader that is held up this long gives its snapshot back, and the chunk is read again later. */
const CHUNK_HELD_UP_MS = 20_000;
/** The same for a table that is read as a whole: it is begun over then, and a full log would never see its end. */
const WHOLE_HELD_UP_MS = 600_000;
const BEGUN_OVER =
  'Nobody took its rows for 10 minutes (a pause, a full log): it is read from its beginning again, for it has no key.';
const RETRY_MS = 100;
/** How often it is looked whether what is being read is of use yet. */
const LOOK_MS = 1_000;

export interface RowReadersDeps extends Omit<ChunkDeps, 'now' | 'config' | 'exported'> {
  readonly config: PostgresConfig;
  readonly clock: Clock;
  /** Woken when there is something to take. */
  readonly waker: Waker;
  open(): Promise<Client>;
  end(session: Client): Promise<void>;
  /** By this key rows of a table are about to be read; where others have come by another one they are read anew, and its task is over. */
  readonly rekeyed: (oid: number, key: readonly string[]) => void;
}

export interface RowReadersWork {
  /** See `ChunkDeps`. */
  exported(): string | null;
  /** What to read next; `null`: nothing for now. */
  next(): { readonly task: RowTask; readonly share: Share } | null;
  /** Nothing is left to be read: sessions need not be kept. */
  idle(): boolean;
  /** Resolves when `next` may have another answer. */
  wait(): Promise<void>;
  /** A chunk could not be read. @returns `null` where its task is over with that. @throws otherwise */
  failed(task: RowTask, error: unknown): null;
  /** The table of a task is gone. */
  gone(task: RowTask): void;
  /** It has another name by now than its rows are wanted under. */
  renamed(task: RowTask, to: TableName): void;
  /** What ended the reading. */
  broke(error: unknown): void;
}

/** Reads chunks, several at once, no further ahead than the engine follows. */
export class RowReaders {
  /** Chunks that are being read, or were read and wait to be handed over, in the order in which they were begun. */
  readonly runs: ChunkRun[] = [];
  private readonly readers = new Set<ChunkReader>();
  private readonly heldUp: Readonly<Record<'chunk' | 'whole', HeldUp>>;
  private readonly over = new AbortController();
  private readonly pace: Pace;

  constructor(
    private readonly deps: RowReadersDeps,
    private readonly work: RowReadersWork,
  ) {
    const { config, clock } = deps;
    const perSecond = config.snapshot_max_rows_per_second ?? Infinity;
    this.pace = new Pace(perSecond, config.snapshot_readers, clock, this.over.signal);
    this.heldUp = {
      chunk: new HeldUp(CHUNK_HELD_UP_MS, deps.clock, () => this.giveBack(false)),
      whole: new HeldUp(WHOLE_HELD_UP_MS, deps.clock, () => this.giveBack(true)),
    };
  }

  start(count: number): void {
    for (let i = 0; i < count; i++)
      this.read().catch((error: unknown) => {
        if (!this.stopped) this.work.broke(error);
      });
  }

  /** After pieces were taken, or thrown away. */
  taken(): void {
    this.heldUp.chunk.moved();
    this.heldUp.whole.moved();
    if (this.waiting < WAITING / 2) this.resume();
  }

  async close(): Promise<void> {
    this.over.abort();
    this.goOn();
    for (const reader of this.readers) reader.stop();
    await Promise.all([...this.readers].map((reader) => this.deps.end(reader.session)));
  }

  /** The next chunk; the order in which they are begun is that in which their rows go. */
  begin(task: RowTask, share: Share): ChunkRun {
    const run: ChunkRun = new ChunkRun(
      task,
      this.few(share),
      this.pace,
      () => this.arrived(run),
      (to) => this.work.renamed(task, to),
      (key) => this.deps.rekeyed(task.wish.oid, key),
    );
    this.runs.push(run);
    return run;
  }

  private few(share: Share): Share {
    const { atOnce } = this.pace;
    return share.kind === 'again' && share.keys.length > atOnce
      ? { kind: 'again', keys: share.keys.slice(0, atOnce) }
      : share;
  }

  private async read(): Promise<void> {
    const { work, pace } = this;
    let reader: ChunkReader | null = null;
    while (!this.stopped) {
      // Before anything is begun: others wait for the end of what is.
      if (!pace.isDue) {
        await pace.wait();
        continue;
      }
      const next = work.next();
      if (next === null) {
        if (reader !== null && work.idle()) {
          this.readers.delete(reader);
          await this.deps.end(reader.session);
          reader = null;
          // Meanwhile something may have come.
          continue;
        }
        await work.wait();
        continue;
      }
      const run = this.begin(next.task, next.share);
      reader ??= await this.reader();
      await this.readChunk(reader, run);
      // The next chunk dials.
      if (!this.readers.has(reader)) reader = null;
    }
  }

  private async readChunk(reader: ChunkReader, run: ChunkRun): Promise<void> {
    const { clock, waker } = this.deps;
    const count = await this.whileWanted(reader, run).catch((error: unknown) => {
      if (this.stopped) return null;
      if (!this.readers.has(reader)) return run.count;
      return this.work.failed(run.task, error);
    });
    run.allowance.end();
    if (this.stopped) return;
    if (count === null) this.work.gone(run.task);
    run.read(count);
    waker.stir();
    // What its snapshot did not see of what was delivered, one that is taken a moment later may see.
    if (run.void || run.share.kind === 'again') await clock.sleep(RETRY_MS, this.over.signal);
  }

  /** Of what is not wanted any more the session ends at once, and its query with it: that may look for the next row for long. */
  private async whileWanted(reader: ChunkReader, run: ChunkRun): Promise<number | null> {
    const wake = new AbortController();
    let over = false;
    run.dropped.addEventListener('abort', () => wake.abort(), { once: true });
    const look = async (): Promise<void> => {
      while (!over && !run.void) await this.deps.clock.sleep(LOOK_MS, wake.signal);
      if (over) return;
      this.readers.delete(reader);
      await this.deps.end(reader.session);
    };
    const looking = look();
    try {
      return await reader.read(run);
    } finally {
      over = true;
      wake.abort();
      await looking;
    }
  }

  private async reader(): Promise<ChunkReader> {
    const { deps } = this;
    const reader = new ChunkReader(await deps.open(), {
      ...deps,
      exported: () => this.work.exported(),
      now: () => deps.clock.now(),
    });
    this.readers.add(reader);
    if (this.stopped) await deps.end(reader.session);
    return reader;
  }

  private get stopped(): boolean {
    return this.over.signal.aborted;
  }

  private get waiting(): number {
    return this.runs.reduce((sum, run) => sum + run.pieces.length, 0);
  }

  private arrived(run: ChunkRun): boolean {
    this.deps.waker.stir();
    if (this.waiting < WAITING) return true;
    this.heldUp[run.whole ? 'whole' : 'chunk'].begin();
    return false;
  }

  private goOn(): void {
    this.heldUp.chunk.end();
    this.heldUp.whole.end();
  }

  private resume(): void {
    this.goOn();
    for (const reader of this.readers) reader.resume();
  }

  /** Nobody takes rows for long (a pause, a full log): the source must not have to keep a snapshot for that. */
  private giveBack(whole: boolean): void {
    for (const run of this.runs) {
      if (run.finished !== null || run.whole !== whole) continue;
      run.cancel();
      if (whole) run.task.begunOver = BEGUN_OVER;
    }
    // The others' time goes on: each reads one piece more, and stands again.
    for (const reader of this.readers) reader.resume();
    this.deps.waker.stir();
  }
}
