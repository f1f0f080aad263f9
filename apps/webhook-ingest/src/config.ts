import { StreamError, type JsonSchema } from '@planasonix/core';
import { z } from 'zod';
import { DURATION, milliseconds } from './duration.js';
import { exceptHeaders, HIDDEN } from './header-names.js';
import { vendors, type Vendor } from './vendors/index.js';
import { namesIn, pemCertificate } from './verify/certificate.js';
import { contradictionsIn } from './verify/own-scheme.js';
import { SECRET_KEYS } from './verify/secret-key.js';

const MAX_SECRETS = 3;
const MAX_CAS = 10;
/** Bytes of one body at the most, whatever a stream asks for. Invariant 6. */
export const LARGEST_BODY = 50 * 1024 * 1024;
const LONGEST_WINDOW_MS = 30 * 86_400_000;

const duration = z.string().regex(DURATION, 'is not a time such as 30s, 5m or 72h');
const headerName = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/, 'is not the name of a header');
/** What is shown of a delivery, in its key, its id and the answers. A secret or a proof of any scheme must not be. */
const shownHeader = z
  .string()
  .regex(
    exceptHeaders(HIDDEN),
    'is not the name of a header that may be shown: those with secrets and signatures may not',
  );
const pointer = z
  .string()
  .max(500)
  .regex(/^(?:\/(?:[^~/]|~0|~1)*)+$/, 'is not a JSON pointer such as /customer/id');

const secretList = (what: string) =>
  z
    .array(z.string().min(1).max(4096))
    .min(1)
    .max(MAX_SECRETS)
    .meta({ description: `One to three live ${what}; any of them may be the right one.`, writeOnly: true });
const until = z
  .array(z.union([z.iso.datetime(), z.null()]))
  .max(MAX_SECRETS)
  .optional()
  .meta({ description: 'When each of them ends (RFC 3339), set by `rotate-secret`; null: it does not.' });

const where = (key: string, value: string) => ({ required: [key], properties: { [key]: { const: value } } });
const allLike = ({ pattern, means }: Pick<NonNullable<Vendor['secret']>, 'pattern' | 'means'>) => ({
  properties: { secrets: { items: { pattern, description: `Has to be ${means}.` } } },
});
const pairName = z.string().regex(/^[A-Za-z0-9_-]{1,50}$/, 'is not the name of a pair, such as v1');

