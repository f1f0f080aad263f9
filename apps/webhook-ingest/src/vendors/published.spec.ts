import { delivery as paypalDelivery } from './paypal-delivery-under-test.js';
import { verdict, type Sent } from './vendors-under-test.js';

/** What a vendor publishes: a secret, and a delivery that is right under it. */
interface Vector {
  readonly vendor: string;
  /** Where it is published. */
  readonly source: string;
  readonly secret: string;
  readonly sent: Sent;
  readonly certificate?: string;
  /** A body that it does not prove; by default the same one and a space. */
  readonly forged?: string;
}

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const JSON_TYPE = { 'Content-Type': 'application/json' };

const standardWebhooks = (vendor: string, prefix: string, source: string): Vector => ({
  vendor,
  source,
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  sent: {
    headers: {
      [`${prefix}-id`]: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      [`${prefix}-timestamp`]: '1614265330',
      [`${prefix}-signature`]: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    },
    body: '{"test": 2432232314}',
    at: 1614265330,
  },
});

/** All under the token `12345`. */
const twilio = (source: string, url: string, signature: string, sent: Pick<Sent, 'headers' | 'body'>): Vector => ({
  ...{ vendor: 'twilio', source, secret: '12345' },
  sent: { ...sent, url, headers: { 'X-Twilio-Signature': signature, ...sent.headers } },
});

const paddle = (source: string, body: string, signatures: string): Vector => ({
  ...{ vendor: 'paddle', source, secret: 'VALID_SECRET' },
  sent: { headers: { 'Paddle-Signature': `ts=1698796800;${signatures}` }, body, at: 1698796800 },
});

const square = (source: string, of: { key: string; url: string; body: string; signature: string }): Vector => ({
  ...{ vendor: 'square', source, secret: of.key },
  sent: { headers: { 'x-square-hmacsha256-signature': of.signature }, url: of.url, body: of.body },
});

const TWILIO_URL = 'https://mycompany.com/myapp.php?foo=1&bar=2';
const TWILIO_SDK = 'twilio-node, spec/validation.spec.js';
const TWILIO_FORM = 'CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212';
/** Its address under a scheme, as it was sent with a port. */
const twilioAt = (protocol: string, port = '') => `${protocol}://mycompany.com${port}/myapp.php?foo=1&bar=2`;
const BODY_SHA = '0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620';
const PADDLE_HASH = '28981e941fae76e53db32f3d2a83cb69db41476595e84e1970a1b5d98f62b261';

/** Its tests tell what is signed, not how it lies in the body. */
const mailgunBody = (token: string): string =>
  JSON.stringify({
    signature: {
      ...{ timestamp: '1403645220', token },
      signature: '9cfc5c41582e51246e73c88d34db3af0a3a2692a76fbab81492842f000256d33',
    },
  });

/** The file event_test_signature.json of its tests. */
const STRIPE_EVENT = {
  ...{ id: 'evt_123', object: 'event', account: 'acct_123', api_version: '2017-05-25', created: 1533204620 },
  data: {
    object: {
      ...{ id: 'cus_123', object: 'customer', created: 123456789, email: 'test@stripe.com', livemode: false },
      metadata: {},
    },
  },
  ...{ livemode: false, pending_webhooks: 1 },
  request: { id: 'req_123', idempotency_key: 'idempotency-key-123' },
  type: 'customer.created',
};

