import { createHmac, createSign, generateKeyPairSync, sign } from 'node:crypto';
import { SignatureScheme, type SignatureRule } from '../verify/signature.js';
import { vendors } from './index.js';
import { request, verdict } from './vendors-under-test.js';

const mac = (secret: string | Buffer, text: string, encoding: 'hex' | 'base64', algorithm = 'sha256') =>
  createHmac(algorithm, secret).update(text).digest(encoding);

describe('schemes as vendors document them', () => {
  const [secret, at] = ['a secret of some length', 1_700_000_000];
  const body = '{"id":"evt_1","type":"made"}';
  const url = 'https://hooks.example/ingest/t';
  const linear = (seconds: number) => `{"action":"create","webhookTimestamp":${seconds}000,"webhookId":"w"}`;
  const form: readonly [vendor: string, headers: Record<string, string>, body?: string][] = [
    ['stripe', { 'Stripe-Signature': `t=${at},v0=6f,v1=${'0'.repeat(64)},v1=${mac(secret, `${at}.${body}`, 'hex')}` }],
    ['gitlab', { 'X-Gitlab-Token': secret }],
    ['shopify', { 'X-Shopify-Hmac-Sha256': mac(secret, body, 'base64') }],
    ['paddle', { 'Paddle-Signature': `ts=${at};h1=${mac(secret, `${at}:${body}`, 'hex')}` }],
    [
      'zoom',
      { 'x-zm-request-timestamp': String(at), 'x-zm-signature': `v0=${mac(secret, `v0:${at}:${body}`, 'hex')}` },
    ],
    ['square', { 'x-square-hmacsha256-signature': mac(secret, url + body, 'base64') }],
    [
      'hubspot',
      {
        'X-HubSpot-Request-Timestamp': `${at}000`,
        'X-HubSpot-Signature-v3': mac(secret, `POST${url}${body}${at}000`, 'base64'),
      },
    ],
    [
      'docusign',
      {
        'X-DocuSign-Signature-1': mac('another', body, 'base64'),
        'X-DocuSign-Signature-2': mac(secret, body, 'base64'),
      },
    ],
    ['intercom', { 'X-Hub-Signature': `sha1=${mac(secret, body, 'hex', 'sha1')}` }],
    ['linear', { 'Linear-Signature': mac(secret, linear(at), 'hex') }, linear(at)],
    [
      'mailgun',
      {},
      JSON.stringify({
        signature: { timestamp: String(at), token: 'tok', signature: mac(secret, `${at}tok`, 'hex') },
        'event-data': { event: 'opened' },
      }),
    ],
    [
      'planasonix',
      { 'X-Planasonix-Timestamp': String(at), 'X-Planasonix-Signature': `v1=${mac(secret, `${at}.${body}`, 'hex')}` },
    ],
  ];

  it.each([
    ['mailgun', {}, `{"signature":${'['.repeat(1024 * 1024)}`],
    [
      'twilio',
      { 'X-Twilio-Signature': 'AAAA', 'Content-Type': 'application/x-www-form-urlencoded' },
      'a&'.repeat(2 ** 18),
    ],
    [
      'twilio',
      { 'X-Twilio-Signature': 'AAAA', 'Content-Type': 'application/x-www-form-urlencoded' },
      'a&'.repeat(1_000),
    ],
  ])('%s: what a stranger sends is not parsed without end (trap 28)', (vendor, headers, own) => {
    expect(verdict(vendor, secret, { headers, body: own, at, url })).toEqual({
      valid: false,
      reason: 'signed_too_large',
    });
  });

  it.each(form)('%s', (vendor, headers, own = body) => {
    expect(verdict(vendor, secret, { headers, body: own, at, url })).toMatchObject({ valid: true });
    expect(verdict(vendor, 'not the secret', { headers, body: own, at, url })).toMatchObject({ valid: false });
    const cut = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.slice(0, -2)]));
    if (Object.keys(cut).length > 0)
      expect(verdict(vendor, secret, { headers: cut, body: own, at, url })).toMatchObject({ valid: false });
  });

  it.each(form.filter(([vendor]) => 'timestamp' in vendors.get(vendor)!.proof))(
    '%s: what is too old or too far ahead is refused (trap 28)',
    (vendor, headers, own = body) => {
      const sent = { headers, body: own, url };
      expect(verdict(vendor, secret, { ...sent, at: at + 301 })).toMatchObject({ reason: 'timestamp_too_old' });
      expect(verdict(vendor, secret, { ...sent, at: at - 301 })).toMatchObject({ reason: 'timestamp_in_future' });
    },
  );

  it('linear: without a time, and as its time reads under a name twice', () => {
    const sent = (own: string) =>
      verdict('linear', secret, { headers: { 'Linear-Signature': mac(secret, own, 'hex') }, body: own, at });
    for (const own of [body, '{"webhookTimestamp":null}', '{"webhookTimestamp":1.7e12}', 'no JSON', ''])
      expect(sent(own)).toEqual({ valid: false, reason: 'timestamp_missing' });
    expect(sent(`{"webhookTimestamp":${at}000,"webhookTimestamp":1}`)).toMatchObject({ reason: 'timestamp_too_old' });
    // What is not proved is not looked into.
    const headers = { 'Linear-Signature': mac('another', linear(at), 'hex') };
    expect(verdict('linear', secret, { headers, body: linear(1), at })).toMatchObject({ reason: 'signature_wrong' });
  });

  it('planasonix: 60 s ahead at the most, and an empty body is signed by its time alone', () => {
    const headers = {
      'X-Planasonix-Timestamp': String(at),
      'X-Planasonix-Signature': `v1=${mac(secret, String(at), 'hex')}`,
    };
    expect(verdict('planasonix', secret, { headers, at: at - 60 })).toMatchObject({ valid: true });
    expect(verdict('planasonix', secret, { headers, at: at - 61 })).toMatchObject({ reason: 'timestamp_in_future' });
    expect(verdict('planasonix', secret, { headers, at: at + 300 })).toMatchObject({ valid: true });
  });

  it('hubspot: the address as it was sent, or with the escapes undone that its documentation names', () => {
    const sent = (signedUrl: string, own: string) => {
      const signature = mac(secret, `POST${signedUrl}${body}${at}000`, 'base64');
      const headers = { 'X-HubSpot-Request-Timestamp': `${at}000`, 'X-HubSpot-Signature-v3': signature };
      return verdict('hubspot', secret, { headers, body, at, url: own }).valid;
    };
    const own = `${url}?a=%3a%2F%3F%40%21%24%27%28%29%2A%2C%3B&b=%26%20%C3%A9`;
    expect(sent(`${url}?a=:/?@!$'()*,;&b=%26%20%C3%A9`, own)).toBe(true);
    expect(sent(own, own)).toBe(true);
    expect(sent(decodeURIComponent(own), own)).toBe(false);
  });

  it.each([
    ['standard_webhooks', 'webhook'],
    ['svix', 'svix'],
  ])('%s: what parts the id from the time is no part of another id', (vendor, prefix) => {
    const [at, key, body] = [1_796_000_000, Buffer.alloc(24, 7), '{"said":"x.1796000000.{}"}'];
    const judged = (id: string, text: string, signed: string) =>
      verdict(vendor, key.toString('base64'), {
        headers: {
          ...{ [`${prefix}-id`]: id, [`${prefix}-timestamp`]: String(at) },
          [`${prefix}-signature`]: `v1,${createHmac('sha256', key).update(signed).digest('base64')}`,
        },
        ...{ body: text, at },
      });
    const whole = `msg.1.${at}.${body}`;
    expect(judged('msg.1', body, whole)).toMatchObject({ valid: true });
    expect(judged(`msg.1.${at}.{"said":"x`, '{}"}', whole)).toEqual({ valid: false, reason: 'signature_missing' });
  });

  it('sendgrid: ECDSA over the time and the body, under its public key', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
    const headers = {
      'X-Twilio-Email-Event-Webhook-Timestamp': String(at),
      'X-Twilio-Email-Event-Webhook-Signature': createSign('sha256').update(`${at}${body}`).sign(privateKey, 'base64'),
    };
    expect(verdict('sendgrid', key, { headers, body, at })).toMatchObject({ valid: true });
    expect(verdict('sendgrid', key, { headers, body: `${body} `, at })).toMatchObject({ reason: 'signature_wrong' });
  });

  it('discord: Ed25519 over the time and the body, under its public key', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(12).toString('hex');
    const headers = {
      'X-Signature-Timestamp': String(at),
      'X-Signature-Ed25519': sign(null, Buffer.from(`${at}${body}`), privateKey).toString('hex'),
    };
    expect(verdict('discord', key, { headers, body, at })).toMatchObject({ valid: true });
    expect(verdict('discord', key, { headers, body: `${body} `, at })).toMatchObject({ reason: 'signature_wrong' });
  });
});

