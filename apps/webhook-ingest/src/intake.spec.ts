import { createHmac } from 'node:crypto';
import { DELIVERY_DATA, systemClock } from '@planasonix/core';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { doorOf, type Door } from './door.js';
import { intakeOf, type Delivery } from './intake.js';
import { verdict } from './vendors/vendors-under-test.js';

/** A stream that runs under a config, at an instance whose proxies pass client certificates on. */
function doorOfConfig(config: Record<string, unknown>): Door {
  const row = { id: 'str_x', name: 's', sealed: null, status: 'running', desired: 'running', config };
  const around = {
    outbound: { resolve: () => Promise.reject(new Error('Nothing is fetched')) },
    ...{ clock: systemClock, remoteKeys: new Map(), certificates: { header: 'x-ssl-cert', direct: false } },
  };
  return doorOf(row as never, around);
}

const preset = (name: string, secret = 'a secret of some length'): Door =>
  doorOfConfig({ auth: { type: 'preset', preset: name, secrets: [secret] } });

/** What a delivery becomes whose proof is valid. */
function taken(door: Door, of: { headers?: Record<string, string>; body?: string; signed?: readonly string[] }) {
  const { headers = {}, body = '{}', signed = [body] } = of;
  const delivery: Delivery = {
    ...{ method: 'POST', contentType: 'application/json', inflated: false, receivedAtMs: 1_700_000_000_000 },
    headers: Object.entries(headers).map(([name, value]) => ({ name, lower: name.toLowerCase(), value })),
    body: Buffer.from(body),
    signed: signed.map((part) => Buffer.from(part)),
  };
  const found = intakeOf(door, delivery, () => 'room');
  if (typeof found === 'string') throw new Error(found);
  return found;
}

/** Names of the headers that an event has. */
function shown(door: Door, headers: Record<string, string>): readonly string[] {
  const data = JSON.parse(taken(door, { headers }).intake.parts[0]!.data.toString()) as {
    headers: readonly (readonly [string, string])[];
  };
  return data.headers.map(([name]) => name);
}

describe('the data of an event is as the API tells', () => {
  const told = new Ajv2020({ strict: false, validateFormats: false }).compile(DELIVERY_DATA);
  const headers = { 'X-Id': 'e', 'X-Acme': '1', 'X-Acme-Signature': 's' };

  it.each<[string, Record<string, unknown>, string]>([
    ['JSON', {}, '{"n":1}'],
    ['text', { dedupe: { header: 'X-Id' } }, '{"n":'],
    ['parts', { expand_array: true }, '[1,null,"a"]'],
  ])('%s', (_, config, body) => {
    const { intake } = taken(doorOfConfig({ auth: { type: 'none' }, ...config }), { headers, body });
    const found = intake.parts.map(({ data }) => JSON.parse(data.toString()) as Record<string, unknown>);
    expect(found.map((data) => (told(data) ? null : told.errors))).toEqual(found.map(() => null));
    const { received_at: _at, ...without } = found[0]!;
    expect([told(without), told({ ...found[0], more: 1 })]).toEqual([false, false]);
  });
});

it.each([
  ['queue', true],
  ['reject', false],
  ['shed', false],
])('under %s that it keeps the order is %s (Invariant 5)', (backpressure, inOrder) => {
  expect(taken(doorOfConfig({ auth: { type: 'none' }, backpressure }), {}).intake.inOrder).toBe(inOrder);
});

