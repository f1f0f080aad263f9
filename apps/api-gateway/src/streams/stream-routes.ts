import { WINDOWS } from '@planasonix/metrics';
import { STREAM_STATUSES, type StreamCommand } from '@planasonix/core';
import { z } from 'zod';
import { cursor, flag, limit, name, pathId, reference } from '../contract/fields.js';
import { route } from '../contract/route.js';
import * as answers from './stream-answers.js';

const tag = 'Streams';
const params = pathId('Stream ID.');
const config = (how: 'whole' | 'patch') =>
  z.record(z.string(), z.unknown()).meta({
    description: 'Options of the source type; see its schema. Secrets are write-only and come back masked.',
    // The document puts the schemas of the announced types here.
    'x-stream-config': how,
  });
const stampedAt = '2025-03-27T18:00:00Z';
const exampleId = 'str_01j9k9z0a1b2c3d4e5f6g7h8j9';

export const listStreams = route({
  method: 'GET',
  path: '/streams',
  id: 'listStreams',
  tag,
  summary: 'List streams',
  description: 'All streams of the workspace, newest first, stable while rows are added.',
  scope: 'streams:read',
  query: z.strictObject({
    status: z.enum(STREAM_STATUSES).optional().meta({ description: 'Filter by lifecycle state.' }),
    source_type: z.string().min(1).max(100).optional().meta({ description: 'Filter by source family.' }),
    pipeline_id: z.string().min(1).max(100).optional().meta({ description: 'Streams that feed this pipeline.' }),
    limit,
    cursor,
  }),
  status: 200,
  answer: answers.streamPage,
  answerDescription: 'A page of streams.',
  errors: ['invalid_cursor'],
});

export const createStream = route({
  method: 'POST',
  path: '/streams',
  id: 'createStream',
  tag,
  summary: 'Create a stream',
  description: 'Registers a stream and binds it to a pipeline. It does not start.',
  scope: 'streams:write',
  creates: true,
  body: z.strictObject({
    name,
    sourceType: reference(
      'postgres_cdc, mysql_cdc, kafka, webhook, or what else workers have announced.',
      'postgres_cdc',
    ),
    pipelineId: reference('Pipeline that takes the events.', 'pl_01j9k9z0a1b2c3d4e5f6g7h8j9'),
    connectionId: reference(
      'Source connection; required where the source type reads from one.',
      'conn_01j9k9z0a1b2c3d4e5f6g7h8j9',
    ).optional(),
    config: config('whole').optional(),
  }),
  bodyExample: {
    name: 'prod_pg_orders_cdc',
    sourceType: 'postgres_cdc',
    pipelineId: 'pl_01j9k9z0a1b2c3d4e5f6g7h8j9',
    connectionId: 'conn_01j9k9z0a1b2c3d4e5f6g7h8j9',
    config: { tables: ['public.orders', 'public.order_items'] },
  },
  status: 201,
  answer: answers.stream,
  answerDescription: 'The stream, `created`.',
  errors: ['source_type_unavailable', 'no_tables', 'host_forbidden', 'name_taken', 'source_taken'],
});

export const streamsSummary = route({
  method: 'GET',
  path: '/streams/summary',
  id: 'streamsSummary',
  tag,
  summary: 'Streams summary',
  description: 'Counts by state and the rate of the whole workspace.',
  scope: 'streams:read',
  status: 200,
  answer: answers.summary,
  answerDescription: 'The summary.',
});

export const getStream = route({
  method: 'GET',
  path: '/streams/{id}',
  id: 'getStream',
  tag,
  summary: 'Read a stream',
  scope: 'streams:read',
  params,
  status: 200,
  answer: answers.stream,
  answerDescription: 'The stream.',
});

export const patchStream = route({
  method: 'PATCH',
  path: '/streams/{id}',
  id: 'patchStream',
  tag,
  summary: 'Change name or config',
  description:
    'The name always; the config while `created`, `paused`, `stopped` or `error`, as a JSON merge patch (RFC 7396) of its top level. A mask that is sent back keeps the secret.',
  scope: 'streams:write',
  params,
  body: z
    .strictObject({ name: name.optional(), config: config('patch').optional() })
    .refine((body) => body.name !== undefined || body.config !== undefined, 'must have name or config')
    .meta({ minProperties: 1 }),
  bodyExample: { name: 'prod_pg_orders_cdc_2' },
  status: 200,
  answer: answers.stream,
  answerDescription: 'The stream as it is now.',
  errors: [
    'name_taken',
    'source_taken',
    'stream_active',
    'no_tables',
    'host_forbidden',
    'superseded',
    'secrets_sealed',
  ],
});

