import { createHash } from 'node:crypto';
import type { ApiKey, ApiKeyStore } from '@planasonix/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../contract/api-error.js';
import type { RouteTable } from '../contract/route-table.js';
import type { RouteSpec } from '../contract/route.js';
import { may, type Caller } from '../contract/scopes.js';
import { Coalescer } from './coalescer.js';
import { setPass, type Pass } from './pass.js';
import type { RateLimits, Verdict } from './rate-limits.js';
import { requestIdFrom } from './request-id.js';
import { nameRequest } from './request-log.js';

/** Keys that we make are `plnx_live_…`; the first one is taken as it is given. */
const KEY_FORM = /^[\x21-\x7e]{8,512}$/;
export const NO_BODY = createHash('sha256').digest('base64url');

/**
 * Who may come in: runs before a byte of the body is read, for every address, also those that no route has. One
 * indexed select for the key, one round trip to Redis for the limits.
 */
export class Admission {
  /** Never kept: a key that is revoked is refused with the next request. */
  private readonly keys: Coalescer<ApiKey | null>;

  constructor(
    private readonly routes: RouteTable,
    keys: Pick<ApiKeyStore, 'find'>,
    private readonly limits: RateLimits,
  ) {
    this.keys = new Coalescer((key) => keys.find(key));
  }

  /** @throws ApiError with the answer. */
  async admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const route = request.is404 ? null : this.routes.find(request.method, request.routeOptions.url);
    const pass: Pass = {
      requestId: requestIdFrom(request.headers['x-request-id']),
      address: request.ip,
      route,
      caller: null,
      limits: null,
      bodyHash: NO_BODY,
      keep: null,
    };
    setPass(request, pass);
    nameRequest(pass.requestId);
    void reply.header('x-request-id', pass.requestId);
    // Health and metrics: for those who run the system, not for its users.
    if (route === null && !request.is404 && !request.url.includes('/api/docs')) return;
    const open = route === null || route.scope === 'public';
    const key = keyFrom(request);
    if (key !== null && !(open && !request.is404)) pass.caller = await this.callerOf(key, pass, reply);
    const { caller } = pass;
    const verdict = await this.limit(pass, reply);
    if (verdict.retryAfter !== null)
      throw new ApiError('rate_limited', { headers: { 'retry-after': String(verdict.retryAfter) } });
    if (route !== null) this.checkMethod(route, request.url.split('?', 1)[0]!);
    if (open) return;
    // One answer for absent, malformed, unknown, revoked and expired.
    if (caller === null) throw new ApiError('unauthorized', { headers: { 'www-authenticate': 'Bearer' } });
    this.checkScope(route, caller);
    if (verdict.unknown && route.creates) throw new ApiError('limits_unavailable');
  }

  /** `DELETE /streams/summary` is no stream called so. */
  private checkMethod(route: RouteSpec, path: string): void {
    if (this.routes.isLiteral(path, route))
      throw new ApiError('method_not_allowed', { headers: { allow: this.routes.allowed(path).join(', ') } });
  }

  private checkScope(route: RouteSpec, caller: Caller): void {
    if (route.scope === 'public') return;
    if (route.scope === 'first') {
      if (!caller.first || !may(caller, 'admin:organization'))
        throw new ApiError('forbidden', { message: 'Only the first key of the installation may do this.' });
      return;
    }
    if (!may(caller, route.scope))
      throw new ApiError('forbidden', {
        message: `The API key lacks the scope ${route.scope}.`,
        hint: `Use a key with ${route.scope}.`,
      });
  }

  private async limit(pass: Pass, reply: FastifyReply): Promise<Verdict> {
    const { caller, address } = pass;
    const verdict = caller === null ? await this.limits.ofAddress(address) : await this.limits.ofCaller(caller);
    pass.limits = verdict.headers;
    void reply.headers(verdict.headers);
    return verdict;
  }

  private async callerOf(key: string, pass: Pass, reply: FastifyReply): Promise<Caller | null> {
    const { answer: row } = await this.keys.ask(key).catch(async (error: unknown) => {
      // Also an answer that says the store is down carries the limits.
      await this.limit(pass, reply);
      throw error;
    });
    return row === null ? null : { keyId: row.id, workspaceId: row.workspace_id, scopes: row.scopes, first: row.first };
  }
}

/** The key as it was sent, if it has the form of one. */
function keyFrom(request: FastifyRequest): string | null {
  const authorization = request.headers.authorization?.trim() ?? '';
  const legacy = request.headers['x-planasonix-api-key'];
  // What is of another scheme is for somebody on the way, such as a proxy that asks for a password.
  const isOurs = /^bearer\b/i.test(authorization);
  const key = isOurs ? /^bearer +(\S+)$/i.exec(authorization)?.[1] : legacy;
  return typeof key === 'string' && KEY_FORM.test(key) ? key : null;
}
