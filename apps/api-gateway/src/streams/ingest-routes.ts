import { z } from 'zod';
import { pageOf, resource, time } from '../contract/answers.js';
import { digits, flag, pathId } from '../contract/fields.js';
import { route } from '../contract/route.js';
import { stream, streamId } from './stream-answers.js';

const tag = 'Streams';
const params = pathId('Stream ID.');
const nothing = z.strictObject({});
const exampleId = 'str_01j9k9z0a1b2c3d4e5f6g7h8j9';

export const rotateSecret = route({
  method: 'POST',
  path: '/streams/{id}/rotate-secret',
  id: 'rotateStreamSecret',
  tag,
  summary: 'Rotate the signing secret',
  description:
    'Also while the stream runs. The new secret comes first; those before it live on for `overlap`, three at the most live at once. Without `secret` one is made.',
  scope: 'streams:write',
  secretAnswer: true,
  params,
  body: z.strictObject({
    secret: z
      .string()
      .min(8)
      .max(4096)
      .optional()
      .meta({ description: 'The new secret; default: 256 random bits, shown in the answer alone.' }),
    overlap: z
      .string()
      .regex(/^(?:0|[1-9][0-9]{0,4})(?:s|m|h|d)$/, 'must be a time such as 0s, 30m, 24h or 7d')
      .default('24h')
      .meta({ description: 'For so long the secrets before it are still taken.' }),
  }),
  bodyOptional: true,
  status: 200,
  answer: resource(
    'stream_secret',
    streamId,
    z.object({
      secret: z.string().meta({ description: 'Shown this once.' }),
      live_secrets: z.int(),
      earlier_until: time.nullable().meta({ description: 'When those before it end; null: there are none.' }),
    }),
  ),
  answerDescription: 'The new secret; it is taken at every instance within a second.',
  errors: ['ingest_unsupported', 'secret_fixed', 'secrets_sealed'],
});

export const rotateIngestUrl = route({
  method: 'POST',
  path: '/streams/{id}/rotate-ingest-url',
  id: 'rotateStreamIngestUrl',
  tag,
  summary: 'Roll the ingest address',
  description: 'A new address; the one before it is 404 within a second.',
  scope: 'streams:write',
  params,
  body: nothing,
  bodyOptional: true,
  status: 200,
  answer: stream,
  answerDescription: 'The stream with its new `ingest_url`.',
  errors: ['ingest_unsupported'],
});

export const testEvent = route({
  method: 'POST',
  path: '/streams/{id}/test-event',
  id: 'sendStreamTestEvent',
  tag,
  summary: 'Send a test delivery',
  description:
    'A sample, signed as its sender would, goes through the real door: what it is answered is what senders get.',
  scope: 'streams:operate',
  params,
  body: nothing,
  bodyOptional: true,
  status: 200,
  answer: resource(
    'stream_test_event',
    streamId,
    z.object({
      delivered: z.boolean(),
      status: z.int().meta({ description: 'What the door answered.' }),
      event_id: z.string(),
      answer: z.unknown(),
    }),
  ),
  answerDescription: 'What became of it.',
  answerExample: {
    data: {
      id: exampleId,
      type: 'stream_test_event',
      attributes: {
        ...{ delivered: true, status: 200, event_id: 'test_0f1e2d3c4b5a69788f' },
        answer: { received: true, id: `${exampleId}/test_0f1e2d3c4b5a69788f` },
      },
    },
  },
  errors: [
    ...(['ingest_unsupported', 'sample_unsupported', 'secrets_sealed', 'config_invalid'] as const),
    ...(['no_worker', 'log_full', 'queue_unavailable', 'worker_busy'] as const),
  ],
});

export const listDeliveries = route({
  method: 'GET',
  path: '/streams/{id}/deliveries',
  id: 'listStreamDeliveries',
  tag,
  summary: 'Last deliveries',
  description:
    'The last answers that senders got, newest first: when, which status, and why. Of many in a second some are left out. Kept are the last 200 deliveries that were answered 2xx and, apart, the last 200 that were not: a busy stream shows those with `failed=true`. Also of a stream that does not run, or never did. Never a body.',
  scope: 'streams:read',
  params,
  query: z.strictObject({
    limit: digits(1, 100, 50),
    failed: flag('Only those that were refused or could not be stored: with a status of 400 or more.'),
  }),
  status: 200,
  answer: pageOf(
    z.object({
      id: z.string().nullable().meta({ description: 'The id of the event; null: it became none.' }),
      type: z.literal('delivery'),
      attributes: z.object({
        at: time,
        status: z.int(),
        reason: z.string().nullable().meta({
          description: 'From the table of reasons of deliveries, such as `signature_wrong`; null: taken in.',
        }),
        hint: z.string().nullable().meta({ description: 'What to do; null: it was taken in, or nothing is known.' }),
        event_id: z.string().nullable().meta({ description: "The sender's own id of it." }),
      }),
    }),
  ),
  answerDescription: 'Deliveries; there is one page.',
  errors: ['ingest_unsupported', 'log_unavailable'],
});
