import { isIP } from 'node:net';

/** A name as DNS has them, or an address literal. Everything else is a way around the checks (trap 34). */
const NAME = /^(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?$/;
/** `127.1`, `2130706433`, `0x7f000001`, `0177.0.0.1`: resolvers take these for IPv4 addresses, checks do not. */
const NUMBER_LIKE = /^(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+))*\.?$/i;

/** Why `host` can't be the host of a connection, by its form alone, or `null`. */
export function malformedHost(host: string): string | null {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  if (isIP(bare) !== 0) return null;
  if (host.includes('/')) return 'is a path; give a host name or an address';
  if (NUMBER_LIKE.test(host)) return 'is an address in an unusual notation; write it in full';
  return NAME.test(host) ? null : 'is not a host name';
}
