import { LOG_FINDINGS, STREAM_ERRORS } from '@planasonix/core';
import { z } from 'zod';
import { API_ERRORS, type ApiErrorCode } from '../contract/error-table.js';
import { TAGS, type RouteSpec } from '../contract/route.js';
import { isObject } from '../input/casing.js';
import { jsonSchema } from '../input/validate.js';
import { DELIVERY_SCHEMAS, DELIVERY_TAG, deliveryReasons, doorPaths } from './door.js';

type Json = Record<string, unknown>;

/** An announced source type, as far as the document shows it. */
export interface DescribedSource {
  readonly type: string;
  readonly config_schema: Readonly<Json>;
}

/** What any route may answer, beside its own codes. */
const EVERYWHERE: readonly ApiErrorCode[] = [
  'invalid_url',
  'invalid_request',
  'not_found',
  'method_not_allowed',
  'rate_limited',
  'internal',
  'store_unavailable',
];
const WITH_KEY: readonly ApiErrorCode[] = ['unauthorized', 'forbidden'];
const WITH_BODY: readonly ApiErrorCode[] = ['invalid_json', 'payload_too_large', 'unsupported_media_type'];

const LIMIT_HEADERS = {
  'X-RateLimit-Limit': { description: 'Requests per minute.', schema: { type: 'integer' } },
  'X-RateLimit-Remaining': { description: 'Left in this window.', schema: { type: 'integer' } },
  'X-RateLimit-Reset': { description: 'Unix seconds when the window ends.', schema: { type: 'integer' } },
  'X-Request-Id': { description: 'Echoed or made; it stands in every log line.', schema: { type: 'string' } },
} as const;

const errorSchema = z.object({
  error: z.object({
    code: z.string().meta({ description: 'From the table of error codes.' }),
    message: z.string(),
    details: z.array(
      z.object({ field: z.string().meta({ description: 'Dotted path in snake_case.' }), issue: z.string() }),
    ),
    hint: z.string().optional().meta({ description: 'What to do, where that is known.' }),
    request_id: z.string(),
  }),
});

/**
 * The OpenAPI 3.1 document, from the same schemas that validate and the same tables that errors are made of.
 * @param ingestBase of the addresses that deliveries go to
 */
export function openApi(routes: readonly RouteSpec[], sources: readonly DescribedSource[], ingestBase: string): Json {
  const configs = Object.fromEntries(
    sources.map((source) => [`Config_${source.type.replace(/[^A-Za-z0-9._-]/g, '_')}`, standalone(source)]),
  );
  const paths: Record<string, Json> = {};
  for (const route of routes)
    (paths[`/api${route.path}`] ??= {})[route.method.toLowerCase()] = operation(route, Object.keys(configs));
  return {
    openapi: '3.1.0',
    info: { title: 'Planasonix Streams', version: '1.0.0', description: description() },
    servers: [
      { url: '/', description: 'This gateway.' },
      { url: '/v1', description: 'The same under a versioned base path.' },
    ],
    tags: [...TAGS, DELIVERY_TAG].map((name) => ({ name })),
    security: [{ bearer: [] }, { legacyHeader: [] }],
    paths: { ...paths, ...doorPaths(ingestBase) },
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'plnx_live_…' },
        legacyHeader: { type: 'apiKey', in: 'header', name: 'X-Planasonix-Api-Key' },
      },
      schemas: { Error: jsonSchema(errorSchema, 'output'), ...DELIVERY_SCHEMAS, ...configs },
    },
  };
}

function operation(route: RouteSpec, configs: readonly string[]): Json {
  const codes = [
    ...EVERYWHERE,
    ...(route.scope === 'public' ? [] : WITH_KEY),
    ...(route.body ? WITH_BODY : []),
    ...(route.creates ? (['limits_unavailable'] as const) : []),
    ...(route.method === 'POST' ? (['idempotency_conflict', 'idempotency_in_progress'] as const) : []),
    ...(route.errors ?? []),
  ];
  return {
    operationId: route.id,
    tags: [route.tag],
    summary: route.summary,
    description: [route.description, scopeText(route)].filter(Boolean).join('\n\n'),
    ...(route.scope === 'public' ? { security: [] } : {}),
    parameters: [...parameters('path', route.params), ...parameters('query', route.query), ...headers(route)],
    ...(route.body
      ? {
          requestBody: {
            required: !route.bodyOptional,
            description: 'Keys are taken in camelCase and snake_case.',
            content: {
              'application/json': {
                schema: withConfigs(jsonSchema(route.body), configs),
                ...example(route.bodyExample),
              },
            },
          },
        }
      : {}),
    responses: {
      [route.status]: {
        description: route.answerDescription,
        headers: LIMIT_HEADERS,
        content: {
          'application/json': { schema: jsonSchema(route.answer, 'output'), ...example(route.answerExample) },
          ...(route.alsoAnswers ? { [route.alsoAnswers]: { schema: { type: 'string' } } } : {}),
        },
      },
      ...errorAnswers(codes),
    },
  };
}

