import type { Api, MetricsAnswer, StreamAnswer } from './api.js';
import type { DemoLog, LoggedEvent } from './demo-log.js';
import type { Figures } from './figures.js';
import type { Shop } from './shop.js';

/** Looks at a stream from outside, once a second. */
export interface Watch {
  look(): Promise<Figures>;
}

export function openWatch(api: Api, log: DemoLog, streamId: string, shop: Shop): Watch {
  const startedAt = performance.now();
  let before: { readonly at: number; readonly events: number } | null = null;
  return {
    async look() {
      const [stream, metrics, depth, newest] = await Promise.all([
        api.call<StreamAnswer>('GET', `/streams/${streamId}`),
        api.call<MetricsAnswer>('GET', `/streams/${streamId}/metrics?window=1m`),
        log.depth(),
        log.newest(8),
      ]);
      const { status, snapshot } = stream.data.attributes;
      const totals = metrics.data.attributes;
      const kept = totals.source_retention;
      const at = performance.now();
      const rate = before ? ((depth - before.events) * 1000) / (at - before.at) : 0;
      before = { at, events: depth };
      return {
        seconds: Math.round((at - startedAt) / 1000),
        status,
        eventsPerSecond: Math.max(0, rate),
        lagSeconds: totals.lag_seconds,
        p50: totals.latency_ms?.p50 ?? null,
        p99: totals.latency_ms?.p99 ?? null,
        logDepth: depth,
        totalEvents: totals.total_events,
        totalBytes: totals.total_bytes,
        committed: shop.committed,
        rolledBack: shop.rolledBack,
        held:
          kept === null
            ? null
            : {
                bytes: kept.held_bytes,
                bytesToLoss: kept.bytes_to_loss,
                secondsToLoss: kept.seconds_to_loss,
                overBudget: kept.over_budget,
              },
        snapshotRows: snapshot?.rows_done ?? null,
        lastEvents: newest.map(eventLine),
      };
    },
  };
}

/** One entry of the log on one line: operation, table, key. */
function eventLine({ type, time, subject, partitionkey, data }: LoggedEvent): string {
  const what = type.split('.').at(-1) ?? '';
  return `${time.slice(11, 23)}  ${what.padEnd(8)}  ${subject.padEnd(17)}  ${partitionkey}  ${data.length} B`;
}