describe('headers of an event', () => {
  // As docs.github.com has them, Webhook events and payloads, Delivery headers.
  const github = {
    'X-GitHub-Delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
    'X-Hub-Signature': 'sha1=7d38cdd689735b008b3c702edd92eea23791c5f6',
    'X-Hub-Signature-256': 'sha256=d57c68ca6f92289e6987922ff26938930f6e66a2d161ef06abdf1859230aa23c',
    'User-Agent': 'GitHub-Hookshot/044aadd',
    'Content-Type': 'application/json',
    'X-GitHub-Event': 'issues',
    'X-GitHub-Hook-ID': '292430182',
    'X-GitHub-Hook-Installation-Target-ID': '79929171',
    'X-GitHub-Hook-Installation-Target-Type': 'repository',
  };

  it('are all that GitHub sends but its signatures, of which it sends two', () => {
    const wanted = Object.keys(github).filter((name) => !name.startsWith('X-Hub-Signature'));
    expect(shown(preset('github'), github)).toEqual(wanted);
  });

  it.each([
    ['gitlab_signed', preset('gitlab_signed', `whsec_${Buffer.alloc(24, 1).toString('base64')}`)],
    ['bearer', doorOfConfig({ auth: { type: 'bearer', tokens: ['a token of some length'] } })],
    ['none', doorOfConfig({ auth: { type: 'none' } })],
  ])('%s: are without secrets and proofs of other schemes', (_, door) => {
    const proofs = {
      ...{
        Authorization: 's',
        Cookie: 's',
        'X-Gitlab-Token': 's',
        'Webhook-Signature': 's',
        'X-HubSpot-Signature': 's',
      },
      ...{ 'X-Square-Signature': 's', 'X-SSL-Cert': 's', 'Client-Cert': 's' },
      // Of none of the vendors: by their names.
      ...{
        'X-Acme-Signature': 's',
        'X-Acme-HMAC-SHA512': 's',
        'x-acme_signature_v2': 's',
        'X-API-Key': 's',
        Apikey: 's',
      },
      ...{ 'X-Hook-Secret': 's', 'X-Auth-Token': 's', 'X-Amz-Security-Token': 's', 'X-HmacSha256-Signature': 's' },
    };
    const others = {
      ...{ 'X-Acme-Delivery': '1', 'X-Signature-Timestamp': '1', 'I-Twilio-Idempotency-Token': '1', 'X-Tokens': '1' },
      ...{ 'Idempotency-Key': '1', 'Signature-Input': '1', 'X-Design': '1' },
    };
    expect(shown(door, { ...proofs, ...others })).toEqual(Object.keys(others));
  });
});

describe('mailgun: whoever has one of its signatures', () => {
  const [secret, at, token] = ['a secret of some length', 1_700_000_000, 'c0ffee'];
  const signature = createHmac('sha256', secret).update(`${at}${token}`).digest('hex');
  const door = preset('mailgun', secret);
  const proof = JSON.stringify({ timestamp: String(at), token, signature });
  /** @param inflated what its bytes become */
  const intake = (body: string, inflated = body) => {
    const proved = verdict('mailgun', secret, { headers: {}, body, at });
    if (!proved.valid) throw new Error(proved.reason);
    return taken(door, { body: inflated, signed: proved.signed.map(String) });
  };
  const sent = intake(`{"signature":${proof},"event-data":{"event":"opened"}}`);

  it.each([
    ['nested deeper than is taken for JSON', `{"signature":${proof},"x":${'['.repeat(250)}${']'.repeat(250)}}`],
    ['with another signature before it', `{"signature":{"token":"x"},"signature":${proof}}`],
    ['with its names escaped', `{"\\u0073ignature":${proof}}`],
    ['with a prototype', `{"signature":${proof},"__proto__":{"signature":{"token":"x"}}}`],
    ['that its Content-Encoding makes something else of', `{"signature":${proof}}`, '{"forged":true}'],
  ])('can not have another body taken in beside the real one: %s', (_, body, inflated = body) => {
    const forged = intake(body, inflated);
    expect([forged.eventId, forged.intake.sameDelivery]).toEqual([token, sent.intake.sameDelivery]);
    expect(forged.intake.id).toBe(sent.intake.id);
  });
});

describe('a retry', () => {
  const gitlab = preset('gitlab');
  const key = (door: Door, headers: Record<string, string>, body = '{"object_kind":"push"}') =>
    taken(door, { headers, body }).intake.sameDelivery;

  it('gitlab: is known by its Idempotency-Key, which two deliveries that set each other off do not share', () => {
    const first = { 'Idempotency-Key': 'k1', 'X-Gitlab-Event-UUID': 'u1' };
    expect(taken(gitlab, { headers: first }).eventId).toBe('k1');
    expect(key(gitlab, { ...first, 'X-Gitlab-Event-UUID': 'u2' })).toBe(key(gitlab, first));
    expect(key(gitlab, { ...first, 'Idempotency-Key': 'k2' })).not.toBe(key(gitlab, first));
  });

  it('gitlab: of a version before 17.4 by its event UUID', () => {
    for (const headers of [{}, { 'Idempotency-Key': '' }] as Record<string, string>[])
      expect(taken(gitlab, { headers: { ...headers, 'X-Gitlab-Event-UUID': 'u1' } }).eventId).toBe('u1');
    expect(taken(gitlab, {}).eventId).toBeNull();
  });

  it('shopify: is known by its webhook id: webhooks of one event are several, though their bodies are equal', () => {
    const of = (id: string, topic: string) =>
      key(preset('shopify'), { 'X-Shopify-Webhook-Id': id, 'X-Shopify-Event-Id': 'e', 'X-Shopify-Topic': topic });
    expect(of('w1', 'orders/create')).toBe(of('w1', 'orders/create'));
    expect(of('w2', 'orders/updated')).not.toBe(of('w1', 'orders/create'));
  });
});
