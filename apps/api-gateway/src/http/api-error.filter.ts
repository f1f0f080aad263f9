import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { StreamError, type Log } from '@planasonix/core';
import { LifecycleError } from '@planasonix/lifecycle';
import { InUse, isStoreDown, NameTaken } from '@planasonix/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, errorBody } from '../contract/api-error.js';
import { API_ERRORS, statusOf, type ApiErrorCode } from '../contract/error-table.js';
import type { RouteTable } from '../contract/route-table.js';
import { findPass } from './pass.js';
import { requestIdFrom } from './request-id.js';

/** Any failure as the one error envelope. Never a stack, never a secret, and never a 5xx for an input. */
@Catch()
export class ApiErrorFilter implements ExceptionFilter {
  constructor(
    private readonly routes: RouteTable,
    private readonly log: Log,
  ) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    this.answer(thrown, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }

  answer(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const pass = findPass(request);
    const requestId = pass?.requestId ?? requestIdFrom(request.headers['x-request-id']);
    const error = this.asApiError(thrown, request);
    if (error.code === 'internal')
      this.log.error(
        { request_id: requestId, route: pass?.route?.id, err: told(thrown) },
        'a request failed by a fault of ours',
      );
    if (reply.sent) return;
    for (const [name, value] of Object.entries(error.headers)) void reply.header(name, value);
    if (pass?.limits) void reply.headers(pass.limits);
    void reply
      .header('x-request-id', requestId)
      .header('cache-control', 'no-store')
      .type('application/json; charset=utf-8')
      .status(error.status)
      .send(JSON.stringify(errorBody(error, requestId)));
  }

  private asApiError(thrown: unknown, request: FastifyRequest): ApiError {
    if (thrown instanceof ApiError) return thrown;
    if (thrown instanceof NameTaken)
      return new ApiError('name_taken', { details: [{ field: 'name', issue: 'is in use' }] });
    if (thrown instanceof InUse)
      return new ApiError('in_use', { message: `A ${thrown.user} uses this ${thrown.resource}.` });
    if (isStoreDown(thrown)) return new ApiError('store_unavailable', { cause: thrown });
    if (thrown instanceof LifecycleError) return ofLifecycle(thrown);
    if (thrown instanceof StreamError) return ofStream(thrown);
    if (thrown instanceof HttpException && thrown.getStatus() === 404) return this.unknownAddress(request);
    return ofFramework(thrown);
  }

  /** No route, or a route that takes other methods. */
  private unknownAddress(request: FastifyRequest): ApiError {
    const path = request.url.split('?', 1)[0]!;
    const allowed = this.routes.allowed(path);
    if (allowed.length === 0)
      return new ApiError('not_found', {
        message: 'There is no such route.',
        hint: 'GET /api/openapi.json lists the routes.',
      });
    return new ApiError('method_not_allowed', { headers: { allow: allowed.join(', ') } });
  }
}

/** Codes of the lifecycle are codes of the contract; one that the table does not know would be undocumented. */
function ofLifecycle({ code, httpStatus, message, hint, details }: LifecycleError): ApiError {
  const known = Object.hasOwn(API_ERRORS, code) && statusOf(code as ApiErrorCode) === httpStatus;
  const fallback: ApiErrorCode =
    httpStatus === 404 ? 'not_found' : httpStatus === 503 ? 'queue_unavailable' : 'stream_error';
  return new ApiError(known ? (code as ApiErrorCode) : fallback, { message, hint: hint ?? undefined, details });
}

function ofStream(error: StreamError): ApiError {
  const { message, hint } = error;
  switch (error.code) {
    case 'log_unreadable':
      return new ApiError('log_unreadable', { message, hint, cause: error });
    // Between the log and us: the request is not to blame.
    case 'auth_failed':
    case 'tls_failed':
    case 'permission_denied':
    case 'source_unreachable':
    case 'log_unavailable':
      return new ApiError('log_unavailable', { message, hint, cause: error });
    case 'store_unavailable':
      return new ApiError('store_unavailable', { cause: error });
    case 'host_forbidden':
      return new ApiError('host_forbidden', { message, hint, cause: error });
    case 'secrets_sealed':
      return new ApiError('secrets_sealed', { message, hint, cause: error });
    case 'config_invalid':
      return new ApiError('invalid_request', { message, hint, cause: error });
    default:
      return new ApiError('internal', { cause: error });
  }
}

/** What Fastify itself refuses, by its codes and, for those without one of ours, by status. */
function ofFramework(thrown: unknown): ApiError {
  const { code, statusCode: given } = (thrown ?? {}) as { code?: unknown; statusCode?: unknown };
  const statusCode = thrown instanceof HttpException ? thrown.getStatus() : given;
  if (code === 'FST_ERR_BAD_URL' || code === 'FST_ERR_ASYNC_CONSTRAINT') return new ApiError('invalid_url');
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE' || statusCode === 413) return new ApiError('payload_too_large');
  if (statusCode === 415) return new ApiError('unsupported_media_type');
  if (statusCode === 404 || statusCode === 414) return new ApiError('not_found');
  if (statusCode === 503) return new ApiError('shutting_down');
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return new ApiError('invalid_request', { message: 'The request can not be read.' });
  return new ApiError('internal', { cause: thrown });
}

/** Name, place and code of a fault. Messages of drivers may quote values: they stay out. */
const told = (thrown: unknown): object =>
  thrown instanceof Error
    ? {
        type: thrown.name,
        code: (thrown as { code?: unknown }).code,
        stack: thrown.stack
          ?.split('\n')
          .filter((line) => /^\s+at /.test(line))
          .slice(0, 8),
      }
    : { type: typeof thrown };
