import { createHash } from 'node:crypto';
import type { FastifyAdapter } from '@nestjs/platform-fastify';
import type { Log } from '@planasonix/core';
import { discardUnread } from '@planasonix/service';
import { parseBody } from '../input/json-text.js';
import type { Admission } from './admission.js';
import { findPass, PASS_PROPERTY } from './pass.js';
import { logAction, withRequest } from './request-log.js';

export const MAX_BODY_BYTES = 1024 * 1024;
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json(?:\s*;|$)/i;

/** What stands before Nest: admission, and the one body parser. Failures go to the exception filter like all others. */
export function guardInput(adapter: FastifyAdapter, admission: Admission, log: Log): void {
  const instance = adapter.getInstance();
  instance.decorateRequest(PASS_PROPERTY, null);
  instance.addHook('onRequest', (_request, _reply, done) => withRequest(done));
  instance.addHook('onRequest', (request, reply) => admission.admit(request, reply));
  instance.addHook('onSend', (request, reply, payload, done) => {
    if (reply.statusCode === 413) {
      // Fastify would close the connection over what is still being sent, and the answer would be lost.
      reply.removeHeader('connection');
      discardUnread(request.raw);
    }
    if (!reply.hasHeader('cache-control')) void reply.header('cache-control', 'no-store');
    done(null, payload);
  });
  instance.addHook('onResponse', (request, reply, done) => {
    logAction(log, request, reply);
    done();
  });
  // Forms and plain text are not taken: 415.
  instance.removeAllContentTypeParsers();
  adapter.useBodyParser(JSON_TYPE, false, { bodyLimit: MAX_BODY_BYTES }, (request, body, done) => {
    try {
      const value = parseBody(body);
      const pass = findPass(request);
      if (pass !== null && value !== undefined && request.headers['idempotency-key'] !== undefined)
        pass.bodyHash = createHash('sha256').update(body).digest('base64url');
      done(null, value);
    } catch (error) {
      done(error as Error);
    }
  });
}
