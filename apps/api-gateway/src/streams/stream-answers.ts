import { WINDOWS } from '@planasonix/metrics';
import { STREAM_STATUSES } from '@planasonix/core';
import { z } from 'zod';
import { check, id, pageOf, resource, time } from '../contract/answers.js';

export const streamId = id('str', 'Stream ID.');
export const status = z.enum(STREAM_STATUSES).meta({ description: 'Lifecycle state.' });
const desired = z.enum(['idle', 'running', 'paused', 'stopped']);

export const lastError = z.object({
  code: z.string().meta({ description: 'From the table of stream errors.' }),
  message: z.string(),
  hint: z.string().nullable(),
  occurred_at: z.string(),
});

/** One table of a snapshot, the stream's own or an ordered one. */
export const tableProgress = z.looseObject({
  table: z.string(),
  state: z.enum(['waiting', 'running', 'done', 'refused', 'cancelled']).meta({
    description:
      '`refused`: not taken up, `note` says why and what mends it. `cancelled`: its order was taken back, or failed, of which `note` says why.',
  }),
  rows_done: z.int(),
  rows_estimated: z.number().nullable().meta({ description: "The server's own estimate; null where it has none." }),
  order: z.string().nullable().meta({
    description: 'Id of the order it belongs to (`POST …/snapshot`); null: the snapshot of the stream itself.',
  }),
  note: z.string().nullable(),
});

const brief = z.object({
  name: z.string(),
  source_type: z.string(),
  pipeline_id: z.string(),
  connection_id: z.string().nullable(),
  status,
  desired_status: desired,
  last_error: lastError.nullable().meta({ description: 'Why it is in `error`, or its last retryable failure.' }),
  blocked: z
    .looseObject({ reason: z.string() })
    .nullable()
    .meta({ description: 'Why a running stream waits, such as `log_full`.' }),
  created_at: time,
  updated_at: time,
});

export const streamAttributes = brief.extend({
  config: z.record(z.string(), z.unknown()).meta({ description: 'As configured, in snake_case; secrets are masked.' }),
  position: z.unknown().meta({
    description: 'The last committed place in the log of the source, in its own form; null before the first.',
  }),
  snapshot: z
    .looseObject({
      state: z.enum(['running', 'done']),
      tables_total: z.int(),
      tables_done: z.int(),
      rows_done: z.int(),
      rows_estimated: z.number().nullable(),
      tables: z
        .array(tableProgress)
        .optional()
        .meta({ description: 'Those that wait, are being read or were refused; and the last ones that were done.' }),
    })
    .nullable()
    .meta({ description: 'Progress of the snapshot; null where there is none.' }),
  ingest_url: z.string().optional().meta({ description: 'Where deliveries go, for streams that take them in.' }),
});

export const stream = resource('stream', streamId, streamAttributes);
export const streamPage = pageOf(z.object({ id: streamId, type: z.literal('stream'), attributes: brief }));
export const commanded = resource('stream', streamId, z.object({ status, updated_at: time }));
export const deleted = resource('stream', streamId, z.object({ deleted: z.literal(true), deleted_at: time }));

export const summary = z.object({
  data: z.object({
    type: z.literal('streams_summary'),
    attributes: z.object({
      total: z.int(),
      by_status: z.object(Object.fromEntries(STREAM_STATUSES.map((one) => [one, z.int()]))),
      approx_events_per_minute: z.number(),
      computed_at: time,
      stale: z.boolean().optional(),
    }),
  }),
});

const ms = z.number().nullable();
export const metrics = resource(
  'stream_metrics',
  streamId,
  z.object({
    stream_id: streamId,
    status,
    events_per_second: z.number(),
    bytes_per_second: z.number(),
    lag_seconds: z.number(),
    lag_certain: z.boolean().meta({ description: 'False when nothing has proved the lag for 30 s.' }),
    error_rate_per_minute: z.number(),
    last_event_at: time.nullable(),
    latency_ms: z.object({ p50: ms, p95: ms, p99: ms }).meta({ description: 'Source commit to durable in the log.' }),
    total_events: z.number(),
    total_bytes: z.number(),
    rejected_events: z.number(),
    dropped_events: z.number(),
    backlog_bytes: z.number().nullable(),
    backlog_records: z.number().nullable().meta({ description: 'Where the source counts records.' }),
    source_retention: z
      .object({
        held_bytes: z
          .number()
          .meta({ description: 'Bytes that the source would have thrown away but for this stream.' }),
        bytes_to_loss: z
          .number()
          .nullable()
          .meta({ description: 'Bytes that may still be written before the position is lost; null: no limit is set.' }),
        seconds_to_loss: z.number().nullable().meta({
          description:
            'The same in seconds, at the rate of late or by an idle timeout; null: no limit, or nothing grows.',
        }),
        budget_bytes: z
          .number()
          .nullable()
          .meta({ description: 'What the config of the stream allows; null: no budget.' }),
        over_budget: z.boolean(),
      })
      .nullable()
      .meta({
        description:
          'What the source keeps of its own log for this stream (WAL, binlog), looked at each 10 s; null: not known, the source can not tell, or the position is lost.',
      }),
    window: z.enum(WINDOWS),
    computed_at: time,
    stale: z
      .boolean()
      .optional()
      .meta({ description: 'True: the counters can not be reached; these are the last known ones.' }),
  }),
);

export const checked = resource('stream_check', streamId, z.object({ ok: z.boolean(), checks: z.array(check) }));

export const eventPage = pageOf(
  z.object({
    id: z.string().meta({ description: 'The same on every redelivery.' }),
    type: z.literal('event'),
    attributes: z.object({
      cursor: z.string().meta({ description: 'Place in the log; `after` takes it.' }),
      type: z.string(),
      source: z.string(),
      subject: z.string(),
      time: z.string(),
      partitionkey: z.string(),
      data: z.unknown(),
    }),
  }),
);
