import { templateProblem } from '@planasonix/sinks';
import { z } from 'zod';
import { bareListOf, deletedBare, id, time } from '../contract/answers.js';
import { name, paging, pathId, reference } from '../contract/fields.js';
import { route } from '../contract/route.js';

const tag = 'Pipelines';
const params = pathId('Pipeline ID.');

const redisStream = z
  .strictObject({
    type: z.literal('redis_stream'),
    retention: z
      .strictObject({
        max_entries: z.int().min(1).max(1_000_000_000).default(1_000_000),
        on_full: z.enum(['block', 'trim']).default('block').meta({
          description:
            '`block` pushes back and drops nothing; `trim` drops the oldest, but nothing that a consumer group has yet to acknowledge.',
        }),
      })
      .optional(),
  })
  .meta({ description: 'One Redis stream for each stream.' });

const kafka = z
  .strictObject({
    type: z.literal('kafka'),
    connectionId: reference('A connection of type kafka.', 'conn_01j9k9z0a1b2c3d4e5f6g7h8j9'),
    topic: z
      .string()
      .min(1)
      .max(500)
      .superRefine((template, context) => {
        const problem = templateProblem(template);
        if (problem !== null) context.addIssue({ code: 'custom', message: problem });
      })
      .meta({
        description:
          'With the placeholders {stream} (its id), {schema}, {table}, {topic}; of a webhook stream {table} and {topic} are made of its name. Characters that Kafka forbids become `_`.',
        example: 'cdc.{schema}.{table}',
      }),
    createTopics: z
      .strictObject({
        partitions: z.int().min(1).max(10_000).default(6),
        replicationFactor: z.int().min(1).max(100).default(1),
      })
      .optional()
      .meta({ description: 'Topics that are missing are made. Without it one that is missing is `topic_missing`.' }),
    tombstones: z
      .boolean()
      .default(false)
      .meta({ description: 'A record without a value follows each delete, for compacted topics.' }),
  })
  .meta({ description: 'Topics of a Kafka cluster: CloudEvents in binary mode, in transactions.' });

/** One alternative for each kind of log that `@planasonix/sinks` has a folder for. */
const output = z
  .discriminatedUnion('type', [redisStream, kafka], { error: 'must have the type redis_stream or kafka' })
  .meta({ description: 'Where the events go.' });

const body = z.strictObject({ name, output: output.optional() });
const bodyExample = {
  name: 'orders',
  output: { type: 'redis_stream', retention: { max_entries: 1_000_000, on_full: 'block' } },
};

export const pipeline = z.object({
  id: id('pl', 'Pipeline ID.'),
  name: z.string(),
  output: z.looseObject({ type: z.string() }),
  createdAt: time,
  updatedAt: time,
});

export const listPipelines = route({
  method: 'GET',
  path: '/pipelines',
  id: 'listPipelines',
  tag,
  summary: 'List pipelines',
  scope: 'pipelines:read',
  query: paging,
  status: 200,
  answer: bareListOf(pipeline),
  answerDescription: 'A page of pipelines, newest first.',
  errors: ['invalid_cursor'],
});

export const createPipeline = route({
  method: 'POST',
  path: '/pipelines',
  id: 'createPipeline',
  tag,
  summary: 'Create a pipeline',
  scope: 'pipelines:write',
  creates: true,
  body,
  bodyExample,
  status: 201,
  answer: pipeline,
  answerDescription: 'The pipeline.',
  errors: ['name_taken'],
});

export const getPipeline = route({
  method: 'GET',
  path: '/pipelines/{id}',
  id: 'getPipeline',
  tag,
  summary: 'Read a pipeline',
  scope: 'pipelines:read',
  params,
  status: 200,
  answer: pipeline,
  answerDescription: 'The pipeline.',
});

export const putPipeline = route({
  method: 'PUT',
  path: '/pipelines/{id}',
  id: 'putPipeline',
  tag,
  summary: 'Replace a pipeline',
  description:
    'Streams take a new output up when they are next started; what they have written stays where it is. An output is refused through which one of its streams would read what it writes, alone or over other streams.',
  scope: 'pipelines:write',
  params,
  body,
  bodyExample,
  status: 200,
  answer: pipeline,
  answerDescription: 'The pipeline as it is now.',
  errors: ['name_taken'],
});

export const deletePipeline = route({
  method: 'DELETE',
  path: '/pipelines/{id}',
  id: 'deletePipeline',
  tag,
  summary: 'Delete a pipeline',
  scope: 'pipelines:write',
  params,
  status: 200,
  answer: deletedBare,
  answerDescription: 'It is gone.',
  errors: ['in_use'],
});