const hmac = z
  .strictObject({
    type: z.literal('hmac'),
    algorithm: z.enum(['sha1', 'sha256', 'sha512']).default('sha256'),
    encoding: z.enum(['hex', 'base64']).default('hex'),
    signature_header: headerName.meta({ examples: ['X-Signature'] }),
    signature_pair: pairName.optional().meta({
      description:
        'Where `signature_header` holds pairs (`t=…,v1=…`): the one with the signature; it may come several times.',
      examples: ['v1'],
    }),
    separator: z
      .string()
      .regex(/^[ ,;:|&.~]{1,3}$/, 'may be of spaces and , ; : | & . ~ alone')
      .optional()
      .meta({
        description:
          'What parts the pairs of `signature_header` (default: a comma). Without `signature_pair`: what parts several signatures, each after `prefix`.',
        examples: [','],
      }),
    prefix: z
      .string()
      .max(50)
      .default('')
      .meta({ description: 'Before the signature.', examples: ['v1='] }),
    timestamp_header: headerName.optional().meta({ description: 'The header with the time of the delivery.' }),
    timestamp_pair: pairName.optional().meta({
      description: 'In place of `timestamp_header`: the pair of `signature_header` with it.',
      examples: ['t'],
    }),
    timestamp_format: z.enum(['unix', 'rfc3339']).default('unix').meta({
      description: '`unix`: seconds of 10 digits, or milliseconds of 13; `rfc3339`: such as 2026-11-30T09:00:00Z.',
    }),
    tolerance: duration.default('5m').meta({ description: 'How far the timestamp may be from now, both ways.' }),
    id_header: shownHeader.optional().meta({
      description:
        "The header with the delivery's id, where `signed` names {id}: the id alone tells a repeat. It must not have in it what parts {id} there from what is beside it, or a date where nothing parts it from an `rfc3339` {timestamp}.",
      examples: ['X-Event-Id'],
    }),
    signed: z
      .string()
      .min(1)
      .max(200)
      // In one pattern: beside two the gateway would not know what is said of the key.
      .regex(
        /^(?=[\s\S]*\{body\})(?:[^{]|\{(?!\w+\})|\{(?:timestamp|id|body|url|method)\})*$/,
        'has to name {body}, and else {timestamp}, {id}, {url} and {method} alone',
      )
      .default('{body}')
      .meta({
        description: 'What is signed: {body}, with {timestamp}, {id}, {url} and {method} as the sender has them.',
        examples: ['{timestamp}.{body}', '{id}.{timestamp}.{body}'],
      }),
    secret_encoding: z.enum(['utf8', 'hex', 'base64']).default('utf8').meta({
      description:
        'The key is the bytes of the secret as text (`utf8`), or those that it stands for in hex or base64 (`whsec_` before it is left out).',
    }),
    secrets: secretList('secrets'),
    secrets_until: until,
  })
  // For the gateway, as with presets.
  .meta({
    allOf: [
      ...(['hex', 'base64'] as const).map((name) => ({
        if: where('secret_encoding', name),
        then: allLike(SECRET_KEYS[name]),
      })),
      {
        if: { required: ['signed'], properties: { signed: { pattern: String.raw`\{id\}` } } },
        then: { required: ['id_header'] },
      },
      { if: { required: ['timestamp_pair'] }, then: { required: ['signature_pair'] } },
    ],
  });
const preset = z
  .strictObject({
    type: z.literal('preset'),
    preset: z.enum([...vendors.keys()] as [string, ...string[]]),
    secrets: secretList('secrets (for SendGrid and Discord their public keys, for PayPal the id of the webhook)'),
    secrets_until: until,
    certificates: z.array(z.string().min(1).max(16_384)).min(1).max(MAX_SECRETS).optional().meta({
      description: 'For PayPal: its certificates (PEM), as the `Paypal-Cert-Url` of its deliveries gives them.',
    }),
  })
  // For the gateway, which knows no vendor: a secret that can't be right is refused before a stream has it.
  .meta({
    allOf: [...vendors].flatMap(([name, { secret, proof }]) => [
      ...(secret ? [{ if: where('preset', name), then: allLike(secret) }] : []),
      ...('certificateNames' in proof ? [{ if: where('preset', name), then: { required: ['certificates'] } }] : []),
    ]),
  });
const bearer = z.strictObject({ type: z.literal('bearer'), tokens: secretList('tokens'), tokens_until: until });
const basic = z.strictObject({
  type: z.literal('basic'),
  users: z
    .array(
      z.strictObject({
        username: z
          .string()
          .min(1)
          .max(200)
          .regex(/^[^:]*$/, 'must not contain a colon'),
        password: z.string().min(1).max(4096).meta({ writeOnly: true }),
      }),
    )
    .min(1)
    .max(MAX_SECRETS),
});
/** Asymmetric ones: a public key that is taken for a shared secret is how tokens are forged. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;
/** Of a JWK (RFC 7518): a key with one of them is no public one, and would be shown. */
const privateMembers = Object.fromEntries(
  ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].map((name) => [
    name,
    z.never({ error: 'must be left out: keys must be public ones' }).optional(),
  ]),
);
const jwt = z.strictObject({
  type: z.literal('jwt'),
  // No user and password in it: it is shown. `new URL` takes `\` for `/`, and any number of them for two.
  jwks_url: z
    .url({ protocol: /^https?$/ })
    .regex(/^[Hh][Tt][Tt][Pp][Ss]?:\/\/[^/\\?#@]+(?:[/?#]|$)/, 'must not hold a user or a password')
    .max(2000)
    .optional(),
  keys: z
    .array(z.looseObject({ kty: z.enum(['RSA', 'EC', 'OKP']), ...privateMembers }))
    .min(1)
    .max(20)
    .optional(),
  issuer: z.string().min(1).max(2000),
  audience: z.string().min(1).max(2000),
  algorithms: z.array(z.enum(ALGORITHMS)).min(1).default(['RS256', 'ES256']),
});
const mtls = z.strictObject({
  type: z.literal('mtls'),
  ca: z.array(z.string().min(1).max(16_384)).min(1).max(MAX_CAS).meta({
    description:
      'Certificates (PEM, one each) of the CAs that issue the client certificates themselves, intermediate ones too.',
  }),
  names: z
    .array(z.string().min(1).max(500))
    .max(20)
    .default([])
    .meta({
      description:
        'DNS names, URIs or e-mail addresses of subjectAltName (without one the common name); one of them has to be the ' +
        "certificate's. Default: any that these CAs have issued.",
    }),
});
const none = z.strictObject({ type: z.literal('none') });

const schema = z.strictObject({
  auth: z
    .discriminatedUnion('type', [hmac, preset, bearer, basic, jwt, mtls, none])
    .meta({ description: 'How senders prove who they are. `none` has to be asked for by name.' }),
  dedupe: z
    .strictObject({
      header: shownHeader.optional().meta({ description: "The delivery's id, where no preset knows it." }),
      window: duration.default('72h').meta({ description: 'For so long a repeat is known as one; 30d at most.' }),
    })
    .default({ window: '72h' })
    .meta({
      description:
        'What makes a delivery a repeat: its id, which the preset knows or `header` has; without one its signed bytes. Where neither is ' +
        'there nor a time is signed (`bearer`, `basic`, `jwt`, `mtls`, `none`; `hmac` without {timestamp}), of equal bodies within ' +
        '`window` the first alone becomes an event.',
    }),
  ordering_key: z
    .union([z.strictObject({ json_pointer: pointer }), z.strictObject({ header: shownHeader })])
    .optional()
    .meta({ description: 'What `partitionkey` is.', examples: [{ json_pointer: '/customer/id' }] }),
  expand_array: z.boolean().default(false).meta({
    description:
      'Each element of a top-level array, or line of NDJSON, is an event of its own: all of a request or none.',
  }),
  backpressure: z.enum(['reject', 'queue', 'shed']).default('reject').meta({
    description:
      'Without room in the log: `reject` 429, `queue` waits for `queue_timeout`, `shed` 200 and the delivery is dropped.',
  }),
  queue_timeout: duration.default('10s').meta({ description: 'How long `queue` waits for room; 60s at most.' }),
  max_body_bytes: z.int().min(1).max(LARGEST_BODY).default(5_242_880).meta({ description: 'As sent, and inflated.' }),
  rate_limit_per_second: z.int().min(1).max(1_000_000).optional().meta({
    description: 'Deliveries at each instance; beyond it 429. Default: no limit.',
  }),
});

export type WebhookConfig = z.output<typeof schema>;
export type Auth = WebhookConfig['auth'];

/** As announced to the gateway. `x-ingest`: a stream of this type gets an address of its own. */
export const configJsonSchema: JsonSchema = {
  ...z.toJSONSchema(schema, { target: 'draft-2020-12', io: 'input' }),
  'x-ingest': true,
};

const invalid = (message: string): never => {
  throw new StreamError('config_invalid', message);
};

/** @throws StreamError `config_invalid` with every problem. */
export function parseConfig(raw: unknown): WebhookConfig {
  const parsed = schema.safeParse(raw);
  if (!parsed.success)
    return invalid(
      parsed.error.issues.map((issue) => `${issue.path.join('.') || 'config'}: ${issue.message}`).join('; '),
    );
  const { auth, dedupe, queue_timeout: wait } = parsed.data;
  if (milliseconds(dedupe.window) > LONGEST_WINDOW_MS) invalid('dedupe.window: 30d at the most.');
  if (milliseconds(wait) > 60_000) invalid('queue_timeout: 60s at the most.');
  const contradictions = auth.type === 'hmac' ? contradictionsIn(auth) : [];
  if (contradictions.length > 0) invalid(contradictions.join(' '));
  if (auth.type === 'preset') expectPreset(auth);
  if (auth.type === 'jwt' && (auth.jwks_url === undefined) === (auth.keys === undefined))
    invalid('auth: give either jwks_url or keys.');
  expectShownHeaders(parsed.data);
  if (auth.type === 'mtls' && !auth.ca.every((pem) => pemCertificate(pem)?.ca))
    invalid('auth.ca: each has to be the certificate of a CA, in PEM.');
  return parsed.data;
}

/** The signature of a scheme of the user's own: its header is told by the config alone, which no schema can compare. */
function expectShownHeaders({ auth, dedupe, ordering_key: key }: WebhookConfig): void {
  if (auth.type !== 'hmac') return;
  const proof = auth.signature_header.toLowerCase();
  if (dedupe.header?.toLowerCase() === proof) invalid('dedupe.header: must not be that of the signature.');
  if (key && 'header' in key && key.header.toLowerCase() === proof)
    invalid('ordering_key.header: must not be that of the signature.');
  if (auth.id_header && dedupe.header && dedupe.header.toLowerCase() !== auth.id_header.toLowerCase())
    invalid('dedupe.header: must be left out beside auth.id_header, for the id that is signed counts.');
}

function expectPreset({ preset, secrets, certificates }: Extract<Auth, { type: 'preset' }>): void {
  const { secret: form, proof } = vendors.get(preset)!;
  const wrong = form ? secrets.findIndex((secret) => !new RegExp(form.pattern).test(secret)) : -1;
  if (form && wrong >= 0) invalid(`auth.secrets.${wrong}: has to be ${form.means}.`);
  const names = 'certificateNames' in proof ? proof.certificateNames : null;
  if (names === null && certificates !== undefined) invalid(`auth.certificates: are not used by ${preset}.`);
  if (names !== null && certificates === undefined) invalid(`auth.certificates: are needed for ${preset}.`);
  certificates?.forEach((pem, i) => {
    const certificate = pemCertificate(pem);
    if (certificate?.publicKey.asymmetricKeyType !== 'rsa')
      return invalid(`auth.certificates.${i}: has to be a certificate with an RSA key, in PEM.`);
    if (!namesIn(certificate).some((name) => names?.includes(name)))
      invalid(`auth.certificates.${i}: has to be issued to ${names?.join(' or ')}.`);
  });
}

/** The secrets that live now. */
export const living = (secrets: readonly string[], ends: readonly (string | null)[] | undefined, nowMs: number) =>
  secrets.filter((_, i) => {
    const end = ends?.[i] ?? null;
    return end === null || Date.parse(end) > nowMs;
  });
