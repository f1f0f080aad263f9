import type { CounterReport } from '@planasonix/core';
import { LATENCY_BUCKETS } from '@planasonix/core';
import { z } from 'zod';

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const time = z.number().nonnegative().max(8.64e15).nullable();
/** What a source could not tell is `null`; what no worker of ours would say is taken as that. */
const amount = z.number().nonnegative().nullable().catch(null);
/** Owners count up from 1, lag probes from 10^13 (`probe_numbers` in the store). */
const BEYOND_ALL = 2e13;

/** Fields that it does not know are left out: a worker may be newer than this aggregator. */
const report = z.object({
  stream_id: z.string().regex(/^str_[0-9a-z]{26}$/),
  source_type: z.string().max(64),
  epoch: count,
  // A number that nobody has reached would bar every report that comes after it.
  sequence: count.max(BEYOND_ALL),
  at: z.number().nonnegative().max(8.64e15),
  total_events: count,
  total_bytes: count,
  errors: count,
  rejected_events: count,
  dropped_events: count,
  latency: z
    .array(
      z.tuple([
        z
          .number()
          .int()
          .min(0)
          .max(LATENCY_BUCKETS - 1),
        count,
      ]),
    )
    .max(LATENCY_BUCKETS),
  oldest_pending_at: time,
  lag_proved_at: time,
  last_event_at: time,
  backlog_bytes: amount,
  backlog_records: amount.optional(),
  held_bytes: amount.optional(),
  bytes_to_loss: amount.optional(),
  seconds_to_loss: amount.optional(),
  budget_bytes: amount.optional(),
});

const MOST_AT_ONCE = 10_000;

/** The reports in a message that have the form of one; everything else changes nothing. */
export function readReports(payload: unknown): {
  readonly reports: readonly CounterReport[];
  readonly refused: number;
} {
  if (!Array.isArray(payload) || payload.length > MOST_AT_ONCE) return { reports: [], refused: 1 };
  const reports = payload.flatMap((one): CounterReport[] => {
    const parsed = report.safeParse(one);
    return parsed.success ? [parsed.data] : [];
  });
  return { reports, refused: payload.length - reports.length };
}