const vectors: readonly Vector[] = [
  {
    vendor: 'stripe',
    source: 'stripe-dotnet, EventUtilityTest.cs',
    secret: 'webhook_secret',
    sent: {
      headers: {
        'Stripe-Signature':
          't=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7,v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef',
      },
      body: `${JSON.stringify(STRIPE_EVENT, null, 2)}\n`,
      at: 1533204620,
    },
  },
  {
    vendor: 'github',
    source: 'docs.github.com, Validating webhook deliveries',
    secret: "It's a Secret to Everybody",
    sent: {
      headers: { 'X-Hub-Signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' },
      body: 'Hello, World!',
    },
  },
  {
    vendor: 'shopify',
    source: 'shopify-app-js, packages/apps/shopify-api/lib/webhooks/__tests__/validate.test.ts',
    secret: 'test_secret_key',
    sent: {
      headers: { 'X-Shopify-Hmac-Sha256': 'B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=' },
      body: '{"foo": "bar"}',
    },
  },
  {
    vendor: 'slack',
    source: 'docs.slack.dev, Verifying requests from Slack',
    secret: '8f742231b10e8888abcd99yyyzzz85a5',
    sent: {
      headers: {
        'X-Slack-Signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
        'X-Slack-Request-Timestamp': '1531420618',
      },
      body: 'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c',
      at: 1531420618,
    },
  },
  standardWebhooks('standard_webhooks', 'webhook', 'standard-webhooks, its libraries'),
  standardWebhooks('gitlab_signed', 'webhook', 'standard-webhooks, its libraries'),
  standardWebhooks('svix', 'svix', 'svix-webhooks, its libraries'),
  twilio('twilio.com/docs, Webhooks security', TWILIO_URL, 'GvWf1cFY/Q7PnoempGyD5oXAezc=', {
    headers: FORM,
    body: 'Digits=1234&To=%2B18005551212&From=%2B14158675310&Caller=%2B14158675310&CallSid=CA1234567890ABCDE',
  }),
  twilio(`${TWILIO_SDK}: a form`, TWILIO_URL, 'RSOYDt4T1cUTdK1PDd93/VVr8B8=', {
    headers: FORM,
    body: TWILIO_FORM,
  }),
  ...(
    [
      ['https, signed without its port', twilioAt('https', ':1234'), 'RSOYDt4T1cUTdK1PDd93/VVr8B8='],
      ['http, signed with its port', twilioAt('http', ':1234'), 'Zmvh+3yNM1Phv2jhDCwEM3q5ebU='],
      ['https, signed with port 443', twilioAt('https'), 'kvajT1Ptam85bY51eRf/AJRuM3w='],
      ['http, signed with port 80', twilioAt('http'), '0ZXoZLH/DfblKGATFgpif+LLRf4='],
    ] as const
  ).map(([what, url, signature]) =>
    twilio(`${TWILIO_SDK}: ${what}`, url, signature, { headers: FORM, body: TWILIO_FORM }),
  ),
  twilio(
    `${TWILIO_SDK}: JSON by its digest in the address`,
    `${TWILIO_URL}&bodySHA256=${BODY_SHA}`,
    'a9nBmqA0ju/hNViExpshrM61xv4=',
    { headers: JSON_TYPE, body: '{"property": "value", "boolean": true}' },
  ),
  twilio(
    `${TWILIO_SDK}: nothing else in the address`,
    `https://mycompany.com/myapp.php?bodySHA256=${BODY_SHA}`,
    'y77kIzt2vzLz71DgmJGsen2scGs=',
    { headers: JSON_TYPE, body: '{"property": "value", "boolean": true}' },
  ),
  square('square SDKs, their tests of the webhooks helper', {
    key: 'Ibxx_5AKakO-3qeNVR61Dw',
    url: 'https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9',
    body: '{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification","event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z","data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}',
    signature: 'GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4=',
  }),
  square('square SDKs: characters that are not escaped', {
    key: 'signature-key',
    url: 'https://webhook.site/webhooks',
    body: '{"data":{"type":"webhooks","id":">id<"}}',
    signature: 'Cxt7+aTi4rKgcA0bC4g9EHdVtLSDWdqccmL5MvihU4U=',
  }),
  paddle(
    'paddle-node-sdk, webhooks-validator.node.test.ts',
    '{"data": ["1", "2"]}',
    'h1=a300428748dce5c70e4da19bffd60769591ea969c99dea3105d0ec9612cf43f9',
  ),
  paddle(
    'paddle-node-sdk: several signatures',
    '{"data": "value"}',
    `h1=${PADDLE_HASH};h1=${PADDLE_HASH};h2=RANDOM_HASH`,
  ),
  {
    vendor: 'sendgrid',
    source: 'sendgrid-nodejs, packages/eventwebhook/src/eventwebhook.spec.js',
    secret:
      'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==',
    sent: {
      headers: {
        'X-Twilio-Email-Event-Webhook-Signature':
          'MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0=',
        'X-Twilio-Email-Event-Webhook-Timestamp': '1588788367',
      },
      body: '{"category":"example_payload","event":"test_event","message_id":"message_id"}',
      at: 1588788367,
    },
  },
  {
    vendor: 'hubspot',
    source: 'hubspot-api-ruby, spec/helpers/signature_spec.rb',
    secret: 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy',
    sent: {
      headers: {
        'X-HubSpot-Signature-v3': 'HPW73RUtKmcYoEDADG0s6MmGFWUzWJKAW07r8RDgcQw=',
        'X-HubSpot-Request-Timestamp': '15000000',
      },
      url: 'https://www.example.com/webhook_uri',
      body: "{'example_field':'example_value'}",
      at: 15_000,
    },
  },
  {
    vendor: 'mailgun',
    source: 'mailgun-php, tests/Api/WebhookTest.php',
    secret: 'key-3ax6xnjp29jd6fds4gc373sgvjxteol0',
    sent: {
      headers: {},
      body: mailgunBody('5egbgr1vjgqxtrnp65xfznchgdccwh5d6i09vijqi3whgowmn6'),
      at: 1403645220,
    },
    forged: mailgunBody('owyldpe6nxhmrn78epljl6bj0orrki1u3d2v5e6cnlmmuox8jr'),
  },
  {
    vendor: 'paypal',
    source: 'PayPal-Java-SDK, ValidateCertTest.java and clientCertTest.crt',
    ...paypalDelivery,
  },
];

/** A key of the same kind, and another one. */
const others: Readonly<Record<string, string>> = {
  sendgrid:
    'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDutdhXSJCWHw8REntlo7aNDthvj+y7GjUuFDb/R1NGe1OPzpA==',
};

describe('a delivery that its vendor publishes', () => {
  it.each(vectors.map((vector) => [vector.vendor, vector.source, vector] as const))(
    '%s (%s)',
    (vendor, _, { secret, sent, certificate, forged = `${sent.body} ` }) => {
      expect(verdict(vendor, secret, sent, certificate)).toMatchObject({ valid: true });
      const other = others[vendor] ?? `${secret}AQID`;
      expect(verdict(vendor, other, sent, certificate)).toMatchObject({ valid: false });
      expect(verdict(vendor, secret, { ...sent, body: forged }, certificate)).toMatchObject({ valid: false });
    },
  );
});
