import ipaddr from 'ipaddr.js';

export type OutboundPolicy = 'allow-private' | 'public-only';

/** Names of instance metadata services beside the link-local one. */
const METADATA = [
  '169.254.169.254',
  '169.254.170.2',
  '100.100.100.200',
  'fd00:ec2::254',
  'fd20:ce::254',
  '168.63.129.16',
];

/** Ranges that a workplace or a laptop has of its own: allowed by setting. */
const PRIVATE = new Set(['private', 'loopback', 'uniqueLocal', 'carrierGradeNat']);

/** An IPv4 address inside an IPv6 one (mapped, 6to4, NAT64) is judged as what it leads to. */
function unwrap(address: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 | ipaddr.IPv6 {
  if (address.kind() === 'ipv4') return address;
  const v6 = address as ipaddr.IPv6;
  if (v6.isIPv4MappedAddress()) return v6.toIPv4Address();
  const bytes = v6.toByteArray();
  if (v6.range() === '6to4') return ipaddr.fromByteArray(bytes.slice(2, 6));
  if (v6.range() === 'rfc6052') return ipaddr.fromByteArray(bytes.slice(12));
  // ::a.b.c.d, deprecated, still dialled by some stacks.
  if (bytes.slice(0, 12).every((byte) => byte === 0) && bytes.slice(12, 15).some((byte) => byte !== 0))
    return ipaddr.fromByteArray(bytes.slice(12));
  return v6;
}

/** Why `address` (an IP literal) may not be dialled, or `null` when it may. */
export function forbidden(address: string, policy: OutboundPolicy): string | null {
  if (!ipaddr.isValid(address)) return 'is not an address';
  const parsed = unwrap(ipaddr.parse(address));
  const range = parsed.range();
  if (METADATA.some((one) => ipaddr.parse(one).toNormalizedString() === parsed.toNormalizedString()))
    return 'is an instance metadata service';
  if (range === 'unicast') return null;
  if (PRIVATE.has(range))
    return policy === 'allow-private' ? null : `is a ${range} address, and OUTBOUND_POLICY is public-only`;
  return `is a ${range} address`;
}
