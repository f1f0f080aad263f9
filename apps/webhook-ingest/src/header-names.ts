import { vendors } from './vendors/index.js';

/** Headers that carry secrets, or are of the connection and not of the delivery. */
const ALWAYS_HIDDEN = ['authorization', 'proxy-authorization', 'cookie', 'connection', 'transfer-encoding', 'host'];

/** What vendors send beside the proof that is checked, so that older receivers go on, and certificates as proxies pass them on. */
const ALSO_SENT = ['x-hubspot-signature', 'x-square-signature', 'client-cert', 'client-cert-chain'];

const proofHeaders = [...vendors.values()].flatMap(({ proof }) =>
  'tokenHeader' in proof ? [proof.tokenHeader] : proof.headers,
);

/** Headers that go into no event, whatever the scheme of the stream, in lower case. */
export const HIDDEN: readonly string[] = [...new Set([...ALWAYS_HIDDEN, ...ALSO_SENT, ...proofHeaders])];

/** `x-acme-signature-256`, `x-api-key`, `x-auth-token`: the last word says it, but for a version or an algorithm after it. */
const OF_A_PROOF =
  /(?:^|[-_])(?:[a-z0-9]*signature|sig|hmac|secret|password|passwd|api[-_]?key|(?<!idempotency-)token)(?:[-_](?:v?\d+|sha\d*|hmac|md5|ed25519|ecdsa|rsa))*$/;

/** A secret or a proof by its name, of a sender that is none of the vendors. @param name in lower case */
export const isNamedAsProof = (name: string): boolean => OF_A_PROOF.test(name);

/**
 * Names of headers except some, whatever their case: for the gateway, which knows a schema alone.
 * @param hidden in lower case
 */
export const exceptHeaders = (hidden: readonly string[]): RegExp =>
  new RegExp(`^(?!(?:${hidden.map(anyCase).join('|')})$)[A-Za-z0-9!#$%&'*+.^_\`|~-]{1,100}$`);

const anyCase = (name: string): string =>
  name.replace(/[^a-z0-9-]/g, (char) => `\\${char}`).replace(/[a-z]/g, (char) => `[${char}${char.toUpperCase()}]`);
