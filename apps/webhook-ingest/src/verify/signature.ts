import { createHmac, createPublicKey, verify, type KeyObject } from 'node:crypto';
import { isJson, scalarAt } from '../body/json-text.js';
import { textAt } from '../vendors/vendor.js';
import { sameBytes, strictBytes } from './compare.js';
import { refused, type Scheme, type SignedRequest, type Verdict } from './scheme.js';
import { templateOf, type Template } from './template.js';

type Asymmetric = 'ed25519' | 'ecdsa' | 'rsa';
export type Algorithm = 'sha1' | 'sha256' | 'sha512' | Asymmetric;

/** Who verifies has no key to sign with. */
export const isAsymmetric = (algorithm: Algorithm): algorithm is Asymmetric =>
  algorithm === 'ed25519' || algorithm === 'ecdsa' || algorithm === 'rsa';

/** How a signature lies in its header. Several in one header: any may be the right one. */
export type SignatureForm =
  /** The whole header, after `prefix`. */
  | { readonly kind: 'whole'; readonly prefix: string }
  /** `t=1,v1=…,v1=…`: those under `name`. */
  | { readonly kind: 'pairs'; readonly separator: string; readonly name: string }
  /** `v1,… v1,…`: those after `prefix`. */
  | { readonly kind: 'words'; readonly separator: string; readonly prefix: string };

/** A signing scheme as data. */
export interface SignatureRule {
  readonly algorithm: Algorithm;
  readonly encoding: 'hex' | 'base64';
  /** Headers that may carry it, in lower case. */
  readonly headers: readonly string[];
  readonly form: SignatureForm;
  /**
   * In a header of its own, as a pair of the signature's header, or a member of a JSON body, which is looked for once that
   * is proved. `auto`: seconds of 10 digits, or milliseconds of 13; `iso`: RFC 3339 in UTC.
   */
  readonly timestamp?: {
    readonly header?: string;
    readonly pair?: string;
    readonly member?: string;
    readonly unit: 's' | 'ms' | 'auto' | 'iso';
  };
  /** How old and how far ahead it may be, ms. */
  readonly tolerance?: { readonly past: number; readonly ahead: number };
  /** A template, or the bytes themselves; `null`: the request can't have been signed. */
  readonly signed: string | ((request: SignedRequest) => readonly Buffer[] | 'signed_too_large' | null);
  /** The ways in which the address may have been signed; by default as it was sent. */
  readonly addresses?: (url: string) => readonly string[];
  /** Where the id for `{id}` of the template is. */
  readonly idHeader?: string;
  /** One that can't be parted elsewhere from what is signed beside it; another is taken for none. By default each is. @param url as it was sent */
  readonly isClearId?: (id: string, url: string) => boolean;
  /** Makes key bytes of a secret, `null` where it can be none; by default its UTF-8 bytes. */
  readonly key?: (secret: string) => Buffer | null;
  /** Where the body is parsed before it is proved: the largest that is, bytes. Parsing holds up all streams. */
  readonly mostBytes?: number;
  /** Where they are in no header: the names that lead to them in the JSON of the body. */
  readonly inBody?: Readonly<Record<'signature' | 'timestamp' | 'id', readonly string[]>>;
}

/** What a request says of its signature. */
interface Found {
  readonly signatures: readonly string[];
  readonly timestamp: string;
  readonly id: string | null;
}

const MOST_SIGNATURES = 10;
const LONGEST_HEADER = 8_192;
const FIVE_MINUTES = { past: 300_000, ahead: 300_000 };

type Key = Buffer | KeyObject;

/** One rule with the secrets of one stream. */
export class SignatureScheme implements Scheme {
  readonly proofHeaders: readonly string[];
  readonly #keys: readonly Key[];
  readonly #template: Template | null;

  /** @param secrets those that live; an empty one never verifies. @throws Error for one that is no key of this rule. */
  constructor(
    private readonly rule: SignatureRule,
    secrets: readonly string[],
  ) {
    this.proofHeaders = rule.headers;
    this.#template = typeof rule.signed === 'string' ? templateOf(rule.signed) : null;
    this.#keys = secrets.filter((secret) => secret !== '').map((secret) => keyOf(rule, secret));
  }

  /** Refused as the last address is: none of them is a secret, so that the time tells nothing. */
  verify(request: SignedRequest): Verdict {
    const addresses = new Set(this.rule.addresses?.(request.url) ?? [request.url]);
    let verdict = refused('signature_wrong');
    for (const url of addresses) {
      verdict = this.#judge({ ...request, url });
      if (verdict.valid) break;
    }
    return verdict;
  }

