import type { CounterReport } from '@planasonix/core';
import type { StreamStore } from '@planasonix/store';

export interface KnownStream {
  readonly epoch: number;
  readonly createdAt: Date;
}

interface Entry extends KnownStream {
  readonly askedAt: number;
  reportedAt: number;
}

/** What the store said is asked again after this long; that there is no such stream, sooner. */
const FRESH_MS = 60_000;
const ABSENT_MS = 5000;
/** A report of an epoch that has not begun, as far as is known: a worker may just have claimed the stream. */
const EPOCH_MS = 500;
/** The store did not answer: counting must not wait for its timeout at each message. */
const DOWN_MS = 2000;
const FORGET_MS = 600_000;
const MOST_ABSENT = 100_000;

/** Which streams there are and which epoch they have, asked of the store no more than needed. */
export class StreamCensus {
  private readonly known = new Map<string, Entry>();
  private readonly absent = new Map<string, number>();
  private quietUntil = -Infinity;

  constructor(
    private readonly streams: Pick<StreamStore, 'epochs'>,
    /** Milliseconds that only grow: under a clock that was set back, a new epoch would not be asked for until it has caught up. */
    private readonly now: () => number = () => performance.now(),
  ) {}

  get size(): number {
    return this.known.size;
  }

  /**
   * The reports that belong to streams of ours and not to an epoch that has not begun (trap 37). While the store
   * can't be reached, what is known already is good enough: counting goes on.
   */
  async admit(reports: readonly CounterReport[]): Promise<readonly CounterReport[]> {
    const now = this.now();
    const unsure = new Set(reports.filter((one) => this.isUnsure(one, now)).map((one) => one.stream_id));
    if (unsure.size > 0 && now >= this.quietUntil)
      await this.ask([...unsure], now).catch(() => (this.quietUntil = this.now() + DOWN_MS));
    return reports.filter((one) => {
      const known = this.known.get(one.stream_id);
      if (known === undefined || one.epoch > known.epoch) return false;
      known.reportedAt = now;
      return true;
    });
  }

  createdAt(streamId: string): Date | null {
    return this.known.get(streamId)?.createdAt ?? null;
  }

  /** Streams that have reported within the last `ms`. */
  streamsWithin(ms: number): readonly (readonly [string, KnownStream])[] {
    const since = this.now() - ms;
    return [...this.known].filter(([, entry]) => entry.reportedAt >= since);
  }

  private isUnsure({ stream_id: id, epoch }: CounterReport, now: number): boolean {
    const known = this.known.get(id);
    if (known === undefined) return (this.absent.get(id) ?? -Infinity) <= now - ABSENT_MS;
    return known.askedAt <= now - (epoch > known.epoch ? EPOCH_MS : FRESH_MS);
  }

  private async ask(ids: readonly string[], now: number): Promise<void> {
    const found = await this.streams.epochs(ids);
    for (const id of ids) {
      const row = found.get(id);
      if (row !== undefined) {
        this.known.set(id, { ...row, askedAt: now, reportedAt: now });
        this.absent.delete(id);
      } else {
        this.known.delete(id);
        this.absent.set(id, now);
      }
    }
    // Neither list grows for ever. Invariant 6.
    for (const [id, entry] of this.known) if (entry.reportedAt < now - FORGET_MS) this.known.delete(id);
    if (this.absent.size > MOST_ABSENT) this.absent.clear();
  }
}