export const deleteStream = route({
  method: 'DELETE',
  path: '/streams/{id}',
  id: 'deleteStream',
  tag,
  summary: 'Delete a stream',
  description:
    'Stops it, gives back what it holds at the source, checks that it is gone, and removes the metadata. The log stays readable for 24 h.',
  scope: 'streams:write',
  params,
  query: z.strictObject({
    force: flag('Remove the metadata also if not everything can be given back; workers go on trying.'),
    purge: flag('Remove the log at once.'),
  }),
  status: 200,
  answer: answers.deleted,
  answerDescription: 'It is gone.',
  answerExample: { data: { id: exampleId, type: 'stream', attributes: { deleted: true, deleted_at: stampedAt } } },
  errors: [
    'active_consumers',
    'source_unreachable',
    'secrets_sealed',
    'no_worker',
    'superseded',
    'deleting',
    'log_unavailable',
    'queue_unavailable',
    'worker_busy',
  ],
});

const VERBS: Readonly<Record<StreamCommand, { summary: string; description: string; status: string }>> = {
  start: {
    summary: 'Start streaming',
    description:
      'Begins to read, or goes on from the last committed place. Answers `starting`; what fails shows as `error` on the stream.',
    status: 'starting',
  },
  stop: {
    summary: 'Stop streaming',
    description: 'Commits, gives the connection back and keeps the slot. `stopped` is true when it is answered.',
    status: 'stopped',
  },
  pause: {
    summary: 'Pause streaming',
    description: 'Halts reading and keeps connection and place, for a quick resume.',
    status: 'paused',
  },
  resume: {
    summary: 'Resume streaming',
    description:
      'Resumes a paused stream. Answers `running` once a worker reads; `starting` from `error`, and where no worker has confirmed within 5 s.',
    status: 'running',
  },
};

const commandRoute = <B extends z.ZodType>(verb: StreamCommand, body: B) =>
  route({
    method: 'POST',
    path: `/streams/{id}/${verb}`,
    id: `${verb}Stream`,
    tag,
    summary: VERBS[verb].summary,
    description: VERBS[verb].description,
    scope: 'streams:operate',
    params,
    body,
    bodyOptional: true,
    status: 200,
    answer: answers.commanded,
    answerDescription: 'The state that now holds.',
    answerExample: {
      data: { id: exampleId, type: 'stream', attributes: { status: VERBS[verb].status, updated_at: stampedAt } },
    },
    errors: [
      'invalid_transition',
      'superseded',
      'deleting',
      'stream_error',
      ...(verb === 'start' || verb === 'resume' ? (['position_lost', 'position_pending'] as const) : []),
      'log_unavailable',
    ],
  });

const nothing = z.strictObject({});
export const startStream = commandRoute(
  'start',
  z.strictObject({
    onLostPosition: z
      .enum(['resnapshot', 'skip'])
      .optional()
      .meta({ description: 'After a lost position: read all rows again, or go on from now and accept the gap.' }),
  }),
);
export const stopStream = commandRoute('stop', nothing);
export const pauseStream = commandRoute('pause', nothing);
export const resumeStream = commandRoute('resume', nothing);

export const checkStream = route({
  method: 'POST',
  path: '/streams/{id}/check',
  id: 'checkStream',
  tag,
  summary: 'Preflight',
  description: 'Can it run? Every finding with a code and the exact SQL or setting that mends it.',
  scope: 'streams:operate',
  params,
  body: nothing,
  bodyOptional: true,
  status: 200,
  answer: answers.checked,
  answerDescription: 'The findings.',
  errors: ['no_worker', 'queue_unavailable'],
});

export const streamMetrics = route({
  method: 'GET',
  path: '/streams/{id}/metrics',
  id: 'streamMetrics',
  tag,
  summary: 'Stream metrics',
  description: 'Rates over a rolling window, lag, latency and totals.',
  scope: 'streams:read',
  params,
  query: z.strictObject({
    window: z.enum(WINDOWS).default('5m').meta({ description: 'Rolling window for rates.' }),
  }),
  status: 200,
  answer: answers.metrics,
  answerDescription: 'The metrics.',
});

export const streamEvents = route({
  method: 'GET',
  path: '/streams/{id}/events',
  id: 'streamEvents',
  tag,
  summary: 'Look into the log',
  description:
    'The newest events, newest last; with `after`, those that follow. With `Accept: text/event-stream` a live tail, which a `Last-Event-ID` continues; it ends within 15 s of its key.',
  scope: 'streams:read',
  params,
  query: z.strictObject({
    limit,
    after: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .meta({ description: 'Cursor of an event; those after it are answered. `0`: from the beginning of the log.' }),
  }),
  status: 200,
  answer: answers.eventPage,
  answerDescription: 'Events, oldest first; `meta.page.cursor` is the place of the last one, for `after`.',
  alsoAnswers: 'text/event-stream',
  errors: ['invalid_cursor', 'log_unavailable', 'log_unreadable', 'too_many_tails'],
});