  #judge(request: SignedRequest): Verdict {
    const { rule } = this;
    if (rule.mostBytes !== undefined && request.body.length > rule.mostBytes) return refused('signed_too_large');
    const found = rule.inBody ? readBody(rule.inBody, request.body) : readHeaders(rule, request);
    if (found === null || found.signatures.length === 0) return refused('signature_missing');
    const within = rule.timestamp?.member;
    const late = rule.timestamp && within === undefined ? judgeTime(rule, found.timestamp, request.nowMs) : null;
    if (late !== null) return refused(late);
    const signed = typeof rule.signed === 'function' ? rule.signed(request) : this.#template!(found, request);
    if (signed === null) return refused('signature_missing');
    if (signed === 'signed_too_large') return refused(signed);
    const given = found.signatures.map((text) => strictBytes(text, rule.encoding)).filter((bytes) => bytes !== null);
    if (given.length === 0) return refused('signature_malformed');
    // Every key and every signature is tried: the time does not tell which one was right.
    const proved = this.#keys.map((key) => this.#matches(key, signed, given));
    const at = proved.indexOf(true);
    if (at < 0) return refused('signature_wrong');
    const lateWithin = within === undefined ? null : judgeTime(rule, textIn(request.body, within), request.nowMs);
    if (lateWithin !== null) return refused(lateWithin);
    const key = this.#keys[at]!;
    return { valid: true, signed, ...(Buffer.isBuffer(key) ? { key } : {}) };
  }

  #matches(key: Key, signed: readonly Buffer[], given: readonly Buffer[]): boolean {
    let valid = false;
    if (Buffer.isBuffer(key)) {
      const own = hmac(this.rule.algorithm, key, signed);
      for (const one of given) valid = sameBytes(own, one) || valid;
      return valid;
    }
    const digest = this.rule.algorithm === 'ed25519' ? null : 'sha256';
    for (const one of given) valid = verify(digest, Buffer.concat(signed), key, one) || valid;
    return valid;
  }
}

function hmac(algorithm: Algorithm, key: Buffer, parts: readonly Buffer[]): Buffer {
  const made = createHmac(algorithm, key);
  for (const part of parts) made.update(part);
  return made.digest();
}

/** RFC 3339 in UTC. */
export const ISO_TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z`;
const ED25519_HEAD = Buffer.from('302a300506032b6570032100', 'hex');

function keyOf({ algorithm, key }: SignatureRule, secret: string): Key {
  if (key) {
    const bytes = key(secret);
    if (bytes === null) throw new Error('A secret is no key of its scheme');
    return bytes;
  }
  if (algorithm === 'ed25519')
    return createPublicKey({
      key: Buffer.concat([ED25519_HEAD, strictBytes(secret, 'hex') ?? Buffer.alloc(0)]),
      format: 'der',
      type: 'spki',
    });
  // PEM of a certificate gives the key in it.
  if (algorithm === 'rsa') return createPublicKey(secret);
  if (algorithm === 'ecdsa')
    return createPublicKey(
      secret.includes('BEGIN') ? secret : { key: Buffer.from(secret, 'base64'), format: 'der', type: 'spki' },
    );
  return Buffer.from(secret, 'utf8');
}

function readHeaders(rule: SignatureRule, request: SignedRequest): Found | null {
  const { headers, form, timestamp, idHeader, isClearId = () => true } = rule;
  const values = headers.map((name) => request.header(name)).filter((value) => value !== null);
  if (values.length === 0 || values.some((value) => value.length > LONGEST_HEADER)) return null;
  const time = timestamp?.header
    ? request.header(timestamp.header)
    : timestamp?.pair
      ? (pairs(values[0]!, form, timestamp.pair)[0] ?? null)
      : '';
  const signatures = values.flatMap((value) => signaturesIn(value, form)).slice(0, MOST_SIGNATURES);
  const id = idHeader ? request.header(idHeader) : null;
  return { signatures, timestamp: time ?? '', id: id !== null && isClearId(id, request.url) ? id : null };
}

function readBody(at: NonNullable<SignatureRule['inBody']>, body: Buffer): Found | null {
  let json: unknown;
  try {
    json = JSON.parse(body.toString());
  } catch {
    return null;
  }
  const [signature, timestamp, id] = [at.signature, at.timestamp, at.id].map((names) => textAt(json, ...names));
  return signature && timestamp && id ? { signatures: [signature], timestamp, id } : null;
}

const textIn = (body: Buffer, member: string): string => (isJson(body) && scalarAt(body, `/${member}`)) || '';

function signaturesIn(value: string, form: SignatureForm): readonly string[] {
  switch (form.kind) {
    case 'whole':
      return value.startsWith(form.prefix) ? [value.slice(form.prefix.length)] : [];
    case 'pairs':
      return pairs(value, form, form.name);
    case 'words':
      return value
        .split(form.separator)
        .map((word) => word.trim())
        .filter((word) => word.startsWith(form.prefix))
        .map((word) => word.slice(form.prefix.length));
  }
}

const pairs = (value: string, form: SignatureForm, name: string): readonly string[] =>
  value
    .split(form.kind === 'pairs' ? form.separator : ',')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));

function judgeTime(
  { timestamp, tolerance = FIVE_MINUTES }: SignatureRule,
  text: string,
  nowMs: number,
): 'timestamp_missing' | 'timestamp_too_old' | 'timestamp_in_future' | null {
  const atMs = timeIn(text, timestamp!.unit);
  if (atMs === null) return 'timestamp_missing';
  if (nowMs - atMs > tolerance.past) return 'timestamp_too_old';
  return atMs - nowMs > tolerance.ahead ? 'timestamp_in_future' : null;
}

const NUMBER = /^(?:0|[1-9][0-9]{0,14})$/;
/** No time can be written in two ways. */
const TIMES = {
  s: NUMBER,
  ms: NUMBER,
  auto: /^[1-9][0-9]{9}(?:[0-9]{3})?$/,
  iso: new RegExp(`^${ISO_TIME}$`),
} as const;

/** @returns ms since the Unix epoch; `null`: that is no time. */
function timeIn(text: string, unit: NonNullable<SignatureRule['timestamp']>['unit']): number | null {
  if (!TIMES[unit].test(text)) return null;
  if (unit === 'iso') return Number.isNaN(Date.parse(text)) ? null : Date.parse(text);
  const inMs = unit === 'ms' || (unit === 'auto' && text.length === 13);
  return Number(text) * (inMs ? 1 : 1_000);
}