describe('a handshake', () => {
  const answer = (vendor: string, body: unknown) => vendors.get(vendor)!.handshake!(body, Buffer.from('key'));

  it('discord: its pings are answered, and an event of the same type is none', () => {
    expect(answer('discord', { version: 1, application_id: '1', type: 0 })).toBe('no_content');
    expect(answer('discord', { version: 1, application_id: '1', id: '2', token: 't', type: 1 })).toEqual({ type: 1 });
    const event = { type: 'APPLICATION_AUTHORIZED', timestamp: '2024-10-18T14:42:53.064834' };
    expect(answer('discord', { version: 1, application_id: '1', type: 1, event })).toBeNull();
    expect(answer('discord', { id: '2', type: 2, data: { name: 'blep' } })).toBeNull();
    expect([answer('discord', []), answer('discord', 1), answer('discord', null)]).toEqual([null, null, null]);
  });

  it('slack and zoom: their challenges, and nothing else', () => {
    expect(answer('slack', { type: 'url_verification', challenge: 'c' })).toEqual({ challenge: 'c' });
    expect(answer('slack', { type: 'event_callback', challenge: 'c' })).toBeNull();
    const asked = { event: 'endpoint.url_validation', payload: { plainToken: 'p' } };
    expect(answer('zoom', asked)).toEqual({ plainToken: 'p', encryptedToken: mac('key', 'p', 'hex') });
    expect(answer('zoom', { ...asked, event: 'meeting.started' })).toBeNull();
    expect(answer('zoom', { ...asked, payload: {} })).toBeNull();
  });
});

