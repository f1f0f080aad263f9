import { networkInterfaces } from 'node:os';
import { isLoopback, sameAddress, type OutboundPolicy } from './address.js';

/** A store of the system itself, as its URL names it. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** Of a server that holds several; absent where the server as a whole is the store. */
  readonly database?: string;
}

const PORTS: Readonly<Record<string, number>> = {
  'postgres:': 5432,
  'postgresql:': 5432,
  'redis:': 6379,
  'rediss:': 6379,
};

/** Where `DATABASE_URL` or `REDIS_URL` leads to. */
export function endpointOf(url: string): Endpoint {
  const { hostname, port, pathname, protocol, username } = new URL(url);
  const at = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || PORTS[protocol]) };
  if (!protocol.startsWith('postgres')) return at;
  return { ...at, database: decodeURIComponent(pathname.slice(1)) || decodeURIComponent(username) };
}

const localAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address));

/**
 * Is what a user wants to dial a store of our own?
 *
 * Under `public-only` a store's address and port are barred. Under `allow-private`, which is for one machine, one
 * Postgres server may be the system's store and, in another database, a source: there the database is barred. Redis is
 * barred as a whole under both.
 */
export class OwnStores {
  constructor(
    private readonly endpoints: readonly Endpoint[],
    private readonly policy: OutboundPolicy,
    private readonly addresses: (host: string) => Promise<readonly string[]>,
    private readonly local: () => readonly string[] = localAddresses,
  ) {}

  async include(host: string, found: readonly string[], port?: number, database?: string): Promise<boolean> {
    for (const own of this.endpoints) {
      if (own.port !== port) continue;
      if (this.policy === 'allow-private' && own.database !== undefined && own.database !== database) continue;
      if (own.host.toLowerCase() === host.toLowerCase()) return true;
      const theirs = await this.addresses(own.host).catch(() => []);
      if (found.some((one) => theirs.some((other) => this.same(one, other)))) return true;
    }
    return false;
  }

  /** Every address of this machine leads to what listens on any of them. */
  private same(one: string, other: string): boolean {
    return sameAddress(one, other) || (this.isHere(one) && this.isHere(other));
  }

  private isHere(address: string): boolean {
    return isLoopback(address) || this.local().some((own) => sameAddress(own, address));
  }
}
