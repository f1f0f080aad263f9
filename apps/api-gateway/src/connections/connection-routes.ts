import { z } from 'zod';
import { bareListOf, check, deletedBare, id, time } from '../contract/answers.js';
import { name, paging, pathId } from '../contract/fields.js';
import { route } from '../contract/route.js';
import { CONNECTION_CONFIGS, CONNECTION_TYPES } from './connection-config.js';

const tag = 'Connections';
const params = pathId('Connection ID.');

const alternatives = <S extends z.ZodRawShape>(rest: S) =>
  z.discriminatedUnion('type', [
    z.strictObject({ ...rest, type: z.literal('postgres'), config: CONNECTION_CONFIGS.postgres }),
    z.strictObject({ ...rest, type: z.literal('mysql'), config: CONNECTION_CONFIGS.mysql }),
    z.strictObject({ ...rest, type: z.literal('mariadb'), config: CONNECTION_CONFIGS.mariadb }),
    z.strictObject({ ...rest, type: z.literal('sqlserver'), config: CONNECTION_CONFIGS.sqlserver }),
    z.strictObject({ ...rest, type: z.literal('kafka'), config: CONNECTION_CONFIGS.kafka }),
    z.strictObject({ ...rest, type: z.literal('redis'), config: CONNECTION_CONFIGS.redis }),
  ]);
const body = alternatives({ name });
const bodyExample = {
  name: 'shop',
  type: 'postgres',
  config: { host: 'db.example.com', port: 5432, database: 'shop', user: 'cdc', password: '…', sslMode: 'verify-full' },
};

export const connection = z.object({
  id: id('conn', 'Connection ID.'),
  name: z.string(),
  type: z.enum(CONNECTION_TYPES),
  config: z.record(z.string(), z.unknown()).meta({ description: 'Secrets are masked.' }),
  createdAt: time,
  updatedAt: time,
});

const report = z.object({
  ok: z.boolean(),
  latencyMs: z.number().nullable().meta({ description: 'From dialling to the first answer.' }),
  serverVersion: z.string().nullable(),
  message: z.string(),
  checks: z.array(check),
});

export const listConnections = route({
  method: 'GET',
  path: '/connections',
  id: 'listConnections',
  tag,
  summary: 'List connections',
  scope: 'connections:read',
  query: paging,
  status: 200,
  answer: bareListOf(connection),
  answerDescription: 'A page of connections, newest first.',
  errors: ['invalid_cursor'],
});

export const createConnection = route({
  method: 'POST',
  path: '/connections',
  id: 'createConnection',
  tag,
  summary: 'Create a connection',
  description: 'Secrets are sealed (AES-256-GCM, bound to the row) and never returned.',
  scope: 'connections:write',
  creates: true,
  body,
  bodyExample,
  status: 201,
  answer: connection,
  answerDescription: 'The connection, secrets masked.',
  errors: ['host_forbidden', 'name_taken'],
});

export const getConnection = route({
  method: 'GET',
  path: '/connections/{id}',
  id: 'getConnection',
  tag,
  summary: 'Read a connection',
  scope: 'connections:read',
  params,
  status: 200,
  answer: connection,
  answerDescription: 'The connection, secrets masked.',
});

export const putConnection = route({
  method: 'PUT',
  path: '/connections/{id}',
  id: 'putConnection',
  tag,
  summary: 'Replace a connection',
  description:
    'A mask that is sent back keeps the secret, as long as the connection goes on naming the same hosts and ports and its TLS is no weaker. The type can not change. Streams take the new settings up when they next connect.',
  scope: 'connections:write',
  params,
  body,
  bodyExample,
  status: 200,
  answer: connection,
  answerDescription: 'The connection as it is now.',
  errors: ['host_forbidden', 'name_taken', 'secrets_sealed'],
});

export const deleteConnection = route({
  method: 'DELETE',
  path: '/connections/{id}',
  id: 'deleteConnection',
  tag,
  summary: 'Delete a connection',
  scope: 'connections:write',
  params,
  status: 200,
  answer: deletedBare,
  answerDescription: 'It is gone.',
  errors: ['in_use'],
});

export const testNewConnection = route({
  method: 'POST',
  path: '/connections/test',
  id: 'testNewConnection',
  tag,
  summary: 'Test settings without keeping them',
  description: 'The body of a create. A worker dials, logs in and asks for the version.',
  scope: 'connections:write',
  creates: true,
  body: alternatives({ name: name.optional() }),
  bodyExample,
  status: 200,
  answer: report,
  answerDescription: 'What was found, also when it failed.',
  errors: ['host_forbidden', 'no_worker', 'queue_unavailable'],
});

export const testConnection = route({
  method: 'POST',
  path: '/connections/{id}/test',
  id: 'testConnection',
  tag,
  summary: 'Test a connection',
  scope: 'connections:write',
  params,
  body: z.strictObject({}),
  bodyOptional: true,
  status: 200,
  answer: report,
  answerDescription: 'What was found, also when it failed.',
  errors: ['no_worker', 'queue_unavailable'],
});
