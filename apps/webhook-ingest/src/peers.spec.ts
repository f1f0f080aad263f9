import type { Socket } from 'node:net';
import { authority } from './verify/ca-under-test.js';
import { isNetwork, Peers } from './peers.js';

const peers = new Peers(['10.0.0.0/8', '192.0.2.7', 'fd00::/8'], 'x-client-cert');
const network = (remoteAddress: string, forwarded?: string) =>
  peers.networkOf({
    socket: { remoteAddress } as Socket,
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  });

describe('the address of a sender', () => {
  it.each([
    ['nobody is trusted unasked', '203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['a trusted proxy tells whom it saw', '192.0.2.7', '198.51.100.1', '198.51.100.1'],
    ['what the sender wrote there itself is not believed', '192.0.2.7', '1.1.1.1, 198.51.100.1', '198.51.100.1'],
    ['proxies in a row', '10.1.1.1', '1.1.1.1, 198.51.100.1, 10.9.9.9,192.0.2.7', '198.51.100.1'],
    ['a proxy that tells nothing is the sender', '10.1.1.1', undefined, '10.1.1.1'],
    ['what is no address ends the chain', '10.1.1.1', '198.51.100.1, unknown, 10.2.2.2', '10.2.2.2'],
    ['trusted ones alone: the first of them', '10.1.1.1', '10.3.3.3, 10.2.2.2', '10.3.3.3'],
    ['with a port', '10.1.1.1', '198.51.100.1:4711', '198.51.100.1'],
    ['IPv4 in the form of IPv6', '::ffff:10.1.1.1', '::ffff:198.51.100.1', '198.51.100.1'],
    ['IPv6 with brackets is its /64', 'fd12::1', '[2001:db8:0:1:ffff::2]:443', '2001:db8:0:1::/64'],
    ['IPv6 with a zone', 'fe80::1%eth0', undefined, 'fe80:0:0:0::/64'],
  ])('%s', (_, remote, forwarded, expected) => {
    expect(network(remote, forwarded)).toBe(expected);
  });

  it('all of one /64 are one, and another /64 is another', () => {
    const [one, same, other] = ['2001:db8::1', '2001:0DB8::ff:2', '2001:db8:0:1::1'].map((at) => network(at));
    expect([one === same, one === other]).toEqual([true, false]);
  });
});

it('a client certificate is taken from a trusted proxy alone, and once', () => {
  const { der } = authority().issue({ common: 'a' });
  const passed = `:${der.toString('base64')}:`;
  const shown = (of: Peers, remoteAddress: string, ...values: readonly string[]) =>
    of.certificateOf({ socket: { remoteAddress } as Socket, headersDistinct: { 'x-client-cert': [...values] } })?.raw;
  expect(shown(peers, '::ffff:10.1.1.1', passed)).toEqual(der);
  expect(shown(peers, '203.0.113.9', passed)).toBeUndefined();
  expect(shown(peers, '10.1.1.1', passed, passed)).toBeUndefined();
  expect(shown(peers, '10.1.1.1')).toBeUndefined();
  expect(shown(new Peers(['10.0.0.0/8'], null), '10.1.1.1', passed)).toBeUndefined();
});

it('networks are addresses, with the bits that count', () => {
  const yes = ['10.0.0.7', '10.0.0.0/8', '::1', 'fd00::/128', '0.0.0.0/0'];
  const no = ['', 'proxy', '10.0.0.0/33', '10.0.0/8', '10.0.0.0/8/8', '10.0.0.0/', '::1/129', '10.0.0.0/-1'];
  expect([yes.filter(isNetwork), no.filter(isNetwork)]).toEqual([yes, []]);
});
