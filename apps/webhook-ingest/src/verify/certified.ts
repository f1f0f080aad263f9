import type { X509Certificate } from 'node:crypto';
import { lives } from './certificate.js';
import { refused, type Scheme, type SignedRequest, type Verdict } from './scheme.js';
import { SignatureScheme, type SignatureRule } from './signature.js';

/** A signature under the sender's own certificate. What tells its receivers apart is a part of what it signs. */
export interface CertifiedRule extends SignatureRule {
  readonly algorithm: 'rsa';
  /** A template in which `{secret}` stands for one of the stream's. */
  readonly signed: string;
  /** Whom the certificate has to be issued to: one of these. */
  readonly certificateNames: readonly string[];
}

/** One such rule with the secrets of one stream, and the certificates that it takes. None is fetched. */
export class CertifiedScheme implements Scheme {
  readonly proofHeaders: readonly string[];
  readonly #signers: readonly { readonly certificate: X509Certificate; readonly scheme: SignatureScheme }[];

  constructor(rule: CertifiedRule, secrets: readonly string[], certificates: readonly X509Certificate[]) {
    this.proofHeaders = rule.headers;
    this.#signers = certificates.flatMap((certificate) =>
      secrets.map((secret) => {
        const signed = rule.signed.replace('{secret}', () => secret);
        return { certificate, scheme: new SignatureScheme({ ...rule, signed }, [certificate.toString()]) };
      }),
    );
  }

  /** Refused by the last one that lives: the keys are public, so that the time tells nothing. */
  verify(request: SignedRequest): Verdict {
    let verdict = refused('certificate_wrong');
    for (const { certificate, scheme } of this.#signers) {
      if (!lives(certificate, request.nowMs)) continue;
      verdict = scheme.verify(request);
      if (verdict.valid) break;
    }
    return verdict;
  }
}
