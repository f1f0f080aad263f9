import type { WindowMetrics } from '@planasonix/metrics';
import { Gauge, register } from 'prom-client';

type Minute = Pick<WindowMetrics, 'events_per_second' | 'lag_seconds' | 'source_retention'>;

/** Name, help, and what it shows of a stream; `null`: nothing is known. */
const SHOWN: readonly (readonly [string, string, (minute: Minute) => number | null])[] = [
  ['events_per_second', 'Events that became durable, over the last minute', (one) => one.events_per_second],
  ['lag_seconds', 'Age of the oldest change that is not durable', (one) => one.lag_seconds],
  ['source_held_bytes', 'What the source keeps for it', (one) => one.source_retention?.held_bytes ?? null],
  [
    'source_bytes_to_loss',
    'What may still be written at the source before it drops what it has not read',
    (one) => one.source_retention?.bytes_to_loss ?? null,
  ],
  [
    'source_seconds_to_loss',
    'When the source will drop what it has not read, at the present rate',
    (one) => one.source_retention?.seconds_to_loss ?? null,
  ],
  [
    'source_over_budget',
    '1: it holds back more than its wal_budget',
    (one) => (one.source_retention === null ? null : Number(one.source_retention.over_budget)),
  ],
];

/** What alerts are made of: each stream that reports, as of the last round of windows. Labels: `stream_id`. */
export class StreamGauges {
  private readonly gauges = SHOWN.map(([name, help, of]) => {
    const full = `planasonix_stream_${name}`;
    const made =
      (register.getSingleMetric(full) as Gauge | undefined) ??
      new Gauge({ name: full, help, labelNames: ['stream_id'] });
    return { made, of };
  });

  /** Streams that are not among them are not shown any more. */
  show(streams: readonly (readonly [string, Minute])[]): void {
    for (const { made, of } of this.gauges) {
      made.reset();
      for (const [stream_id, minute] of streams) {
        const value = of(minute);
        if (value !== null) made.set({ stream_id }, value);
      }
    }
  }
}
