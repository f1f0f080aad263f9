import { z } from 'zod';
import { pageOf, time } from '../contract/answers.js';
import { paging, pathId } from '../contract/fields.js';
import { route } from '../contract/route.js';
import { streamId } from './stream-answers.js';

const attributes = z.object({
  stream_id: streamId,
  record_id: z.string().meta({ description: 'The id that its event would have had.' }),
  place: z.string().meta({ description: 'Where it lies in the source.', examples: ['orders/0 at 42'] }),
  reason: z.string(),
  record_at: time.nullable().meta({ description: 'Time of the record, where it has one.' }),
  rejected_at: time,
});

export const listRejected = route({
  method: 'GET',
  path: '/streams/{id}/rejected',
  id: 'listRejected',
  tag: 'Streams',
  summary: 'List records that were set aside',
  description:
    'Records of the source that do not fit what the stream is configured for: where they lie and why, newest first, the last 10,000. They are no events; the stream goes on without them, and the source keeps them as long as it keeps its records.',
  scope: 'dlq:read',
  params: pathId('Stream ID.'),
  query: paging,
  status: 200,
  answer: pageOf(z.object({ id: z.string(), type: z.literal('rejected_record'), attributes })),
  answerDescription: 'A page of records.',
  errors: ['invalid_cursor'],
});
