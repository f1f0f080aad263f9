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
  return pemCertificate(plain) ?? derCertificate(plain.replace(/^:(.*):$/s, '$1').split(',')[0]!);
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const lives = ({ validFrom, validTo }: X509Certificate, nowMs: number): boolean =>
  Date.parse(validFrom) <= nowMs && nowMs <= Date.parse(validTo);

/** It lives, and one of these CAs, that lives too, has issued it. */
export const isIssued = (certificate: X509Certificate, cas: readonly X509Certificate[], nowMs: number): boolean =>
  lives(certificate, nowMs) &&
  cas.some((ca) => ca.ca && lives(ca, nowMs) && certificate.checkIssued(ca) && certificate.verify(ca.publicKey));

/** It may stand for a client: it says so, or says nothing of what it may stand for. */
export const isForClients = ({ keyUsage }: X509Certificate): boolean =>
  // Node gives the extended usages under this name, though its types promise them always.
  ((keyUsage as readonly string[] | undefined) ?? CLIENT_AUTH).some((usage) => CLIENT_AUTH.includes(usage));

const ALTERNATIVE = /(?:^|, )(DNS|URI|email):("(?:[^"\\]|\\.)*"|[^,]*)/g;

/** Its names: DNS, URI and e-mail of subjectAltName; where it has none, its one common name. */
export function namesIn({ subjectAltName, subject }: X509Certificate): readonly string[] {
  // What would look like another name is in quotes, and then it is nobody's.
  if (subjectAltName !== undefined) return [...subjectAltName.matchAll(ALTERNATIVE)].map(([, , name]) => name!);
  const common = subject.split('\n').filter((line) => line.startsWith('CN='));
  return common.length === 1 ? [common[0]!.slice(3)] : [];
}
