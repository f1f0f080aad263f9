import { z } from 'zod';
import { bareListOf, time } from '../contract/answers.js';
import { paging } from '../contract/fields.js';
import { route } from '../contract/route.js';

export const auditEntry = z.object({
  id: z.string(),
  at: time,
  keyId: z.string().nullable(),
  action: z.string().meta({ example: 'stream.start' }),
  resourceType: z.string(),
  resourceId: z.string().nullable(),
  before: z.unknown(),
  after: z.unknown(),
  address: z.string().nullable(),
  requestId: z.string().nullable(),
});

export const listAudit = route({
  method: 'GET',
  path: '/audit-log',
  id: 'listAuditLog',
  tag: 'System',
  summary: 'Audit log',
  description:
    'Every operator action of the workspace: who, with which key, what, before, after, from where. Append-only; secrets are masked.',
  scope: 'admin:organization',
  query: paging,
  status: 200,
  answer: bareListOf(auditEntry),
  answerDescription: 'A page of entries, newest first.',
  errors: ['invalid_cursor'],
});
