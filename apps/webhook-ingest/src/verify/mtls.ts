import type { X509Certificate } from 'node:crypto';
import { isForClients, isIssued, namesIn } from './certificate.js';
import { refused, type Scheme, type SignedRequest, type Verdict } from './scheme.js';

export interface MtlsRule {
  readonly cas: readonly X509Certificate[];
  /** One of them has to be the certificate's; none given: any name. */
  readonly names: readonly string[];
  /** Where proxies put it; `null`: nowhere. */
  readonly header: string | null;
}

/** A client certificate. That the sender has its key was proved in the TLS handshake. */
export class MtlsScheme implements Scheme {
  readonly proofHeaders: readonly string[];

  constructor(private readonly rule: MtlsRule) {
    this.proofHeaders = rule.header === null ? [] : [rule.header];
  }

  verify({ certificate, body, nowMs }: SignedRequest): Verdict {
    const { cas, names } = this.rule;
    const shown = certificate();
    if (shown === null) return refused('certificate_missing');
    if (!isForClients(shown) || !isIssued(shown, cas, nowMs)) return refused('certificate_wrong');
    if (names.length > 0 && !namesIn(shown).some((name) => names.includes(name))) return refused('certificate_wrong');
    return { valid: true, signed: [body] };
  }
}
