import { z } from 'zod';
import { bareListOf, deletedBare, id, time } from '../contract/answers.js';
import { name, paging, pathId } from '../contract/fields.js';
import { route } from '../contract/route.js';
import { SCOPES } from '../contract/scopes.js';

const tag = 'Keys and workspaces';
const params = pathId('Key ID.');
const scopes = z.array(z.enum(SCOPES)).min(1).max(SCOPES.length);

export const apiKey = z.object({
  id: id('key', 'Key ID.'),
  name: z.string(),
  prefix: z.string().meta({ description: 'The beginning of the key, to tell keys apart.' }),
  scopes: z.array(z.string()),
  expiresAt: time.nullable(),
  lastUsedAt: time.nullable(),
  revokedAt: time.nullable().meta({ description: 'May lie ahead: the end of the grace after a rotation.' }),
  createdAt: time,
});
const shownOnce = apiKey.extend({ key: z.string().meta({ description: 'The key itself, shown this once.' }) });

export const listKeys = route({
  method: 'GET',
  path: '/api-keys',
  id: 'listApiKeys',
  tag,
  summary: 'List API keys',
  scope: 'admin:organization',
  query: paging,
  status: 200,
  answer: bareListOf(apiKey),
  answerDescription: 'A page of keys, newest first; never the key itself.',
  errors: ['invalid_cursor'],
});

export const createKey = route({
  method: 'POST',
  path: '/api-keys',
  id: 'createApiKey',
  tag,
  summary: 'Create an API key',
  scope: 'admin:organization',
  creates: true,
  secretAnswer: true,
  body: z.strictObject({
    name,
    scopes,
    expiresAt: z.iso
      .datetime({ offset: true, error: 'must be an RFC 3339 time' })
      .refine((text) => Date.parse(text) > Date.now(), 'must lie ahead')
      .nullish()
      .meta({ description: 'RFC 3339; null or absent: never.' }),
  }),
  bodyExample: { name: 'dashboard', scopes: ['streams:read'] },
  status: 201,
  answer: shownOnce,
  answerDescription: 'The key, shown this once.',
});

export const deleteKey = route({
  method: 'DELETE',
  path: '/api-keys/{id}',
  id: 'deleteApiKey',
  tag,
  summary: 'Revoke an API key',
  description: 'The first key of the installation is revoked with it alone.',
  scope: 'admin:organization',
  params,
  status: 200,
  answer: deletedBare,
  answerDescription: 'The key is refused from now on.',
  errors: ['last_admin_key'],
});

export const rotateKey = route({
  method: 'POST',
  path: '/api-keys/{id}/rotate',
  id: 'rotateApiKey',
  tag,
  summary: 'Rotate an API key',
  description:
    'A new key with the same name, scopes and expiry. The old one lives on for `graceSeconds`. The first key of the installation is rotated with it alone.',
  scope: 'admin:organization',
  creates: true,
  secretAnswer: true,
  params,
  body: z.strictObject({
    graceSeconds: z
      .int()
      .min(0)
      .max(30 * 86_400)
      .default(0),
  }),
  bodyOptional: true,
  status: 200,
  answer: shownOnce,
  answerDescription: 'The new key, shown this once.',
});

export const createWorkspace = route({
  method: 'POST',
  path: '/workspaces',
  id: 'createWorkspace',
  tag,
  summary: 'Create a workspace',
  description: 'With its first key, of scope admin:organization. Only the first key of the installation may.',
  scope: 'first',
  creates: true,
  secretAnswer: true,
  body: z.strictObject({ name }),
  bodyExample: { name: 'analytics' },
  status: 201,
  answer: z.object({ id: id('ws', 'Workspace ID.'), name: z.string(), key: z.string() }),
  answerDescription: 'The workspace and its first key, shown this once.',
});
