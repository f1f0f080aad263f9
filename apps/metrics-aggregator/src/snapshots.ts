import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { WINDOWS, type MetricsStore } from '@planasonix/metrics';
import type { MetricsSnapshotStore } from '@planasonix/store';
import type { StreamCensus } from './stream-census.js';

/** Streams without a report for this long are left as they were last written. */
const ACTIVE_MS = 120_000;

/** Writes the last windows to the store each 10 s: the gateway answers from there while Redis is down. */
@Injectable()
export class Snapshots implements OnApplicationShutdown {
  private running: Promise<void> | null = null;

  constructor(
    private readonly metrics: MetricsStore,
    private readonly census: StreamCensus,
    private readonly store: MetricsSnapshotStore,
  ) {}

  @Interval(10_000)
  write(): void {
    this.running ??= this.writeAll()
      .catch(() => undefined)
      .finally(() => (this.running = null));
  }

  async onApplicationShutdown(): Promise<void> {
    await this.running;
  }

  private async writeAll(): Promise<void> {
    const rows = [];
    for (const [streamId, known] of this.census.streamsSince(Date.now() - ACTIVE_MS)) {
      const windows = Object.fromEntries(
        await Promise.all(
          WINDOWS.map(async (name) => [name, await this.metrics.window(streamId, name, known.createdAt)] as const),
        ),
      );
      rows.push({ streamId, windows, computedAt: new Date() });
    }
    await this.store.put(rows);
  }
}
