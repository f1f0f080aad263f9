import { createHmac } from 'node:crypto';
import { living, type Auth } from '../config.js';
import { vendors } from '../vendors/index.js';
import { ruleOf } from './own-scheme.js';
import type { SignedRequest } from './scheme.js';
import { isAsymmetric, type SignatureRule } from './signature.js';
import { templateOf } from './template.js';

/** What a sample is made of. */
export interface SampleParts {
  /** The address that senders are given. */
  readonly url: string;
  readonly nowMs: number;
  readonly id: string;
  /** What its body tells. */
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Sample {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const JSON_TYPE = { 'content-type': 'application/json' };
const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' };

/** A delivery as its sender would make it; `null`: only the sender can, for it alone has the key. */
export function sampleOf(auth: Auth, parts: SampleParts): Sample | null {
  const plain = { body: Buffer.from(JSON.stringify(parts.fields)), headers: JSON_TYPE };
  const proved = (headers: Sample['headers']): Sample => ({ ...plain, headers: { ...plain.headers, ...headers } });
  switch (auth.type) {
    case 'none':
      return plain;
    case 'bearer':
      return proved({ authorization: `Bearer ${living(auth.tokens, auth.tokens_until, parts.nowMs)[0]}` });
    case 'basic': {
      const { username, password } = auth.users[0]!;
      return proved({ authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` });
    }
    case 'jwt':
    case 'mtls':
      return null;
    case 'hmac':
      return signed(ruleOf(auth), living(auth.secrets, auth.secrets_until, parts.nowMs)[0], plain, parts);
    case 'preset': {
      const { proof, bodies } = vendors.get(auth.preset)!;
      const secret = living(auth.secrets, auth.secrets_until, parts.nowMs)[0];
      if ('tokenHeader' in proof) return proved({ [proof.tokenHeader]: secret! });
      const fields = { ...parts.fields, ...timeWithin(proof, parts.nowMs) };
      const bare =
        bodies === 'form'
          ? { body: formOf(fields), headers: FORM_TYPE }
          : { body: Buffer.from(JSON.stringify(fields)), headers: JSON_TYPE };
      return signed(proof, secret, bare, parts);
    }
  }
}

/** The time of a vendor that has it in the body. */
const timeWithin = ({ timestamp }: SignatureRule, nowMs: number): SampleParts['fields'] =>
  timestamp?.member === undefined ? {} : { [timestamp.member]: timeOf(timestamp.unit, nowMs) };

function timeOf(unit: NonNullable<SignatureRule['timestamp']>['unit'], nowMs: number): number | string {
  if (unit === 'iso') return new Date(nowMs).toISOString();
  return unit === 'ms' ? nowMs : Math.floor(nowMs / 1_000);
}

function formOf(fields: SampleParts['fields']): Buffer {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) form.set(name, String(value));
  return Buffer.from(form.toString());
}

function signed(
  rule: SignatureRule,
  secret: string | undefined,
  bare: Sample,
  { url, nowMs, id, fields }: SampleParts,
): Sample | null {
  const { algorithm, headers, form, timestamp, idHeader, encoding, inBody } = rule;
  if (secret === undefined || isAsymmetric(algorithm)) return null;
  const time = String(timeOf(timestamp?.unit ?? 's', nowMs));
  const made: Record<string, string> = {
    ...bare.headers,
    ...(timestamp?.header ? { [timestamp.header]: time } : {}),
    ...(idHeader ? { [idHeader]: id } : {}),
  };
  const whole: SignedRequest = {
    ...{ method: 'POST', url, body: bare.body, nowMs },
    header: (name) => made[name] ?? null,
    certificate: () => null,
  };
  const covered =
    typeof rule.signed === 'string' ? templateOf(rule.signed)({ timestamp: time, id }, whole) : rule.signed(whole);
  if (!Array.isArray(covered)) return null;
  const mac = createHmac(algorithm, rule.key?.(secret) ?? secret);
  for (const part of covered as readonly Buffer[]) mac.update(part);
  const signature = mac.digest(encoding);
  if (inBody) {
    const places = [
      [inBody.signature, signature],
      [inBody.timestamp, time],
      [inBody.id, id],
    ] as const;
    const body = places.reduce((object, [names, value]) => withAt(object, names, value), fields);
    return { headers: made, body: Buffer.from(JSON.stringify(body)) };
  }
  switch (form.kind) {
    case 'whole':
    case 'words':
      return { ...bare, headers: { ...made, [headers[0]!]: form.prefix + signature } };
    case 'pairs': {
      const at = timestamp?.pair ? `${timestamp.pair}=${time}${form.separator}` : '';
      return { ...bare, headers: { ...made, [headers[0]!]: `${at}${form.name}=${signature}` } };
    }
  }
}

/** The object with a text where these names lead. */
function withAt(
  object: SampleParts['fields'],
  [name, ...rest]: readonly string[],
  text: string,
): SampleParts['fields'] {
  const within = (object[name!] ?? {}) as SampleParts['fields'];
  return { ...object, [name!]: rest.length === 0 ? text : withAt(within, rest, text) };
}