const example = (value: unknown): Json => (value === undefined ? {} : { example: value });

const scopeText = ({ scope }: RouteSpec): string =>
  scope === 'public'
    ? 'No key needed.'
    : scope === 'first'
      ? 'Only with the first key of the installation.'
      : `Scope: \`${scope}\`.`;

function parameters(place: 'path' | 'query', schema: z.ZodObject | undefined): Json[] {
  if (schema === undefined) return [];
  const json = jsonSchema(schema);
  const required = (json['required'] as string[] | undefined) ?? [];
  return Object.entries(json['properties'] as Record<string, Json>).map(([name, { description: text, ...of }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(text === undefined ? {} : { description: text }),
    schema: of,
  }));
}

const headers = (route: RouteSpec): Json[] =>
  route.method === 'POST'
    ? [
        {
          name: 'Idempotency-Key',
          in: 'header',
          required: false,
          description:
            'The same key and body within 24 h give the stored answer; another body is 409. Only successes are kept: after an error the key is free.',
          schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]+$' },
        },
      ]
    : [];

/** One answer per status, which names the codes it can carry. */
function errorAnswers(codes: readonly ApiErrorCode[]): Json {
  const byStatus = new Map<number, ApiErrorCode[]>();
  for (const code of new Set(codes))
    byStatus.set(API_ERRORS[code].status, [...(byStatus.get(API_ERRORS[code].status) ?? []), code]);
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      {
        description: of.map((code) => `\`${code}\`: ${API_ERRORS[code].message}`).join(' '),
        headers: {
          ...LIMIT_HEADERS,
          ...(status === 429 || status === 503
            ? { 'Retry-After': { schema: { type: 'integer' }, description: 'Seconds.' } }
            : {}),
        },
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    ]),
  );
}

/** The `config` of a stream's body is one of the announced ones; a patch gives parts of one. */
function withConfigs(schema: Json, configs: readonly string[]): Json {
  const properties = schema['properties'];
  if (!isObject(properties) || !isObject(properties['config']) || !('x-stream-config' in properties['config']))
    return schema;
  const { 'x-stream-config': whole, description: text, ...open } = properties['config'];
  const config =
    whole === 'whole' && configs.length > 0
      ? { description: text, anyOf: configs.map((name) => ({ $ref: `#/components/schemas/${name}` })) }
      : { description: text, ...open };
  return { ...schema, properties: { ...properties, config } };
}

/** References within an announced schema go on pointing into it: it becomes a resource of its own. */
function standalone({ type, config_schema }: DescribedSource): Json {
  const { $schema: _, $id: __, ...schema } = config_schema;
  const own = JSON.stringify(schema).includes('"$ref":"#');
  return { title: `Config of ${type}`, ...(own ? { $id: `urn:planasonix:config:${type}` } : {}), ...schema };
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

function description(): string {
  return [
    'Streaming ingestion and change data capture: streams, connections, pipelines, keys.',
    'Every route answers under `/api` and, the same, under `/v1/api`. Times are RFC 3339 in UTC. Request bodies take camelCase and snake_case; unknown keys are refused.',
    '## Error codes',
    'Every failure is `{"error":{"code","message","details","hint","request_id"}}`.',
    [
      '| code | status | when | what to do |',
      '|---|---|---|---|',
      ...Object.entries(API_ERRORS).map(
        ([code, of]: [string, { status: number; message: string; hint?: string }]) =>
          `| \`${code}\` | ${of.status} | ${cell(of.message)} | ${cell(of.hint ?? '')} |`,
      ),
    ].join('\n'),
    '## Stream errors',
    '`last_error.code` of a stream. `retry`: it stays running and tries again; `fatal`: it is in `error`; `lost`: in `error`, and a start has to say `onLostPosition`.',
    [
      '| code | becomes | what to do |',
      '|---|---|---|',
      ...Object.entries(STREAM_ERRORS).map(([code, of]) => `| \`${code}\` | ${of.recourse} | ${cell(of.hint)} |`),
    ].join('\n'),
    deliveryReasons(),
    '## Findings about a log',
    'Of `POST …/check`, beside the codes above: they stop no stream, and `fix` is what mends it.',
    [
      '| code | what is so |',
      '|---|---|',
      ...Object.entries(LOG_FINDINGS).map(([code, of]) => `| \`${code}\` | ${cell(of)} |`),
    ].join('\n'),
  ].join('\n\n');
}
