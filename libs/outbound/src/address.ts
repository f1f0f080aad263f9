import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

export type OutboundPolicy = 'allow-private' | 'public-only';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Instance metadata and the like, wherever a cloud has put them. Some lie in ranges that are private otherwise. */
const METADATA = [
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '100.100.100.200',
  '168.63.129.16',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
].map(digits);

/** Ranges that a workplace or a laptop has of its own: allowed by setting. */
const PRIVATE: Readonly<Record<string, string>> = {
  private: 'a private',
  loopback: 'a loopback',
  uniqueLocal: 'a unique-local',
  carrierGradeNat: 'a carrier-grade NAT',
};

/** The bytes of an address as text, without zone and notation. */
function digits(address: string): string {
  return ipaddr.parse(address).toByteArray().join('.');
}

/** An IPv4 address inside an IPv6 one is judged as what it leads to. `null`: it may lead anywhere. */
function unwrap(address: Address): Address | null {
  if (address.kind() === 'ipv4') return address;
  const v6 = address as ipaddr.IPv6;
  const bytes = v6.toByteArray();
  const last = () => ipaddr.fromByteArray(bytes.slice(12));
  switch (v6.range()) {
    case 'ipv4Mapped':
      return v6.toIPv4Address();
    case '6to4':
      return ipaddr.fromByteArray(bytes.slice(2, 6));
    case 'rfc6145':
      return last();
    case 'rfc6052':
      // 64:ff9b::/96 has one form; the local 64:ff9b:1::/48 is cut as its operator likes.
      return bytes[5] === 0 ? last() : null;
    default:
      // ::a.b.c.d, deprecated, still dialled by some stacks.
      return bytes.slice(0, 12).every((byte) => byte === 0) && bytes.slice(12, 15).some((byte) => byte !== 0)
        ? last()
        : v6;
  }
}

/** Why `address` (an IP literal) may not be dialled, or `null` when it may. */
export function forbidden(address: string, policy: OutboundPolicy): string | null {
  if (isIP(address) === 0) return 'is not an address';
  const parsed = unwrap(ipaddr.parse(address));
  if (parsed === null) return 'is a translated address';
  if (METADATA.includes(parsed.toByteArray().join('.'))) return 'is an instance metadata service';
  const range = parsed.range();
  // Global unicast is 2000::/3; the rest of IPv6 is not given out, whatever it may come to mean.
  if (range === 'unicast' && (parsed.kind() === 'ipv4' || parsed.toByteArray()[0]! >> 5 === 1)) return null;
  const name = PRIVATE[range];
  if (name !== undefined)
    return policy === 'allow-private' ? null : `is ${name} address, and OUTBOUND_POLICY is public-only`;
  return `is a ${range === 'unicast' ? 'reserved' : range} address`;
}

/** Two notations of one address. */
export const sameAddress = (one: string, other: string): boolean => canonical(one) === canonical(other);

/** Of this machine, whichever of its addresses that is. */
export const isLoopback = (address: string): boolean => {
  const parsed = unwrap(ipaddr.parse(address));
  return parsed !== null && (parsed.range() === 'loopback' || parsed.range() === 'unspecified');
};

const canonical = (address: string): string =>
  (unwrap(ipaddr.parse(address)) ?? ipaddr.parse(address)).toByteArray().join('.');
