import { losesPosition } from '@planasonix/core';
import type { MetricsStore, MetricsWindow } from '@planasonix/metrics';
import type { MetricsSnapshotStore, Stream, StreamStore } from '@planasonix/store';

const ZERO = {
  events_per_second: 0,
  bytes_per_second: 0,
  lag_seconds: 0,
  lag_certain: false,
  error_rate_per_minute: 0,
  last_event_at: null,
  latency_ms: { p50: null, p95: null, p99: null },
  total_events: 0,
  total_bytes: 0,
  rejected_events: 0,
  dropped_events: 0,
  backlog_bytes: null,
  backlog_records: null,
  source_retention: null,
};
/** A summary over more streams than this is made in pieces. */
const PIECE = 500;

/** Rates and lag from the counters in Redis; while it is away, the last ones that the aggregator put into the store. */
export class StreamMetrics {
  constructor(
    private readonly counters: Pick<MetricsStore, 'window' | 'eventsPerMinute'>,
    private readonly snapshots: Pick<MetricsSnapshotStore, 'get' | 'eventsPerSecond'>,
    private readonly streams: Pick<StreamStore, 'ids'>,
  ) {}

  async window(row: Stream, window: MetricsWindow): Promise<object> {
    const metrics = await this.counters
      .window(row.id, window, row.created_at)
      .catch(() => this.lastKnown(row.id, window));
    // What was seen before the place was lost is not so any more.
    const lost = row.status === 'error' && losesPosition(row.last_error?.code ?? '');
    return { stream_id: row.id, status: row.status, ...metrics, ...(lost ? { source_retention: null } : {}) };
  }

  /** Over the whole workspace. */
  async eventsPerMinute(workspaceId: string): Promise<{ rate: number; stale: boolean }> {
    const ids = await this.streams.ids(workspaceId);
    try {
      let rate = 0;
      for (let from = 0; from < ids.length; from += PIECE)
        rate += await this.counters.eventsPerMinute(ids.slice(from, from + PIECE));
      return { rate, stale: false };
    } catch {
      return { rate: Math.round((await this.snapshots.eventsPerSecond(ids)) * 60), stale: true };
    }
  }

  private async lastKnown(streamId: string, window: MetricsWindow): Promise<object> {
    const kept = await this.snapshots.get(streamId);
    const known = kept?.windows[window];
    const at = (kept?.computed_at ?? new Date()).toISOString();
    return {
      ...ZERO,
      ...(typeof known === 'object' ? known : {}),
      window,
      lag_certain: false,
      computed_at: at,
      stale: true,
    };
  }
}
