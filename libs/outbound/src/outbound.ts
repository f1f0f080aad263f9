import { lookup as systemLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { StreamError, type Outbound } from '@planasonix/core';
import { forbidden, type OutboundPolicy } from './address.js';
import { malformedHost } from './host.js';
import { OwnStores, type Endpoint } from './own-stores.js';

export interface OutboundOptions {
  readonly policy: OutboundPolicy;
  /** The system's own stores (`endpointOf` their URLs): not to be dialled for a user. See `OwnStores`. */
  readonly reserved?: readonly Endpoint[];
}

export interface OutboundDeps {
  readonly lookup?: (host: string) => Promise<readonly { readonly address: string }[]>;
  /** Addresses of this machine. */
  readonly local?: () => readonly string[];
  /** Milliseconds that a name server may take. */
  readonly lookupMs?: number;
}

export interface HostPolicy extends Outbound {
  /** Why a connection may not name this host, or `null`. A name that does not resolve now is no reason. */
  check(host: string, port?: number, database?: string): Promise<string | null>;
}

/** Resolvers try for half a minute; a driver's own time to connect has not even begun. */
const LOOKUP_MS = 5000;

const bare = (host: string): string => (host.startsWith('[') ? host.slice(1, -1) : host);

/**
 * Which hosts may be dialled. A name is resolved once, **every** address it has is checked, and the address that was
 * checked is the one to dial: a second resolution could answer something else (trap 34).
 */
export function createOutbound(options: OutboundOptions, deps: OutboundDeps = {}): HostPolicy {
  const lookup = deps.lookup ?? ((host) => systemLookup(host, { all: true, verbatim: true }));

  async function addresses(host: string): Promise<readonly string[]> {
    if (isIP(bare(host)) !== 0) return [bare(host)];
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('the name server did not answer')), deps.lookupMs ?? LOOKUP_MS);
    });
    try {
      return (await Promise.race([lookup(host), late])).map((one) => one.address);
    } finally {
      clearTimeout(timer);
    }
  }

  const own = new OwnStores(options.reserved ?? [], options.policy, addresses, deps.local);

  async function refusal(
    host: string,
    found: readonly string[],
    port?: number,
    database?: string,
  ): Promise<string | null> {
    for (const address of found) {
      const why = forbidden(address, options.policy);
      if (why !== null) return why;
    }
    return (await own.include(bare(host), found, port, database)) ? "is one of this system's own stores" : null;
  }

  return {
    async check(host, port, database) {
      const malformed = malformedHost(host);
      if (malformed !== null) return malformed;
      const found = await addresses(host).catch(() => []);
      return refusal(host, found, port, database);
    },

    async resolve(host, port, database) {
      const malformed = malformedHost(host);
      if (malformed !== null) throw new StreamError('host_forbidden', `The host ${malformed}.`);
      const found = await addresses(host).catch((cause: unknown) => {
        throw new StreamError('source_unreachable', `The host name ${host} does not resolve.`, { cause });
      });
      const why = await refusal(host, found, port, database);
      if (why !== null) throw new StreamError('host_forbidden', `The host ${host} ${why}.`);
      const [first] = found;
      if (first === undefined) throw new StreamError('source_unreachable', `The host name ${host} has no address.`);
      return first;
    },
  };
}
