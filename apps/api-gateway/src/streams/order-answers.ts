import { z } from 'zod';
import { id, pageOf, resource, time } from '../contract/answers.js';
import { streamId, tableProgress } from './stream-answers.js';

export const ORDER_STATES = ['waiting', 'running', 'done', 'failed', 'cancelled'] as const;

export const orderId = id('snap', 'ID of the snapshot.');

const attributes = z.object({
  stream_id: streamId,
  tables: z.array(z.string()),
  where: z.string().nullable().meta({ description: 'Condition in the language of the source; null: all rows.' }),
  state: z.enum(ORDER_STATES).meta({
    description:
      '`waiting`: nothing of it was read yet. `running`: it has begun, and goes on whenever the stream runs. `failed`: it could not be carried out, `failed` says why.',
  }),
  requested_at: time,
  cancelled_at: time.nullable(),
  finished_at: time.nullable().meta({ description: 'When it was done or failed.' }),
  failed: z.string().nullable(),
  progress: z.array(tableProgress).meta({ description: 'Its tables as the stream last told of them.' }),
});

export const order = resource('stream_snapshot', orderId, attributes);
export const orderPage = pageOf(z.object({ id: orderId, type: z.literal('stream_snapshot'), attributes }));
