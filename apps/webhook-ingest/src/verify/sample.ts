import { createHmac } from 'node:crypto';
import { living, type Auth } from '../config.js';
import { vendors } from '../vendors/index.js';
import { ruleOf } from './scheme-of.js';
import type { SignedRequest } from './scheme.js';
import { isAsymmetric, type SignatureRule } from './signature.js';
import { templateOf } from './template.js';

/** A sample before its headers are made. */
type Bare = Omit<SignedRequest, 'header' | 'certificate'>;

export type SampleHeaders = Readonly<Record<string, string>>;

/** Headers that prove a sample as its sender would; `null`: only the sender can, for it alone has the key. */
export function sampleHeaders(auth: Auth, request: Bare, id: string): SampleHeaders | null {
  switch (auth.type) {
    case 'none':
      return {};
    case 'bearer':
      return { authorization: `Bearer ${living(auth.tokens, auth.tokens_until, request.nowMs)[0]}` };
    case 'basic': {
      const { username, password } = auth.users[0]!;
      return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
    }
    case 'jwt':
    case 'mtls':
      return null;
    case 'hmac':
      return signed(ruleOf(auth), living(auth.secrets, auth.secrets_until, request.nowMs)[0], request, id);
    case 'preset': {
      const { proof } = vendors.get(auth.preset)!;
      const secret = living(auth.secrets, auth.secrets_until, request.nowMs)[0];
      if ('tokenHeader' in proof) return { [proof.tokenHeader]: secret! };
      return signed(proof, secret, request, id);
    }
  }
}

function signed(rule: SignatureRule, secret: string | undefined, request: Bare, id: string): SampleHeaders | null {
  const { algorithm, headers, form, timestamp, idHeader, encoding, read } = rule;
  if (secret === undefined || read || isAsymmetric(algorithm)) return null;
  const time = String(timestamp?.unit === 'ms' ? request.nowMs : Math.floor(request.nowMs / 1_000));
  const made: Record<string, string> = {
    ...(timestamp?.header ? { [timestamp.header]: time } : {}),
    ...(idHeader ? { [idHeader]: id } : {}),
  };
  const header = (name: string) => made[name] ?? (name === 'content-type' ? 'application/json' : null);
  const whole: SignedRequest = { ...request, header, certificate: () => null };
  const parts =
    typeof rule.signed === 'string' ? templateOf(rule.signed)({ timestamp: time, id }, whole) : rule.signed(whole);
  if (parts === null) return null;
  const mac = createHmac(algorithm, rule.key?.(secret) ?? secret);
  for (const part of parts) mac.update(part);
  const signature = mac.digest(encoding);
  switch (form.kind) {
    case 'whole':
    case 'words':
      return { ...made, [headers[0]!]: form.prefix + signature };
    case 'pairs': {
      const at = timestamp?.pair ? `${timestamp.pair}=${time}${form.separator}` : '';
      return { ...made, [headers[0]!]: `${at}${form.name}=${signature}` };
    }
  }
}
