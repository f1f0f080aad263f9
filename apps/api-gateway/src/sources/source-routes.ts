import { z } from 'zod';
import { pageOf } from '../contract/answers.js';
import { route } from '../contract/route.js';

export const listSourceTypes = route({
  method: 'GET',
  path: '/source-types',
  id: 'listSourceTypes',
  tag: 'System',
  summary: 'Source types',
  description: 'What workers have announced.',
  scope: 'streams:read',
  status: 200,
  answer: pageOf(
    z.object({
      id: z.string(),
      type: z.literal('source_type'),
      attributes: z.object({
        connection_types: z.array(z.string()),
        config_schema: z.record(z.string(), z.unknown()).meta({ description: 'JSON Schema 2020-12.' }),
        live_workers: z.int(),
      }),
    }),
  ),
  answerDescription: 'The types, with the schema of their config and the number of live workers.',
});
