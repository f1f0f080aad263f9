import type { X509Certificate } from 'node:crypto';

/** A request as a scheme sees it: the bytes as they were sent, before anything was inflated or parsed. */
export interface SignedRequest {
  readonly method: string;
  /** The address that the sender was given, with its query: what some vendors sign. */
  readonly url: string;
  readonly body: Buffer;
  /** ms since the Unix epoch. */
  readonly nowMs: number;
  /** One value, or `null`: absent. */
  readonly header: (name: string) => string | null;
  /** The client certificate that the sender has proved to be its own, or `null`. */
  readonly certificate: () => X509Certificate | null;
}

/** Why it is not valid; for the user's list of deliveries and for counters, never for the sender. */
export type Refusal =
  | 'signature_missing'
  | 'signature_malformed'
  | 'signature_wrong'
  /** The proof covers what has to be parsed, and there is more of it than a stranger may have parsed. */
  | 'signed_too_large'
  | 'timestamp_missing'
  | 'timestamp_too_old'
  | 'timestamp_in_future'
  | 'token_missing'
  | 'token_wrong'
  | 'certificate_missing'
  | 'certificate_wrong'
  | 'keys_unavailable'
  /** The key of a token is not known, and may not be looked for just now. */
  | 'key_unknown'
  /** The stream does not run, and the proof could not be judged before a stranger has to be answered. */
  | 'too_slow';

export type Verdict =
  /**
   * `signed`: the bytes that the proof covers, in order; they tell a repeat from another delivery. `key`: the shared one that
   * proved it, where the sender may want an answer by it.
   */
  | { readonly valid: true; readonly signed: readonly Buffer[]; readonly key?: Buffer }
  /** `waitMs`: it could not be judged, and may be after that time. */
  | { readonly valid: false; readonly reason: Refusal; readonly waitMs?: number };

export const refused = (reason: Refusal, waitMs?: number): Verdict => ({
  ...{ valid: false, reason },
  ...(waitMs === undefined ? {} : { waitMs }),
});

/** How one stream proves that a delivery is the sender's. */
export interface Scheme {
  /** Headers that carry secrets or proofs, in lower case: they go into no event. */
  readonly proofHeaders: readonly string[];
  verify(request: SignedRequest): Verdict | Promise<Verdict>;
  /** Begins to fetch what its first verdict would have to wait for. */
  warm?(): void;
}
