import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

/** One element of DER: tag, length, content. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
const sequence = (...contents: readonly Buffer[]) => der(0x30, ...contents);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const name = (common: string) => sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(common)))));
const time = (ms: number) => der(0x18, Buffer.from(new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')));
const extension = (id: string, value: Buffer) => sequence(oid(id), der(0x04, value));

const DNS = 0x82;
const URI = 0x86;
const USAGES = { client: '2b06010505070302', server: '2b06010505070301' } as const;
const DAY_MS = 86_400_000;

export interface Wanted {
  readonly common?: string;
  readonly dns?: readonly string[];
  readonly uris?: readonly string[];
  readonly usage?: keyof typeof USAGES;
  readonly ca?: boolean;
  /** From when and until when it lives, ms. */
  readonly lives?: readonly [from: number, until: number];
  /** As an RSA key; P-256 otherwise. */
  readonly rsa?: boolean;
}

export interface Issued {
  readonly pem: string;
  readonly der: Buffer;
  readonly key: KeyObject;
  /** One that is issued by this one. */
  issue(wanted: Wanted): Issued;
}

const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));
const RSA_SHA256 = sequence(oid('2a864886f70d01010b'), der(0x05));

/** A certificate authority of its own, with nothing but `node:crypto`. */
export const authority = (wanted: Wanted = {}): Issued => made({ common: 'ca', ca: true, ...wanted }, null);

function made(wanted: Wanted, issuer: { readonly common: string; readonly key: KeyObject } | null): Issued {
  const { common = '', dns = [], uris = [], usage, ca = false } = wanted;
  const pair = wanted.rsa
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const by = issuer ?? { common, key: pair.privateKey };
  const algorithm = by.key.asymmetricKeyType === 'rsa' ? RSA_SHA256 : ECDSA_SHA256;
  const [from, until] = wanted.lives ?? [Date.now() - DAY_MS, Date.now() + DAY_MS];
  const names = [...dns.map((one) => der(DNS, Buffer.from(one))), ...uris.map((one) => der(URI, Buffer.from(one)))];
  const extensions = [
    ...(ca ? [extension('551d13', sequence(der(0x01, Buffer.from([255]))))] : []),
    ...(usage ? [extension('551d25', sequence(oid(USAGES[usage])))] : []),
    ...(names.length > 0 ? [extension('551d11', sequence(...names))] : []),
  ];
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ...[algorithm, name(by.common), sequence(time(from), time(until)), name(common)],
    pair.publicKey.export({ format: 'der', type: 'spki' }),
    ...(extensions.length > 0 ? [der(0xa3, sequence(...extensions))] : []),
  );
  const whole = sequence(body, algorithm, der(0x03, Buffer.from([0]), sign('sha256', body, by.key)));
  const lines = whole.toString('base64').replace(/.{64}/g, '$&\n');
  return {
    pem: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    der: whole,
    key: pair.privateKey,
    issue: (of) => made(of, { common, key: pair.privateKey }),
  };
}
