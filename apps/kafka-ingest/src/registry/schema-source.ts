import { request as plain, type RequestOptions } from 'node:http';
import { request as secure } from 'node:https';
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { StreamError, type Outbound } from '@planasonix/core';
import { pinnedLookup, UNRESOLVED } from '@planasonix/kafka';

export interface RegistrySettings {
  readonly url: string;
  readonly auth?: { readonly username: string; readonly password: string } | { readonly token: string } | null;
}

const ANSWER_MS = 10_000;
const MOST_BYTES = 5_000_000;

const HINT = 'Check schema_registry and that the registry answers.';

const away = (message: string, cause?: unknown): StreamError =>
  new StreamError('source_unreachable', message, { hint: HINT, cause });

/** The registry has not got it; somebody may yet register it. */
export class NotRegistered extends StreamError {
  constructor(readonly path: string) {
    super('source_unreachable', `The schema registry answers 404 for ${path}.`, { hint: HINT });
  }
}

function authorization(auth: RegistrySettings['auth']): Record<string, string> {
  if (!auth) return {};
  if ('token' in auth) return { authorization: `Bearer ${auth.token}` };
  return { authorization: `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}` };
}

/**
 * Asks a schema registry over HTTP. The address that the outbound policy allowed is the one that is dialled (trap 34);
 * redirects are not followed.
 */
export class SchemaSource {
  readonly #base: URL;

  /** @throws StreamError `config_invalid` */
  constructor(
    private readonly settings: RegistrySettings,
    private readonly outbound: Outbound,
  ) {
    this.#base = new URL(settings.url.endsWith('/') ? settings.url : `${settings.url}/`);
  }

  /** @throws StreamError `source_unreachable` for what can't be had now, `auth_failed`, `host_forbidden` */
  async get(path: string): Promise<Readonly<Record<string, unknown>>> {
    const { status, text } = await this.#ask(new URL(path, this.#base));
    if (status === 401 || status === 403)
      throw new StreamError('auth_failed', 'The schema registry refuses the credentials.', {
        hint: 'Correct schema_registry.auth.',
      });
    if (status === 404) throw new NotRegistered(path);
    if (status !== 200) throw away(`The schema registry answers ${status} for ${path}.`);
    try {
      return JSON.parse(text) as Record<string, unknown>;
    } catch (error) {
      throw away(`The schema registry does not answer with JSON for ${path}.`, error);
    }
  }

  #ask(url: URL): Promise<{ readonly status: number; readonly text: string }> {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
    const options: RequestOptions & Record<string, unknown> = {
      ...{ host: UNRESOLVED, port, path: url.pathname + url.search, timeout: ANSWER_MS, agent: false },
      lookup: pinnedLookup({ host, port }, this.outbound),
      headers: { host: url.host, accept: 'application/json', ...authorization(this.settings.auth) },
      servername: isIP(host) === 0 ? host : '',
      checkServerIdentity: (_name: string, cert: Parameters<typeof checkServerIdentity>[1]) =>
        checkServerIdentity(host, cert),
      signal: AbortSignal.timeout(ANSWER_MS),
    };
    return new Promise((resolve, reject) => {
      const asked = (url.protocol === 'https:' ? secure : plain)(options, (answer) => {
        const pieces: Buffer[] = [];
        let length = 0;
        answer.on('data', (piece: Buffer) => {
          length += piece.length;
          if (length > MOST_BYTES) asked.destroy(new Error('the answer is too large'));
          pieces.push(piece);
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(pieces).toString() }));
        answer.on('error', (error) => reject(away('The schema registry broke its answer off.', error)));
      });
      asked.on('timeout', () => asked.destroy(new Error('no answer')));
      asked.on('error', (error) =>
        reject(error instanceof StreamError ? error : away('The schema registry can not be reached.', error)),
      );
      asked.end();
    });
  }
}
