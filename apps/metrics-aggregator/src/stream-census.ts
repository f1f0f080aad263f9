import type { CounterReport } from '@planasonix/core';
import type { StreamStore } from '@planasonix/store';

export interface KnownStream {
  readonly epoch: number;
  readonly createdAt: Date;
}

const FRESH_MS = 5000;

/** Which streams there are and which epoch they have, asked of the store no more than needed. */
export class StreamCensus {
  private readonly known = new Map<string, KnownStream & { readonly askedAt: number }>();
  private readonly absent = new Map<string, number>();

  constructor(
    private readonly streams: Pick<StreamStore, 'epochs'>,
    private readonly now: () => number = Date.now,
  ) {}

  /**
   * The reports that belong to streams of ours and not to an epoch that has not begun (trap 37). While the store
   * can't be reached, what is known already is good enough: counting goes on.
   */
  async admit(reports: readonly CounterReport[]): Promise<readonly CounterReport[]> {
    const now = this.now();
    const unsure = reports.filter((one) => {
      const known = this.known.get(one.stream_id);
      if (known === undefined) return (this.absent.get(one.stream_id) ?? -Infinity) < now - FRESH_MS;
      return one.epoch > known.epoch || known.askedAt < now - 12 * FRESH_MS;
    });
    if (unsure.length > 0) await this.ask([...new Set(unsure.map((one) => one.stream_id))], now).catch(() => undefined);
    return reports.filter((one) => one.epoch <= (this.known.get(one.stream_id)?.epoch ?? -1));
  }

  streamsSince(since: number): readonly (readonly [string, KnownStream])[] {
    return [...this.known].filter(([, known]) => known.askedAt >= since);
  }

  private async ask(ids: readonly string[], now: number): Promise<void> {
    const found = await this.streams.epochs(ids);
    for (const id of ids) {
      const row = found.get(id);
      if (row !== undefined) this.known.set(id, { ...row, askedAt: now });
      else {
        this.known.delete(id);
        this.absent.set(id, now);
      }
    }
    if (this.absent.size > 100_000) this.absent.clear();
  }
}
