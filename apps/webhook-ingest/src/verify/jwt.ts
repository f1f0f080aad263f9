import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTVerifyOptions } from 'jose';
import { RemoteKeys, type KeySet } from './jwks.js';
import { refused, type Scheme, type SignedRequest, type Verdict } from './scheme.js';

export interface JwtRule {
  readonly issuer: string;
  readonly audience: string;
  /** From the config: a token does not choose how it is verified. Trap 28 */
  readonly algorithms: readonly string[];
  readonly keys: JSONWebKeySet | RemoteKeys;
}

const LONGEST = 16_384;
const CLOCKS_APART_S = 60;

/** A token of an identity provider, in `Authorization: Bearer`. */
export class JwtScheme implements Scheme {
  readonly proofHeaders = ['authorization'];
  readonly #local: KeySet | null;

  constructor(private readonly rule: JwtRule) {
    this.#local = rule.keys instanceof RemoteKeys ? null : createLocalJWKSet(rule.keys);
  }

  /** Where nothing is taken in a verdict that waits for keys comes too late. */
  warm(): void {
    if (this.rule.keys instanceof RemoteKeys) this.rule.keys.warm();
  }

  async verify(request: SignedRequest): Promise<Verdict> {
    const token = /^Bearer ([\w.-]+)$/i.exec(request.header('authorization') ?? '')?.[1];
    if (token === undefined || token.length > LONGEST) return refused('token_missing');
    if (this.#local) return this.#judge(token, this.#local, request);
    const remote = this.rule.keys as RemoteKeys;
    const before = remote.begun;
    const keys = await remote.keys(false);
    if (keys === null) return refused('keys_unavailable');
    const verdict = await this.#judge(token, keys, request, true);
    if (verdict !== 'unknown_key') return verdict;
    // Keys were perhaps rotated, perhaps while they could not be had.
    const fresh = await remote.keys(true);
    const again = await this.#judge(token, fresh ?? keys, request, true);
    if (again !== 'unknown_key') return again;
    // Only a look that was begun since the token came can tell that there is no such key.
    if (remote.seen > before) return refused('token_wrong');
    return refused(remote.isFailing ? 'keys_unavailable' : 'key_unknown', Math.max(0, remote.restMs()));
  }

  async #judge(token: string, keys: KeySet, request: SignedRequest): Promise<Verdict>;
  async #judge(token: string, keys: KeySet, request: SignedRequest, tell: true): Promise<Verdict | 'unknown_key'>;
  async #judge(token: string, keys: KeySet, request: SignedRequest, tell = false): Promise<Verdict | 'unknown_key'> {
    const { issuer, audience, algorithms } = this.rule;
    const options = {
      ...{ issuer, audience, algorithms: [...algorithms], clockTolerance: CLOCKS_APART_S },
      requiredClaims: ['exp'],
      currentDate: new Date(request.nowMs),
    };
    try {
      await jwtVerify(token, keys, options).catch((error: unknown) => withAnyOf(error, token, options));
      return { valid: true, signed: [request.body] };
    } catch (error) {
      return tell && error instanceof errors.JWKSNoMatchingKey ? 'unknown_key' : refused('token_wrong');
    }
  }
}

/** A token that names no key of several that fit, as while keys are rotated: any of them may be its key. */
async function withAnyOf(error: unknown, token: string, options: JWTVerifyOptions): Promise<void> {
  if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
  for await (const key of error) {
    try {
      await jwtVerify(token, key, options);
      return;
    } catch (failure) {
      if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
    }
  }
  throw new errors.JWKSNoMatchingKey();
}
