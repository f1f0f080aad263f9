import { AsyncLocalStorage } from 'node:async_hooks';
import type { Log } from '@planasonix/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { findPass } from './pass.js';

const current = new AsyncLocalStorage<{ id: string | null }>();

/** Everything that happens within `run` logs with the request's id. */
export const withRequest = (run: () => void): void => current.run({ id: null }, run);

export const nameRequest = (id: string): void => {
  const store = current.getStore();
  if (store) store.id = id;
};

/** A log whose lines carry the id of the request that they belong to. */
export function requestLog(log: Log): Log {
  const named = (fields: object): object => {
    const id = current.getStore()?.id;
    return id === undefined || id === null ? fields : { request_id: id, ...fields };
  };
  return {
    debug: (fields, message) => log.debug(named(fields), message),
    info: (fields, message) => log.info(named(fields), message),
    warn: (fields, message) => log.warn(named(fields), message),
    error: (fields, message) => log.error(named(fields), message),
  };
}

/** One line per operator action; reads are counted, not logged. Never a path's query, a body or a key. */
export function logAction(log: Log, request: FastifyRequest, reply: FastifyReply): void {
  if (request.method === 'GET' || request.method === 'HEAD') return;
  const pass = findPass(request);
  if (pass?.route == null) return;
  log.info(
    {
      request_id: pass.requestId,
      action: pass.route.id,
      id: (request.params as { id?: string } | undefined)?.id?.slice(0, 64),
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      key_id: pass.caller?.keyId,
      workspace_id: pass.caller?.workspaceId,
    },
    'action',
  );
}
