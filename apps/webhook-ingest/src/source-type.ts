import { StreamError, type Check, type Source, type SourceContext, type SourceType } from '@planasonix/core';
import { configJsonSchema, parseConfig } from './config.js';
import { repeatChecks } from './repeats.js';
import { lives } from './verify/certificate.js';
import { RemoteKeys, resolved } from './verify/jwks.js';
import { certificatesOf, schemeOf, type CertificateWays } from './verify/scheme-of.js';

/** Findings about the config: what would keep it from taking anything in, and what is weak. */
async function check(
  { config, outbound, clock }: SourceContext,
  certificates: CertificateWays,
): Promise<readonly Check[]> {
  const remoteKeys = new Map<string, RemoteKeys>();
  try {
    const parsed = parseConfig(config);
    const { auth } = parsed;
    schemeOf(auth, { outbound, clock, remoteKeys, certificates });
    const found: Check[] = [...repeatChecks(parsed)];
    if (auth.type === 'hmac' && auth.algorithm === 'sha1')
      found.push(warning('weak_algorithm', 'SHA-1 is weak.', 'Use sha256 where the sender can.'));
    if (auth.type === 'hmac' && auth.timestamp_header !== undefined && !auth.signed.includes('{timestamp}'))
      found.push(
        warning(
          'timestamp_unsigned',
          'The timestamp is not signed: whoever repeats a delivery can write a new one.',
          'Name {timestamp} in auth.signed where the sender signs it, else leave timestamp_header out.',
        ),
      );
    if (auth.type === 'none')
      found.push(warning('no_auth', 'Whoever knows the address can deliver.', 'Choose another auth.type.'));
    if (auth.type === 'preset' && certificatesOf(auth).some((certificate) => !lives(certificate, clock.now())))
      found.push(
        warning('certificate_ended', 'A certificate of the sender does not live now.', 'Renew auth.certificates.'),
      );
    if (auth.type === 'jwt' && auth.jwks_url && new URL(auth.jwks_url).protocol === 'http:')
      found.push(
        warning(
          'keys_unencrypted',
          'The keys are fetched without TLS: whoever is on the way can put in his own.',
          'Name an https address in auth.jwks_url.',
        ),
      );
    for (const url of remoteKeys.keys()) {
      const why = await forbidden(new URL(url), outbound);
      if (why !== null)
        return [{ code: 'host_forbidden', severity: 'error', message: `auth.jwks_url: ${why.message}`, fix: why.hint }];
    }
    for (const [url, keys] of remoteKeys)
      if ((await keys.keys(true)) === null)
        found.push(
          warning('keys_unavailable', `No keys can be had from ${new URL(url).host}.`, 'Check auth.jwks_url.'),
        );
    return found;
  } catch (error) {
    const message = error instanceof StreamError ? error.message : 'auth.secrets: are no keys of this scheme.';
    return [{ code: 'config_invalid', severity: 'error', message, fix: null }];
  }
}

/** Why no key may be fetched from there, or `null`. One that can't be reached now is another matter. Trap 34 */
async function forbidden(url: URL, outbound: SourceContext['outbound']): Promise<StreamError | null> {
  try {
    await resolved(url, outbound);
    return null;
  } catch (error) {
    return error instanceof StreamError && error.code === 'host_forbidden' ? error : null;
  }
}

const warning = (code: string, message: string, fix: string): Check => ({ code, severity: 'warning', message, fix });

/** A source that nobody reads from: deliveries come by themselves, at every instance. */
const resting = (context: SourceContext, certificates: CertificateWays): Source => ({
  check: () => check(context, certificates),

  async *read() {
    await Promise.resolve();
    throw new StreamError('internal', 'Webhooks are not read');
  },
  ack: () => Promise.resolve(),
  lag: () => Promise.resolve({ oldestPendingMs: null, provedAtMs: context.clock.now(), backlogBytes: null }),
  snapshot: () => null,
  release: () => Promise.resolve({ released: [], remaining: [] }),
  close: () => Promise.resolve(),
});

export const webhook = (certificates: CertificateWays): SourceType => ({
  type: 'webhook',
  connectionTypes: [],
  configSchema: configJsonSchema,
  create: (context) => resting(context, certificates),
  testConnection: () =>
    Promise.resolve({
      ok: false,
      latencyMs: null,
      serverVersion: null,
      message: 'Webhooks have no connection.',
      checks: [],
    }),
});
