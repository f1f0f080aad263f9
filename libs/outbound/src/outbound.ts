import { lookup as systemLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { StreamError, type Outbound } from '@planasonix/core';
import { forbidden, type OutboundPolicy } from './address.js';
import { malformedHost } from './host.js';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface OutboundOptions {
  readonly policy: OutboundPolicy;
  /**
   * The system's own stores. Under `public-only` they are never dialled for a user. Under `allow-private`, which is
   * for one machine, the same server may be store and source in different databases, so they are not barred by
   * address there.
   */
  readonly reserved?: readonly Endpoint[];
}

export type Lookup = (host: string) => Promise<readonly { readonly address: string }[]>;

export interface HostPolicy extends Outbound {
  /** Why a connection may not name this host, or `null`. A name that does not resolve now is no reason. */
  check(host: string, port?: number): Promise<string | null>;
}

const bare = (host: string): string => (host.startsWith('[') ? host.slice(1, -1) : host);

/**
 * Which hosts may be dialled. A name is resolved once, **every** address it has is checked, and the address that was
 * checked is the one to dial: a second resolution could answer something else.
 */
export function createOutbound(
  options: OutboundOptions,
  lookup: Lookup = (host) => systemLookup(host, { all: true, verbatim: true }),
): HostPolicy {
  const addresses = async (host: string): Promise<readonly string[]> =>
    isIP(bare(host)) !== 0 ? [bare(host)] : (await lookup(host)).map((one) => one.address);

  async function refusal(host: string, found: readonly string[], port: number | undefined): Promise<string | null> {
    for (const address of found) {
      const why = forbidden(address, options.policy);
      if (why !== null) return why;
    }
    if (options.policy === 'public-only' && port !== undefined)
      for (const own of options.reserved ?? []) {
        if (own.port !== port) continue;
        const theirs = await addresses(own.host).catch((): readonly string[] => []);
        if (found.some((address) => theirs.includes(address))) return "is one of this system's own stores";
      }
    return null;
  }

  return {
    async check(host, port) {
      const malformed = malformedHost(host);
      if (malformed !== null) return malformed;
      const found = await addresses(host).catch((): readonly string[] => []);
      return refusal(host, found, port);
    },

    async resolve(host, port) {
      const malformed = malformedHost(host);
      if (malformed !== null) throw new StreamError('host_forbidden', `The host ${malformed}.`);
      const found = await addresses(host).catch((cause: unknown) => {
        throw new StreamError('source_unreachable', `The host name ${host} does not resolve.`, { cause });
      });
      const why = await refusal(host, found, port);
      if (why !== null) throw new StreamError('host_forbidden', `The host ${host} ${why}.`);
      const [first] = found;
      if (first === undefined) throw new StreamError('source_unreachable', `The host name ${host} has no address.`);
      return first;
    },
  };
}
