import { DELIVERY_DATA, DELIVERY_REASONS, DELIVERY_REFUSALS } from '@planasonix/core';

type Json = Record<string, unknown>;

export const DELIVERY_TAG = 'Deliveries';
/** By their names under `#/components/schemas`. */
export const DELIVERY_SCHEMAS: Json = { DeliveryData: DELIVERY_DATA };

const RETRY_AFTER = { 'Retry-After': { description: 'Seconds.', schema: { type: 'integer', minimum: 1 } } };
const ALLOW = { Allow: { schema: { const: 'POST' } } };

/**
 * The door of webhooks, which is no route of the gateway: another app answers there, at another base.
 * @param base of the addresses that users are shown.
 */
export const doorPaths = (base: string): Json => ({
  '/ingest/{token}': {
    servers: [{ url: base, description: 'Where deliveries go: INGEST_URL of this installation.' }],
    post: {
      operationId: 'deliver',
      tags: [DELIVERY_TAG],
      summary: 'Deliver to a webhook stream',
      description: [
        'The `ingest_url` of a stream. 200 is said once the delivery is durable in the log of its pipeline; until then a sender should send it again. How it proves who it is `config.auth` of the stream says; the address is no credential.',
        'With 429 and 503 `Retry-After` says when to come again. Every 401 has one body, whatever the reason, and a stream that does not run answers 404 without a proof: why a delivery was refused, and what to do, is in `GET /api/streams/{id}/deliveries`.',
        'What a delivery becomes in the log is `DeliveryData` below, in an event of type `com.planasonix.webhook.received`.',
      ].join('\n\n'),
      security: [],
      parameters: [
        {
          ...{ name: 'token', in: 'path', required: true, schema: { type: 'string' } },
          description: 'Of the stream; `POST /api/streams/{id}/rotate-ingest-url` makes a new one.',
        },
        {
          ...{ name: 'Content-Encoding', in: 'header', schema: { enum: ['gzip', 'deflate', 'br'] } },
          description: 'Signatures cover the body as it is sent; it is inflated after that.',
        },
      ],
      requestBody: {
        description: 'Any bytes, `max_body_bytes` of the stream at the most, as sent and inflated; within 15 s.',
        content: { '*/*': {} },
      },
      responses: { ...TAKEN, ...refusals(), 431: { description: 'The headers are larger than 32 kB. No body.' } },
    },
  },
});

const TAKEN: Json = {
  200: {
    description:
      'Durable in the log. With `backpressure` `shed` a delivery that found no room is answered the same, and counted in `dropped_events`. A handshake (a challenge of Slack or Zoom, a ping of Discord) is answered with what its sender asks for, and is no event.',
    content: {
      'application/json': {
        schema: {
          anyOf: [
            {
              type: 'object',
              required: ['received', 'id'],
              additionalProperties: false,
              properties: {
                received: { const: true },
                id: {
                  type: 'string',
                  description: 'Of the event; with `expand_array` of the delivery, whose parts are `id/0` ….',
                },
                duplicate: { const: true, description: 'It was taken in before, under this id.' },
                events: { type: 'integer', minimum: 0, description: 'With `expand_array`: of how many parts it is.' },
              },
            },
            { type: 'object', description: 'The answer to a handshake.' },
          ],
        },
        example: { received: true, id: 'str_01j9k9z0a1b2c3d4e5f6g7h8j9/evt_1' },
      },
    },
  },
  204: { description: 'The answer to a ping of Discord’s webhook events.' },
};

/** One answer per status, which names the codes that it can carry. */
function refusals(): Json {
  const all = Object.entries(DELIVERY_REFUSALS);
  const statuses = [...new Set(all.map(([, { status }]) => status))];
  return Object.fromEntries(
    statuses.map((status) => {
      const of = all.filter(([, one]) => one.status === status);
      const headers = status === 429 || status === 503 ? RETRY_AFTER : status === 405 ? ALLOW : null;
      return [
        status,
        {
          description: of.map(([code, { message }]) => `\`${code}\`: ${message}`).join(' '),
          ...(headers === null ? {} : { headers }),
          content: { 'application/json': { schema: refusalSchema(of.map(([code]) => code)) } },
        },
      ];
    }),
  );
}

const refusalSchema = (codes: readonly string[]): Json => ({
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: { code: { enum: codes }, message: { type: 'string' } },
    },
  },
});

/** For the description of the document. */
export const deliveryReasons = (): string =>
  [
    '## Reasons of deliveries',
    '`reason` in `GET …/streams/{id}/deliveries`. The codes of streams above stand there too, where the log could not store a delivery. A sender is told none of them.',
    [
      '| reason | what to do |',
      '|---|---|',
      ...Object.entries(DELIVERY_REASONS).map(([reason, hint]) => `| \`${reason}\` | ${hint.replaceAll('|', '\\|')} |`),
    ].join('\n'),
  ].join('\n\n');
