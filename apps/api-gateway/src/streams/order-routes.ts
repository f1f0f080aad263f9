import { z } from 'zod';
import { paging, pathId } from '../contract/fields.js';
import { route } from '../contract/route.js';
import * as answers from './order-answers.js';

const tag = 'Streams';
const params = pathId('Stream ID.');

export const orderSnapshot = route({
  method: 'POST',
  path: '/streams/{id}/snapshot',
  id: 'orderSnapshot',
  tag,
  summary: 'Read rows again',
  description:
    'Orders the rows of some tables, or those that a condition holds for, to be read again while the stream goes on. It survives restarts; a stream that is paused or stopped carries it out when it runs. Progress per table stands in the `snapshot` of the stream.',
  scope: 'streams:operate',
  creates: true,
  params,
  body: z.strictObject({
    tables: z
      .array(z.string().min(1).max(300).regex(/\S/, 'must not be blank'))
      .min(1)
      .max(100)
      .meta({ description: 'Tables of the stream: exact names or `schema.*`.' }),
    where: z.string().min(1).max(10_000).regex(/\S/, 'must not be blank').nullable().optional().meta({
      description:
        'A condition in the language of the source (SQL), for each of the tables: columns that the stream reads, operators, casts to built-in types, and built-in functions that only work out a value (`lower`, `coalesce`, `date_trunc`, `jsonb_typeof`, …). Excluded columns, whole rows, queries and other functions are 400, which says what may be used.',
    }),
  }),
  bodyExample: { tables: ['public.orders'], where: "created_at >= '2025-01-01'" },
  status: 201,
  answer: answers.order,
  answerDescription: 'The order, `waiting`.',
  errors: [
    'no_tables',
    'invalid_transition',
    'deleting',
    'snapshot_unsupported',
    'too_many_snapshots',
    'queue_unavailable',
    'worker_busy',
  ],
});

export const listSnapshots = route({
  method: 'GET',
  path: '/streams/{id}/snapshots',
  id: 'listSnapshots',
  tag,
  summary: 'List ordered snapshots',
  description: 'Those that were ordered by `POST …/snapshot`, newest first, also when they are over.',
  scope: 'streams:read',
  params,
  query: paging,
  status: 200,
  answer: answers.orderPage,
  answerDescription: 'A page of orders.',
  errors: ['invalid_cursor'],
});

export const cancelSnapshot = route({
  method: 'DELETE',
  path: '/streams/{id}/snapshots/{snapshotId}',
  id: 'cancelSnapshot',
  tag,
  summary: 'Cancel an ordered snapshot',
  description: 'No more rows of it are read; those that are in the log stay. Cancelling once more changes nothing.',
  scope: 'streams:operate',
  params: params.extend({ snapshotId: z.string().meta({ description: 'Snapshot ID.' }) }),
  status: 200,
  answer: answers.order,
  answerDescription: 'The order, `cancelled`.',
  errors: ['snapshot_over'],
});
