import { Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { WINDOWS, type MetricsStore, type MetricsWindow, type WindowMetrics } from '@planasonix/metrics';
import type { MetricsSnapshotStore } from '@planasonix/store';
import type { StreamCensus } from './stream-census.js';
import type { StreamGauges } from './stream-gauges.js';

/** Streams without a report for this long are left as they were last written. */
const ACTIVE_MS = 120_000;
const PER_STATEMENT = 200;

/**
 * Writes the last windows to the store each 10 s: the gateway answers from there while Redis is down. Several
 * aggregators write the same; the newest computation stays. Each shows the last minute's at `/metrics`.
 */
@Injectable()
export class Snapshots {
  private running: Promise<void> | null = null;

  constructor(
    private readonly metrics: Pick<MetricsStore, 'window'>,
    private readonly census: Pick<StreamCensus, 'streamsWithin'>,
    private readonly store: Pick<MetricsSnapshotStore, 'put'>,
    private readonly gauges: Pick<StreamGauges, 'show'>,
    private readonly now: () => number = Date.now,
  ) {}

  /** A round that takes longer than the interval is not overtaken by the next. */
  @Interval(10_000)
  write(): Promise<void> {
    this.running ??= this.writeAll()
      .catch(() => undefined)
      .finally(() => (this.running = null));
    return this.running;
  }

  async ended(): Promise<void> {
    await this.running;
  }

  private async writeAll(): Promise<void> {
    const rows = await this.compute().catch((error: unknown) => {
      this.gauges.show([]);
      throw error;
    });
    this.gauges.show(rows.map(({ streamId, windows }) => [streamId, windows['1m']]));
    for (let from = 0; from < rows.length; from += PER_STATEMENT)
      await this.store.put(rows.slice(from, from + PER_STATEMENT));
  }

  /** In one order everywhere, so that two instances never wait for each other's rows crosswise. */
  private async compute() {
    const streams = [...this.census.streamsWithin(ACTIVE_MS)].sort(([a], [b]) => (a < b ? -1 : 1));
    const rows = [];
    for (const [streamId, { createdAt }] of streams) {
      const windows = await Promise.all(
        WINDOWS.map(async (name) => [name, await this.metrics.window(streamId, name, createdAt)] as const),
      );
      const named = Object.fromEntries(windows) as Record<MetricsWindow, WindowMetrics>;
      rows.push({ streamId, windows: named, computedAt: new Date(this.now()) });
    }
    return rows;
  }
}
