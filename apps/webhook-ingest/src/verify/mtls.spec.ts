import { X509Certificate } from 'node:crypto';
import { authority, type Issued } from './ca-under-test.js';
import { namesIn, passedCertificate } from './certificate.js';
import { MtlsScheme } from './mtls.js';
import type { SignedRequest } from './scheme.js';

const ca = authority();
const nowMs = Date.now();
const request = (certificate: X509Certificate | null): SignedRequest => ({
  ...{ method: 'POST', url: 'https://hooks.example/ingest/t', body: Buffer.from('{}'), nowMs },
  header: () => null,
  certificate: () => certificate,
});
const of = ({ der }: Issued) => new X509Certificate(der);
const under = (names: readonly string[] = [], cas: readonly Issued[] = [ca]) =>
  new MtlsScheme({ cas: cas.map(of), names, header: 'x-client-cert' });
const verdict = (shown: Issued, scheme = under()) => scheme.verify(request(of(shown)));

describe('a client certificate', () => {
  it('of the CA is valid, and one of another CA of the same name is not', () => {
    expect(verdict(ca.issue({ common: 'a' }))).toMatchObject({ valid: true });
    expect(verdict(ca.issue({ common: 'a', usage: 'client' }))).toMatchObject({ valid: true });
    expect(verdict(ca.issue({ common: 'a', rsa: true }), under([], [authority(), ca]))).toMatchObject({ valid: true });
    const wrong = { valid: false, reason: 'certificate_wrong' };
    expect(verdict(authority().issue({ common: 'a' }))).toEqual(wrong);
    expect(verdict(authority())).toEqual(wrong);
    expect(under().verify(request(null))).toEqual({ valid: false, reason: 'certificate_missing' });
  });

  it.each([
    ['one that has ended', { lives: [nowMs - 9_000_000, nowMs - 5_000] }],
    ['one that does not live yet', { lives: [nowMs + 5_000, nowMs + 9_000_000] }],
    ['one that is for servers', { usage: 'server' }],
  ] as const)('%s is not valid', (_, wanted) => {
    expect(verdict(ca.issue({ common: 'a', ...wanted }))).toMatchObject({ valid: false });
  });

  it('of whom a client has signed itself, or of a CA that has ended, is not valid', () => {
    const client = ca.issue({ common: 'client' });
    expect(verdict(client.issue({ common: 'a' }), under([], [client]))).toMatchObject({ valid: false });
    const ended = authority({ lives: [nowMs - 9_000_000, nowMs - 5_000] });
    expect(verdict(ended.issue({ common: 'a' }), under([], [ended]))).toMatchObject({ valid: false });
  });

  it('has to have one of the names, where names are given', () => {
    const scheme = under(['hooks.sender.example', 'spiffe://sender/hooks', 'legacy']);
    const valid = (wanted: Parameters<Issued['issue']>[0]) => verdict(ca.issue(wanted), scheme).valid;
    expect(valid({ dns: ['other.example', 'hooks.sender.example'] })).toBe(true);
    expect(valid({ uris: ['spiffe://sender/hooks'] })).toBe(true);
    expect(valid({ common: 'legacy' })).toBe(true);
    expect(valid({ common: 'legacy', dns: ['other.example'] })).toBe(false);
    expect(valid({ dns: ['xhooks.sender.example', '*.sender.example'] })).toBe(false);
    expect(valid({ dns: ['x, DNS:hooks.sender.example'] })).toBe(false);
    expect(valid({ uris: ['x", DNS:hooks.sender.example'] })).toBe(false);
    expect(valid({ common: 'x\nCN=legacy' })).toBe(false);
  });
});

describe('a certificate that a proxy passes on', () => {
  const { pem, der } = ca.issue({ common: 'passed' });
  const base64 = der.toString('base64');

  it.each([
    ['as RFC 9440 has it', `:${base64}:`],
    ['as escaped PEM', encodeURIComponent(pem)],
    ['as PEM with plus signs left as they are', encodeURIComponent(pem).replaceAll('%2B', '+')],
    ['as base64, with its chain', `${base64},${ca.der.toString('base64')}`],
    ['as escaped base64', encodeURIComponent(base64)],
  ])('%s', (_, text) => {
    expect(passedCertificate(text)?.raw).toEqual(der);
  });

  it.each([
    ['nothing', ''],
    ['marks without bytes', '::'],
    ['a broken escape', '%'],
    ['what a proxy writes for none', '(null)'],
    ['bytes that are no certificate', base64.slice(4)],
    ['loose base64', `${base64.slice(0, -4)}====`],
    ['one that is too long', `:${base64}:`.padEnd(20_000)],
  ])('is none: %s', (_, text) => {
    expect(passedCertificate(text)).toBeNull();
  });
});

describe('names of a certificate', () => {
  const names = (subjectAltName: string) => namesIn({ subjectAltName, subject: 'CN=other' });

  it('are the entries of subjectAltName, and nothing that stands within the value of one', () => {
    expect(names('DNS:a.example, URI:urn:a, IP Address:127.0.0.1, email:a@b.example')).toEqual([
      ...['a.example', 'urn:a', 'a@b.example'],
    ]);
    expect(names('othername:"x, DNS:trusted.example, y", DNS:a.example')).toEqual(['a.example']);
    expect(names('DNS:"a\\", DNS:trusted.example"')).toEqual([]);
    expect(names('DirName:O=x, DNS:trusted.example, CN=y')).toEqual([]);
  });
});
