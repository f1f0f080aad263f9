import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Clock, Outbound } from '@planasonix/core';
import { createLocalJWKSet, type JSONWebKeySet } from 'jose';

export type KeySet = ReturnType<typeof createLocalJWKSet>;

const FRESH_MS = 600_000;
/** A key that is not known is looked for this often at the most: forged ones must not make us ask without end. */
const COOLDOWN_MS = 30_000;
/** While none were ever had. */
const FIRST_COOLDOWN_MS = 1_000;
const WITHIN_MS = 5_000;
const LARGEST = 512 * 1024;

/** Addresses whose keys are fetched ahead at once. Invariant 6. */
const AHEAD_AT_ONCE = 8;

/** Keys of an address. What was fetched once serves on while the address does not answer. */
export class RemoteKeys {
  static readonly #lanes: Promise<unknown>[] = Array<Promise<unknown>>(AHEAD_AT_ONCE).fill(Promise.resolve());
  static #turn = 0;

  #keys: KeySet | null = null;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #fetching: Promise<void> | null = null;

  /** The last look has failed: there may be keys that are not known here. */
  isFailing = false;
  /** Looks are numbered: how many were begun, and the last one that went well. */
  begun = 0;
  seen = 0;

  constructor(
    private readonly url: string,
    private readonly outbound: Outbound,
    private readonly clock: Clock,
  ) {}

  /** @param fresh the key was not among those that are known. @returns `null`: none was ever had. */
  async keys(fresh: boolean): Promise<KeySet | null> {
    const now = this.clock.monotonic();
    const old = now - this.#fetchedAt > FRESH_MS;
    if ((old || fresh) && this.restMs() <= 0 && this.#fetching === null) {
      this.#triedAt = now;
      this.#fetching = this.#fetch(++this.begun).finally(() => (this.#fetching = null));
    }
    if (this.#fetching && (this.#keys === null || fresh)) await this.#fetching;
    return this.#keys;
  }

  /** Fetches what the first token would have to wait for, after what is fetched ahead for others. */
  warm(): void {
    const lane = RemoteKeys.#turn++ % AHEAD_AT_ONCE;
    RemoteKeys.#lanes[lane] = RemoteKeys.#lanes[lane]!.then(() => this.keys(false));
  }

  /** ms until the address may be asked again. */
  restMs(): number {
    return this.#triedAt + (this.#keys === null ? FIRST_COOLDOWN_MS : COOLDOWN_MS) - this.clock.monotonic();
  }

  async #fetch(look: number): Promise<void> {
    try {
      this.#keys = createLocalJWKSet((await get(new URL(this.url), this.outbound)) as JSONWebKeySet);
      this.#fetchedAt = this.clock.monotonic();
      this.isFailing = false;
      this.seen = look;
    } catch {
      // The old ones serve on; the next look is after the cooldown.
      this.isFailing = true;
    }
  }
}

/** Where keys are fetched: an address that was checked. @throws StreamError `host_forbidden`, `source_unreachable` */
export async function resolved(url: URL, outbound: Outbound): Promise<{ name: string; host: string; port: number }> {
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const name = url.hostname.replace(/^\[|\]$/g, '');
  return { name, host: await outbound.resolve(name, port), port };
}

/** Dials the address that was checked, under the name that the certificate has. Trap 34 */
async function get(url: URL, outbound: Outbound): Promise<unknown> {
  const { name, host, port } = await resolved(url, outbound);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const asked = send(
      {
        ...{ host, port, path: url.pathname + url.search, servername: name, agent: false },
        headers: { host: url.host, accept: 'application/json' },
        signal: AbortSignal.timeout(WITHIN_MS),
      },
      (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > LARGEST) asked.destroy(new Error('The key set is too large'));
          else chunks.push(chunk);
        });
        answer.on('error', reject);
        answer.on('end', () => {
          try {
            if (answer.statusCode !== 200) throw new Error(`The key set answered ${answer.statusCode}`);
            resolve(JSON.parse(Buffer.concat(chunks).toString()));
          } catch (error) {
            reject(error instanceof Error ? error : new Error('The key set can not be read'));
          }
        });
      },
    );
    asked.on('error', reject);
    asked.end();
  });
}
