import { sameText } from './compare.js';
import { refused, type Scheme, type SignedRequest, type Verdict } from './scheme.js';

/** A secret that is sent as it is, in one header. */
export class TokenScheme implements Scheme {
  readonly proofHeaders: readonly string[];

  /** @param prefix before the token, such as `Bearer `; its case does not matter. */
  constructor(
    private readonly header: string,
    private readonly prefix: string,
    private readonly tokens: readonly string[],
  ) {
    this.proofHeaders = [header];
  }

  verify(request: SignedRequest): Verdict {
    const value = request.header(this.header);
    if (value === null || value.slice(0, this.prefix.length).toLowerCase() !== this.prefix.toLowerCase())
      return refused('token_missing');
    const given = value.slice(this.prefix.length);
    let valid = false;
    for (const token of this.tokens) valid = sameText(given, token) || valid;
    return valid ? { valid, signed: [request.body] } : refused('token_wrong');
  }
}

export interface BasicUser {
  readonly username: string;
  readonly password: string;
}

/** User and password in one text, as HTTP's Basic has it. */
export const basicScheme = (users: readonly BasicUser[]): Scheme =>
  new TokenScheme(
    'authorization',
    'Basic ',
    users
      .filter(({ password }) => password !== '')
      .map(({ username, password }) => Buffer.from(`${username}:${password}`).toString('base64')),
  );

/** Whoever knows the address may deliver: the user asked for it by name. */
export const openScheme: Scheme = {
  proofHeaders: [],
  verify: (request) => ({ valid: true, signed: [request.body] }),
};
