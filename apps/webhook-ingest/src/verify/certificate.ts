import { X509Certificate } from 'node:crypto';
import { strictBytes } from './compare.js';

const CLIENT_AUTH = ['1.3.6.1.5.5.7.3.2', '2.5.29.37.0'];
const LONGEST = 16_384;

/** The first certificate of a PEM text, or `null`. */
export function pemCertificate(text: string): X509Certificate | null {
  const inner = /^\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(text)?.[1];
  return inner === undefined ? null : derCertificate(inner.replace(/\s/g, ''));
}

function derCertificate(base64: string): X509Certificate | null {
  const bytes = strictBytes(base64, 'base64');
  try {
    return bytes && new X509Certificate(bytes);
  } catch {
    return null;
  }
}

/**
 * A certificate as proxies pass it on: `:base64:` (RFC 9440), base64, or PEM, either of them percent-encoded; of a list
 * the first.
 */
export function passedCertificate(text: string): X509Certificate | null {
  if (text.length > LONGEST) return null;
  const plain = unescaped(text.trim());
  return (
    pemCertificate(plain) ??
    derCertificate(
      plain
        .split(',')[0]!
        .trim()
        .replace(/^:(.*):$/s, '$1'),
    )
  );
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** It has begun and not ended. */
export const lives = ({ validFrom, validTo }: X509Certificate, nowMs: number): boolean =>
  Date.parse(validFrom) <= nowMs && nowMs <= Date.parse(validTo);

/** It lives, and one of these CAs, that lives too, has issued it. */
export const isIssued = (certificate: X509Certificate, cas: readonly X509Certificate[], nowMs: number): boolean =>
  lives(certificate, nowMs) &&
  cas.some((ca) => ca.ca && lives(ca, nowMs) && certificate.checkIssued(ca) && certificate.verify(ca.publicKey));

/** It may stand for a client: it says so, or says nothing of what it may stand for. */
export const isForClients = ({ keyUsage }: X509Certificate): boolean =>
  // Node gives the extended usages under this name, though its types promise them always.
  ((keyUsage as readonly string[] | undefined) ?? CLIENT_AUTH).some((usage) => CLIENT_AUTH.includes(usage));

/** One entry of a subjectAltName, of any kind: its value may be in quotes, and hold anything then. */
const ALTERNATIVE = /([A-Za-z][A-Za-z0-9 .]*):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;
const NAMED: ReadonlySet<string> = new Set(['DNS', 'URI', 'email']);

/** None where the text is not understood whole: what is within the value of one entry is no entry. */
function alternatives(text: string): string[] {
  const names: string[] = [];
  for (let at = 0; at < text.length; at = ALTERNATIVE.lastIndex) {
    ALTERNATIVE.lastIndex = at;
    const found = ALTERNATIVE.exec(text);
    if (found === null) return [];
    const [, kind = '', value = ''] = found;
    if (NAMED.has(kind) && !value.startsWith('"')) names.push(value);
  }
  return names;
}

/** Its names: DNS, URI and e-mail of subjectAltName; where it has none, its one common name. */
export function namesIn({
  subjectAltName,
  subject,
}: Pick<X509Certificate, 'subjectAltName' | 'subject'>): readonly string[] {
  if (subjectAltName !== undefined) return alternatives(subjectAltName);
  const common = subject.split('\n').filter((line) => line.startsWith('CN='));
  return common.length === 1 ? [common[0]!.slice(3)] : [];
}
