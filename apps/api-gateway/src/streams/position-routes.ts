import { z } from 'zod';
import { resource, time } from '../contract/answers.js';
import { pathId } from '../contract/fields.js';
import { route } from '../contract/route.js';
import { streamId } from './stream-answers.js';

const tag = 'Streams';
const params = pathId('Stream ID.');

const position = resource(
  'stream_position',
  streamId,
  z.object({
    position: z.unknown().meta({
      description:
        'The last committed place in the log of the source, in its own form; several partitions as partition → place; null before the first.',
    }),
    pending: z
      .object({
        position: z.unknown().meta({ description: 'Which position was being set.' }),
        since: time,
      })
      .nullable()
      .meta({
        description:
          'A position that is being set, or whose setting was cut short: how far that got is not known. While it is not null a start is 409 `position_pending`; set it once more.',
      }),
    committed_at: time.nullable().meta({ description: 'When it was committed or set.' }),
  }),
);

export const getPosition = route({
  method: 'GET',
  path: '/streams/{id}/position',
  id: 'getPosition',
  tag,
  summary: 'Read the position',
  scope: 'streams:read',
  params,
  status: 200,
  answer: position,
  answerDescription: 'Where the stream goes on.',
});

export const setPosition = route({
  method: 'PUT',
  path: '/streams/{id}/position',
  id: 'setPosition',
  tag,
  summary: 'Set the position',
  description:
    'While the stream is `stopped` or in `error`: where it goes on. The source has to hold that place, else 409 `position_refused` says why. Set back, events come again with the same ids; set ahead, those between are left out. A stream in `error` for its lost position is `stopped` afterwards, and its start asks nothing. Postgres takes `{"lsn":"16/B374D848"}` or a whole position as `GET` shows it; MySQL and MariaDB `{"file":"binlog.000042","pos":1234}`, a place between two transactions, `{"gtids":"…"}` with all that counts as read, or a whole position.',
  scope: 'streams:operate',
  params,
  body: z.strictObject({
    position: z
      .record(z.string(), z.unknown())
      .meta({ description: 'In the form of the source, or partition → place as `GET` shows it.' }),
  }),
  bodyExample: { position: { lsn: '16/B374D848' } },
  status: 200,
  answer: position,
  answerDescription: 'The position that now holds.',
  errors: [
    'stream_active',
    'superseded',
    'deleting',
    'position_refused',
    'position_unsupported',
    'no_worker',
    'log_unavailable',
    'queue_unavailable',
    'worker_busy',
  ],
});
