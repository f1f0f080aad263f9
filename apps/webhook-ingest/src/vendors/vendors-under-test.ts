import type { SignedRequest, Verdict } from '../verify/scheme.js';
import { CertifiedScheme } from '../verify/certified.js';
import { pemCertificate } from '../verify/certificate.js';
import { SignatureScheme } from '../verify/signature.js';
import { TokenScheme } from '../verify/tokens.js';
import { vendors } from './index.js';

export interface Sent {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** When it is judged, seconds since the Unix epoch. */
  readonly at?: number;
  readonly url?: string;
}

export const request = ({
  headers,
  body = '',
  at = 0,
  url = 'https://hooks.example/ingest/t',
}: Sent): SignedRequest => {
  const lower = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return {
    method: 'POST',
    url,
    body: Buffer.from(body),
    nowMs: at * 1000,
    header: (name) => lower.get(name) ?? null,
    certificate: () => null,
  };
};

/** @param certificate the sender's, PEM, where its scheme asks for one */
export function verdict(vendor: string, secret: string, sent: Sent, certificate = ''): Verdict {
  const { proof } = vendors.get(vendor)!;
  const scheme =
    'tokenHeader' in proof
      ? new TokenScheme(proof.tokenHeader, '', [secret])
      : 'certificateNames' in proof
        ? new CertifiedScheme(proof, [secret], [pemCertificate(certificate)!])
        : new SignatureScheme(proof, [secret]);
  return scheme.verify(request(sent));
}
