import { applyDecorators, Controller, HttpCode, RequestMapping, RequestMethod } from '@nestjs/common';
import type { z } from 'zod';
import type { KeepAnswer } from '../http/pass.js';
import type { ApiErrorCode } from './error-table.js';
import type { Caller, Scope } from './scopes.js';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export const TAGS = ['Streams', 'Connections', 'Pipelines', 'Keys and workspaces', 'System'] as const;

/**
 * One route, told once: the admission hook, the input pipe, the idempotency interceptor and the OpenAPI document all
 * read this. Keys of `body` are written as the page writes them (camelCase); both casings are taken.
 */
export interface RouteSpec<
  P extends z.ZodObject | undefined = z.ZodObject | undefined,
  Q extends z.ZodObject | undefined = z.ZodObject | undefined,
  B extends z.ZodType | undefined = z.ZodType | undefined,
> {
  readonly method: Method;
  /** Below the prefix, parameters as `{id}`. */
  readonly path: string;
  readonly id: string;
  readonly tag: (typeof TAGS)[number];
  readonly summary: string;
  readonly description?: string;
  /** `public`: without a key. `first`: the installation's first key only. */
  readonly scope: Scope | 'public' | 'first';
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** The body may be left out. */
  readonly bodyOptional?: boolean;
  /** Makes something: closed when the rate limits can't be reached (trap 36). */
  readonly creates?: boolean;
  /** The answer holds a secret that is shown once: it is sealed where it is kept for a repetition. */
  readonly secretAnswer?: boolean;
  readonly status: 200 | 201;
  readonly answer: z.ZodType;
  readonly answerDescription: string;
  readonly answerExample?: unknown;
  readonly bodyExample?: unknown;
  /** Beside JSON, also this media type. */
  readonly alsoAnswers?: string;
  /** Beside those that every route has. */
  readonly errors?: readonly ApiErrorCode[];
}

type Parsed<S> = S extends z.ZodType ? z.output<S> : undefined;

/** What a handler gets: everything validated, and who asked. */
export interface Input<R extends RouteSpec> {
  readonly params: Parsed<NonNullable<R['params']>>;
  readonly query: Parsed<NonNullable<R['query']>>;
  readonly body: Parsed<NonNullable<R['body']>>;
  readonly call: Call;
}

/** The request as the handlers see it. */
export interface Call {
  readonly requestId: string;
  readonly address: string;
  readonly caller: Caller;
  /** To be called with the answer in the transaction that makes what a repetition would make again; always where `secretAnswer` is said. */
  readonly keep: KeepAnswer;
}

export const route = <
  P extends z.ZodObject | undefined,
  Q extends z.ZodObject | undefined,
  B extends z.ZodType | undefined,
>(
  spec: RouteSpec<P, Q, B>,
): RouteSpec<P, Q, B> => spec;

const ROUTES: RouteSpec[] = [];

/** Every route that a loaded controller has, in the order of declaration. */
export const allRoutes = (): readonly RouteSpec[] => ROUTES;

/** Every route answers under both, alike. */
export const PREFIXES = ['api', 'v1/api'] as const;

/** Class decorator of every controller of the contract. */
export const Api = (): ClassDecorator => Controller([...PREFIXES]);

/** Method decorator: this handler answers that route. */
export function Route(spec: RouteSpec): MethodDecorator {
  ROUTES.push(spec);
  return applyDecorators(
    RequestMapping({ method: RequestMethod[spec.method], path: spec.path.replace(/\{(\w+)\}/g, ':$1') }),
    HttpCode(spec.status),
  );
}
