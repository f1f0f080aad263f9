import { createHash } from 'node:crypto';
import type { SignedRequest } from '../verify/scheme.js';
import type { Vendor } from './vendor.js';

/** Far more than it sends: they are parsed and sorted before they are proved, which holds up all streams. */
const MOST_PARAMETERS = 1_000;

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function parameters(body: Buffer): number {
  let count = 1;
  for (let at = body.indexOf('&'); at >= 0 && count <= MOST_PARAMETERS; at = body.indexOf('&', at + 1)) count++;
  return count;
}

/** The address, then each parameter of the form in the order of their names; a JSON body by its digest in the query. */
function signed({ url, body, header }: SignedRequest): readonly Buffer[] | 'signed_too_large' | null {
  const digest = URL.canParse(url) ? new URL(url).searchParams.get('bodySHA256') : null;
  if (digest !== null)
    return createHash('sha256').update(body).digest('hex') === digest.toLowerCase() ? [Buffer.from(url)] : null;
  if (body.length === 0) return [Buffer.from(url)];
  if (!/^application\/x-www-form-urlencoded\b/i.test(header('content-type') ?? '')) return null;
  if (parameters(body) > MOST_PARAMETERS) return 'signed_too_large';
  // It drops the first `?`, which may not be one of the body.
  const params = [...new URLSearchParams(`?${body.toString()}`)].sort(([a, x], [b, y]) => order(a, b) || order(x, y));
  // A value that a name has twice counts once; `a=bc` and `ab=c` are two, though they read alike.
  const once = params.filter(([name, value], i) => name !== params[i - 1]?.[0] || value !== params[i - 1]?.[1]);
  return [Buffer.from(url + once.flat().join(''))];
}

const PARTS = /^(https?:)(\/\/(?:\[[^\]]*\]|[^/:?#]*))(:\d+)?(.*)$/s;

/** With its port and without, as its libraries take it: proxies show one or the other. */
function addresses(url: string): readonly string[] {
  const [, protocol = '', host = '', port = protocol === 'https:' ? ':443' : ':80', rest = ''] = PARTS.exec(url) ?? [];
  return protocol === '' ? [url] : [url, protocol + host + rest, protocol + host + port + rest];
}

export const twilio: Vendor = {
  name: 'twilio',
  proof: {
    algorithm: 'sha1',
    encoding: 'base64',
    headers: ['x-twilio-signature'],
    form: { kind: 'whole', prefix: '' },
    mostBytes: 256 * 1024,
    addresses,
    signed,
  },
  eventId: { header: 'i-twilio-idempotency-token' },
  idIsSigned: false,
  bodies: 'form',
};
