import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { TLSSocket } from 'node:tls';
import { passedCertificate } from './verify/certificate.js';

/** An address of a proxy, or a network of them: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`. */
export function isNetwork(text: string): boolean {
  const [address, bits, ...rest] = text.split('/');
  const family = isIP(address!);
  const most = family === 4 ? 32 : 128;
  return family !== 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most));
}

const familyOf = (address: string) => (isIP(address) === 4 ? 'ipv4' : 'ipv6');

/** Who is at the other end, by the word of proxies that are trusted and of nobody else. */
export class Peers {
  readonly #trusted = new BlockList();

  /**
   * @param proxies see {@link isNetwork}
   * @param certificateHeader where they put the client's certificate, in lower case; `null`: nowhere
   */
  constructor(
    proxies: readonly string[],
    readonly certificateHeader: string | null,
  ) {
    for (const proxy of proxies) {
      const [address, bits] = proxy.split('/') as [string, string?];
      if (bits === undefined) this.#trusted.addAddress(address, familyOf(address));
      else this.#trusted.addSubnet(address, Number(bits), familyOf(address));
    }
  }

  /**
   * The last address that a trusted one vouches for: what stands further left in `X-Forwarded-For` is the sender's own
   * word. IPv6 is its /64, for whoever has one of its addresses has them all.
   */
  networkOf({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>): string {
    let address = bare(socket.remoteAddress ?? '');
    const told = String(headers['x-forwarded-for'] ?? '').split(',');
    while (this.#trusts(address)) {
      const next = bare(told.pop() ?? '');
      if (isIP(next) === 0) break;
      address = next;
    }
    return isIP(address) === 6 ? network64(address) : address;
  }

  /**
   * The client's certificate: of whoever is connected, or as the proxy passes it on that is. A proxy's own stands for
   * none of its clients, and what is passed on twice in one request is nobody's.
   */
  certificateOf({
    socket,
    headersDistinct,
  }: Pick<IncomingMessage, 'socket' | 'headersDistinct'>): X509Certificate | null {
    if (!this.#trusts(bare(socket.remoteAddress ?? '')))
      return (socket instanceof TLSSocket && socket.getPeerX509Certificate()) || null;
    if (this.certificateHeader === null) return null;
    const [passed, ...more] = headersDistinct[this.certificateHeader] ?? [];
    return passed === undefined || more.length > 0 ? null : passedCertificate(passed);
  }

  #trusts(address: string): boolean {
    return isIP(address) !== 0 && this.#trusted.check(address, familyOf(address));
  }
}

/** Without port, brackets, zone and the IPv6 form of an IPv4 address. */
function bare(text: string): string {
  const address = text.trim();
  const inner =
    /^\[([^\]]+)\](?::\d+)?$/.exec(address)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(address)?.[1] ?? address;
  return inner.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
}

/** @param address IPv6, in any notation */
function network64(address: string): string {
  const [head, tail] = address.replace(/\d+\.\d+\.\d+\.\d+$/, '0:0').split('::') as [string, string?];
  const groups = (part: string | undefined) => (part ? part.split(':') : []);
  const [first, last] = [groups(head), groups(tail)];
  const zeros = tail === undefined ? 0 : 8 - first.length - last.length;
  const all = [...first, ...Array<string>(zeros).fill('0'), ...last];
  return `${all
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
