import type { X509Certificate } from 'node:crypto';
import { StreamError, type Clock, type Outbound } from '@planasonix/core';
import type { JSONWebKeySet } from 'jose';
import { living, type Auth } from '../config.js';
import { vendors } from '../vendors/index.js';
import { pemCertificate } from './certificate.js';
import { CertifiedScheme } from './certified.js';
import { RemoteKeys } from './jwks.js';
import { JwtScheme } from './jwt.js';
import { MtlsScheme } from './mtls.js';
import { ruleOf } from './own-scheme.js';
import type { Scheme } from './scheme.js';
import { SignatureScheme } from './signature.js';
import { basicScheme, openScheme, TokenScheme } from './tokens.js';

/** How client certificates are had. */
export interface CertificateWays {
  /** Where trusted proxies put them, in lower case; `null`: nowhere. */
  readonly header: string | null;
  /** TLS ends here: they are those of the connections. */
  readonly direct: boolean;
}

/** What a scheme needs from outside. */
export interface Surroundings {
  readonly outbound: Outbound;
  readonly clock: Clock;
  readonly certificates: CertificateWays;
  /** Keys by address: they outlive a change of the stream, and are forgotten with the last one that names it. */
  readonly remoteKeys: Map<string, RemoteKeys>;
}

/** The scheme that a config asks for. @throws StreamError for one that can't be had here; Error for secrets that can't be keys. */
export function schemeOf(auth: Auth, around: Surroundings): Scheme {
  const now = around.clock.now();
  switch (auth.type) {
    case 'hmac':
      return new SignatureScheme(ruleOf(auth), living(auth.secrets, auth.secrets_until, now));
    case 'preset': {
      const { proof } = vendors.get(auth.preset)!;
      const secrets = living(auth.secrets, auth.secrets_until, now);
      if ('tokenHeader' in proof) return new TokenScheme(proof.tokenHeader, '', secrets);
      if (!('certificateNames' in proof)) return new SignatureScheme(proof, secrets);
      return new CertifiedScheme(proof, secrets, certificatesOf(auth));
    }
    case 'bearer':
      return new TokenScheme('authorization', 'Bearer ', living(auth.tokens, auth.tokens_until, now));
    case 'basic':
      return basicScheme(auth.users);
    case 'jwt': {
      const { issuer, audience, algorithms, jwks_url: url } = auth;
      const keys = url === undefined ? { keys: auth.keys } : keysAt(url, around);
      return new JwtScheme({ issuer, audience, algorithms, keys: keys as JSONWebKeySet | RemoteKeys });
    }
    case 'mtls':
      return mtlsScheme(auth, around);
    case 'none':
      return openScheme;
  }
}

/** The sender's, of a config that was looked at. */
export const certificatesOf = ({ certificates = [] }: Extract<Auth, { type: 'preset' }>): readonly X509Certificate[] =>
  certificates.map((pem) => pemCertificate(pem)!);

function mtlsScheme(
  { ca, names }: Extract<Auth, { type: 'mtls' }>,
  { certificates: { header, direct } }: Surroundings,
): Scheme {
  if (header === null && !direct)
    throw new StreamError(
      'config_invalid',
      'auth.type: mtls can not be had, for client certificates do not come as far as here.',
      {
        hint:
          'Set INGEST_TRUSTED_PROXIES and INGEST_CLIENT_CERT_HEADER for webhook-ingest where a proxy ends TLS; ' +
          'INGEST_TLS_CERT_FILE and INGEST_TLS_KEY_FILE where it does itself.',
      },
    );
  return new MtlsScheme({ cas: ca.map((pem) => pemCertificate(pem)!), names, header });
}

function keysAt(url: string, { outbound, clock, remoteKeys }: Surroundings): RemoteKeys {
  const known = remoteKeys.get(url) ?? new RemoteKeys(url, outbound, clock);
  remoteKeys.set(url, known);
  return known;
}

/** Addresses come and go with streams: forgets the keys of those that none of these configs names. Invariant 6. */
export function forgetKeys(remoteKeys: Surroundings['remoteKeys'], auths: readonly Auth[]): void {
  if (remoteKeys.size === 0) return;
  const named = new Set(auths.map((auth) => (auth.type === 'jwt' ? auth.jwks_url : undefined)));
  for (const url of remoteKeys.keys()) if (!named.has(url)) remoteKeys.delete(url);
}

/** The next time at which one of the secrets ends, ms; a scheme is made anew then. */
export function endsAt(auth: Auth, nowMs: number): number | null {
  const ends = auth.type === 'bearer' ? auth.tokens_until : 'secrets_until' in auth ? auth.secrets_until : undefined;
  const ahead = (ends ?? []).flatMap((end) => (end === null ? [] : [Date.parse(end)])).filter((at) => at > nowMs);
  return ahead.length === 0 ? null : Math.min(...ahead);
}
