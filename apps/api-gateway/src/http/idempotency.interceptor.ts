import { Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { isStoreDown, type IdempotencyStore, type SecretBox } from '@planasonix/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { ApiError, badField } from '../contract/api-error.js';
import { passOf, type Pass } from './pass.js';

const KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * `Idempotency-Key` on every POST: the same key and body give the stored answer for 24 hours. Only successes are
 * kept: what was refused has changed nothing and may be sent again.
 */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(
    private readonly store: IdempotencyStore,
    private readonly box: SecretBox,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const given = request.headers['idempotency-key'];
    if (given === undefined || request.method !== 'POST') return next.handle();
    return from(this.once(given, passOf(request), request, http.getResponse<FastifyReply>(), next));
  }

  private async once(
    given: string | string[],
    pass: Pass,
    request: FastifyRequest,
    reply: FastifyReply,
    next: CallHandler,
  ): Promise<unknown> {
    const { caller, route } = pass;
    if (caller === null || route === null) return lastValueFrom(next.handle());
    if (typeof given !== 'string' || !KEY.test(given))
      throw badField('idempotency-key', 'must be 1 to 255 visible ASCII characters');
    const { keyId, workspaceId } = caller;
    const place = `idempotency:${keyId}:${given}`;
    const path = request.url.replace(/^\/v1(?=\/api)/, '');
    const state = await this.store.begin({
      workspaceId,
      keyId,
      key: given,
      route: `POST ${path}`,
      bodyHash: pass.bodyHash,
    });
    switch (state.kind) {
      case 'conflict':
        throw new ApiError('idempotency_conflict');
      case 'in_progress':
        throw new ApiError('idempotency_in_progress', { headers: { 'retry-after': '1' } });
      case 'stored':
        void reply.status(state.status).header('idempotency-replayed', 'true');
        return JSON.parse(route.secretAnswer ? this.box.open(state.answer, place) : state.answer) as unknown;
      case 'new':
    }
    // What a repetition would make another of is not to be there without its answer: the handler keeps that in the
    // transaction of what it makes. One that is shown once must not lie in the store in the clear (trap 35).
    let kept = false;
    pass.keep = (db, answer) => {
      kept = true;
      const text = JSON.stringify(answer);
      return this.store.finish(keyId, given, route.status, route.secretAnswer ? this.box.seal(text, place) : text, db);
    };
    try {
      const answer: unknown = await lastValueFrom(next.handle());
      if (!kept && !route.secretAnswer) await this.store.finish(keyId, given, route.status, JSON.stringify(answer));
      return answer;
    } catch (error) {
      // What became of it is not known while the store is down: the key stays taken for a minute.
      if (!isStoreDown(error)) await this.store.abandon(keyId, given).catch(() => undefined);
      throw error;
    }
  }
}
