import { Bell, type Clock, type Log, type Waker } from '@planasonix/core';
import { Pace } from '@planasonix/rows';
import type { MySqlConfig } from '../config.js';
import type { Session } from '../session.js';
import { isGone } from '../stream-error.js';
import { ChunkReader, type ChunkDeps } from './chunk-reader.js';
import { ChunkRun } from './chunk-run.js';
import type { RowTask, Share } from './row-task.js';
import { BUSY, isLater, isLocked, LATER_MS } from './table-now.js';

/** Pieces that wait for the engine before readers stand still. Invariant 6. */
const WAITING = 8;
/** A reader that is held up this long gives its transaction back, and the chunk is read again later. */
const HELD_UP_MS = 20_000;
const LOOK_MS = 1_000;
const RETRY_MS = 100;

export interface RowReadersDeps extends Omit<ChunkDeps, 'room' | 'arrived'> {
  readonly config: MySqlConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** Woken when there is something to take. */
  readonly waker: Waker;
  /** In the transaction of rows alone. */
  readonly session: Session | null;
}

export interface RowReadersWork {
  /** What to read next; `null`: nothing for now. */
  next(): { readonly task: RowTask; readonly share: Share } | null;
  /** Nothing is left to be read: sessions need not be kept. */
  idle(): boolean;
  /** Resolves when `next` may have another answer. */
  wait(): Promise<void>;
  /** A chunk could not be read. @throws where its task is not over with that */
  failed(task: RowTask, error: unknown): void;
  /** The table of a task is gone. */
  gone(task: RowTask): void;
  /** What ended the reading. */
  broke(error: unknown): void;
}

/** Reads chunks, several at once, no further ahead than the engine follows. */
export class RowReaders {
  /** Chunks that are being read, or were read and wait to be handed over, in the order in which they were begun. */
  readonly runs: ChunkRun[] = [];
  private readonly readers = new Set<ChunkReader>();
  private readonly roomier = new Bell();
  private takenAt = -Infinity;
  private readonly over = new AbortController();

  constructor(
    private readonly deps: RowReadersDeps,
    private readonly work: RowReadersWork,
  ) {}

  start(): void {
    const { alone, config, clock } = this.deps;
    const count = alone === null ? config.snapshot_readers : 1;
    const pace = new Pace(config.snapshot_max_rows_per_second ?? Infinity, count, clock, this.over.signal);
    for (let i = 0; i < count; i++)
      this.read(pace).catch((error: unknown) => {
        if (!this.stopped) this.work.broke(error);
      });
  }

  /** After pieces were taken, or thrown away. */
  taken(): void {
    this.takenAt = this.deps.clock.monotonic();
    if (this.waiting < WAITING / 2) this.roomier.ring();
  }

  close(): void {
    this.over.abort();
    for (const reader of this.readers) reader.stop();
    this.roomier.ring();
  }

  private async read(pace: Pace): Promise<void> {
    const { work, deps } = this;
    const room = (run: ChunkRun): Promise<boolean> => this.room(run);
    const reader = new ChunkReader({ ...deps, room, arrived: () => deps.waker.stir() }, deps.session);
    this.readers.add(reader);
    while (!this.stopped) {
      // Before anything is begun: others wait for the end of what is.
      if (!pace.isDue) {
        await pace.wait();
        continue;
      }
      const next = work.next();
      if (next === null) {
        if (work.idle() && deps.alone === null) reader.forget();
        await work.wait();
        continue;
      }
      const run = new ChunkRun(next.task, next.share, pace);
      this.runs.push(run);
      await this.readChunk(reader, run);
    }
  }

  private async readChunk(reader: ChunkReader, run: ChunkRun): Promise<void> {
    let pause = 0;
    try {
      const outcome = await this.whileWanted(reader, run);
      // Of what is void, the table that is to be read may be there by now.
      if (outcome === 'gone' && !run.void) this.work.gone(run.task);
    } catch (error) {
      if (this.stopped) return;
      // Its session was ended amid that, or it would have been.
      if (!run.void || this.deps.alone !== null) pause = this.failed(run, error);
    }
    run.tell();
    run.allowance.end();
    if (this.stopped) return;
    // What was broken off is void by now.
    if (run.finished === null) run.cancel();
    const { void: again } = run;
    run.finished ??= { end: false };
    this.deps.waker.stir();
    const ms = Math.max(pause, again ? RETRY_MS : 0);
    if (ms > 0) await this.deps.clock.sleep(ms, this.over.signal);
  }

  /** What is not wanted any more is broken off, but in the one transaction of rows alone: its chunk comes to its end. */
  private async whileWanted(reader: ChunkReader, run: ChunkRun): ReturnType<ChunkReader['read']> {
    const over = new AbortController();
    const wakes = AbortSignal.any([over.signal, run.dropped]);
    const look = async (): Promise<void> => {
      while (!over.signal.aborted) {
        await this.deps.clock.sleep(LOOK_MS, run.dropped.aborted ? over.signal : wakes);
        if (!over.signal.aborted && run.void) await reader.abandon();
      }
    };
    const looking = this.deps.alone === null ? look() : null;
    try {
      return await reader.read(run);
    } finally {
      over.abort();
      await looking;
    }
  }

  /** @returns after how long the chunk may be tried again, ms */
  private failed({ task }: ChunkRun, error: unknown): number {
    if (isGone(error)) this.work.gone(task);
    else if (this.deps.alone === null ? isLater(error) : isLocked(error)) {
      task.waitsFor = BUSY;
      return LATER_MS;
    } else this.work.failed(task, error);
    return 0;
  }

  private get stopped(): boolean {
    return this.over.signal.aborted;
  }

  private get waiting(): number {
    return this.runs.reduce((sum, run) => sum + run.pieces.length, 0);
  }

  /**
   * Nobody takes rows for long (a pause, a full log): the source must not have to keep old versions of rows for that. But
   * what can't be gone on with in another transaction is waited for, or it would never come to its end.
   */
  private async room({ share }: ChunkRun): Promise<boolean> {
    const { clock, alone } = this.deps;
    const patient = alone !== null || share.kind === 'whole';
    const began = clock.monotonic();
    while (this.waiting >= WAITING && !this.stopped) {
      if (!patient && clock.monotonic() - Math.max(began, this.takenAt) > HELD_UP_MS) return false;
      const over = new AbortController();
      await Promise.race([this.roomier.wait(), clock.sleep(LOOK_MS, over.signal)]);
      over.abort();
    }
    return true;
  }
}