describe('twilio', () => {
  it('signs each value of a name once, and pairs that read alike each', () => {
    const url = 'https://x/ingest/t';
    const verified = (body: string, signed: string) => {
      const headers = {
        'content-type': 'application/x-www-form-urlencoded',
        'x-twilio-signature': createHmac('sha1', 'token')
          .update(url + signed)
          .digest('base64'),
      };
      const { proof } = vendors.get('twilio')!;
      return new SignatureScheme(proof as SignatureRule, ['token']).verify(request({ url, headers, body })).valid;
    };
    expect(verified('b=2&a=1&b=2&b=1', 'a1b1b2')).toBe(true);
    expect(verified('a=bc&ab=c', 'abcabc')).toBe(true);
    expect(verified('a=bc&ab=c', 'abc')).toBe(false);
    expect([verified('?a=b', 'ab'), verified('?a=b', '?ab')]).toEqual([false, true]);
  });
});

describe('a signature', () => {
  const rule: SignatureRule = {
    ...{ algorithm: 'sha256', encoding: 'base64', headers: ['x-s'], form: { kind: 'whole', prefix: '' } },
    signed: '{body}',
  };
  const signature = mac('one', 'body', 'base64');
  const of = (secrets: readonly string[], value: string) =>
    new SignatureScheme(rule, secrets).verify(request({ headers: { 'x-s': value }, body: 'body' })).valid;

  it('is valid under any of the secrets that live', () => {
    expect(of(['two', 'one'], signature)).toBe(true);
    expect(of(['two', 'three'], signature)).toBe(false);
  });

  it('is strict base64 (trap 28)', () => {
    for (const loose of [` ${signature}`, signature.replace(/=$/, ''), `${signature}\n`, signature.replace('=', '==')])
      expect(of(['one'], loose)).toBe(false);
  });

  it('is never valid under an empty secret (trap 28)', () => {
    expect(of([''], mac('', 'body', 'base64'))).toBe(false);
    expect(of([], mac('', 'body', 'base64'))).toBe(false);
  });
});
