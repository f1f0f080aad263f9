import { createParamDecorator, Injectable, type ExecutionContext, type PipeTransform } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { ApiError, badField } from '../contract/api-error.js';
import type { Input, RouteSpec } from '../contract/route.js';
import { passOf } from '../http/pass.js';
import { parseQuery } from './query-text.js';
import { textProblem } from './json-text.js';
import { validator, type Validator } from './validate.js';

interface Validators {
  readonly query: Validator<unknown> | null;
  readonly body: Validator<unknown> | null;
}

/** Validates what the route's one spec describes, before the handler sees it. */
@Injectable()
export class InputPipe implements PipeTransform<FastifyRequest, Input<RouteSpec>> {
  private readonly validators = new WeakMap<RouteSpec, Validators>();

  transform(request: FastifyRequest): Input<RouteSpec> {
    const { route, caller, requestId, address, keep } = passOf(request);
    if (route === null || (caller === null && route.scope !== 'public')) throw new ApiError('not_found');
    const { query, body } = this.validatorsOf(route);
    const at = request.url.indexOf('?');
    const given = at === -1 ? {} : parseQuery(request.url.slice(at + 1));
    if (query === null) refuseAny(given);
    const params = (request.params ?? {}) as Record<string, string>;
    // A silly id is as unknown as any other: it never reaches a query.
    for (const value of Object.values(params))
      if (value.length > 64 || textProblem(value) !== null) throw new ApiError('not_found');
    return {
      params: params,
      query: query?.parse(given) as never,
      body: this.body(route, body, request.body),
      // A public route has no caller, and its handlers ask for none.
      call: { requestId, address, caller: caller as never, keep: keep ?? (() => Promise.resolve()) },
    };
  }

  private body(route: RouteSpec, body: Validator<unknown> | null, given: unknown): unknown {
    const value = given === null ? undefined : given;
    if (body === null) {
      if (value === undefined || isEmpty(value)) return undefined;
      throw badField('', 'must be empty on this route');
    }
    if (value === undefined && route.bodyOptional) return body.parse({});
    if (value === undefined && given === undefined) throw badField('', 'is required');
    return body.parse(given);
  }

  private validatorsOf(route: RouteSpec): Validators {
    let found = this.validators.get(route);
    if (found === undefined) {
      found = { query: route.query ? validator(route.query) : null, body: route.body ? validator(route.body) : null };
      this.validators.set(route, found);
    }
    return found;
  }
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;

function refuseAny(query: Record<string, string>): void {
  const [name] = Object.keys(query);
  if (name !== undefined)
    throw badField(name.slice(0, 60), 'is not a known parameter', 'This route takes no query parameters.');
}

const request = createParamDecorator((_: unknown, context: ExecutionContext) =>
  context.switchToHttp().getRequest<FastifyRequest>(),
);

/** The handler's one argument: params, query and body as the route's schemas give them, and who asked. */
export const Validated = (): ParameterDecorator => request(InputPipe);
