import type { Db } from '@planasonix/store';
import type { FastifyRequest } from 'fastify';
import type { RouteSpec } from '../contract/route.js';
import type { Caller } from '../contract/scopes.js';

/** What the admission hook found out about a request; everything after it reads this. */
export interface Pass {
  readonly requestId: string;
  readonly address: string;
  /** `null` for an address that no route has. */
  route: RouteSpec | null;
  caller: Caller | null;
  /** The limit headers, once they are known. */
  limits: LimitHeaders | null;
  /** SHA-256 of the body as it came. */
  bodyHash: string;
  /** For an answer that has to be kept with what it tells about; `null`: there is no `Idempotency-Key`. */
  keep: KeepAnswer | null;
}

/** Keeps an answer for a repetition of the request, in the transaction of what it tells about. */
export type KeepAnswer = (db: Db, answer: unknown) => Promise<void>;

export type LimitHeaders = Readonly<
  Record<'x-ratelimit-limit' | 'x-ratelimit-remaining' | 'x-ratelimit-reset', string>
>;

const PASS = 'planasonixPass';

type Carrier = FastifyRequest & { [PASS]: Pass | null };

export const PASS_PROPERTY = PASS;

export const setPass = (request: FastifyRequest, pass: Pass): void => {
  (request as Carrier)[PASS] = pass;
};

/** A request that failed before the hook ran has none. */
export const findPass = (request: FastifyRequest): Pass | null => (request as Partial<Carrier>)[PASS] ?? null;

export function passOf(request: FastifyRequest): Pass {
  const pass = findPass(request);
  if (pass === null) throw new Error('a request came past the admission hook');
  return pass;
}
