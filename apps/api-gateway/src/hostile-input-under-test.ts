/** Requests of which one thing is hostile and all else is right, with what the answer says of that thing. */
import type { Answer, UnderTest } from './gateway-under-test.js';

/** What is there, and stays as it is. */
export interface Victims {
  readonly pipelineId: string;
  readonly connectionId: string;
  readonly streamId: string;
}

/** All that an answer shows of them. */
export const shown = async (api: UnderTest['api'], { streamId, connectionId, pipelineId }: Victims) => [
  (await api('GET', `/api/streams/${streamId}`)).json,
  (await api('GET', `/api/connections/${connectionId}`)).json,
  (await api('GET', `/api/pipelines/${pipelineId}`)).json,
  (await api('GET', '/api/streams')).json.data.length,
];

type Ask = (api: UnderTest['api'], of: Victims) => Promise<Answer>;
export type Hostile = readonly [what: string, code: string, field: string, issue: string, ask: Ask];

/** A config as text, with `more` as it stands in it. */
const config = (more: string): string =>
  `{${more.startsWith(',"tables"') ? more.slice(1) : `"tables":["public.t"]${more}`}}`;

/** A stream as text, with `more` as it stands in its config. */
const body = ({ pipelineId, connectionId }: Victims, more: string, name = '"s"'): string =>
  `{"name":${name},"sourceType":"postgres_cdc","pipelineId":"${pipelineId}","connectionId":"${connectionId}","config":${config(more)}}`;

const nested = (levels: number): string => '{"a":'.repeat(levels) + '1' + '}'.repeat(levels);

/** In a whole and otherwise valid body of a create, and of a change. */
const inBodies: readonly Hostile[] = (
  [
    ['a key named __proto__', ',"__proto__":{"a":1}', 'config', 'must not have a key named __proto__'],
    ['a key named __proto__, escaped', ',"\\u005f_proto__":{"a":1}', 'config', 'must not have a key named __proto__'],
    [
      'a key named constructor',
      ',"signing":{"constructor":{"prototype":{}}}',
      'config.signing',
      'must not have a key named constructor',
    ],
    ['a key twice', ',"slot_name":"a","slot_name":"b"', 'config.slot_name', 'is given more than once'],
    [
      'a key twice, once escaped',
      ',"slot_name":"a","slot\\u005fname":"b"',
      'config.slot_name',
      'is given more than once',
    ],
    ['a lone surrogate', ',"slot_name":"a\\ud800"', 'config.slot_name', 'must not contain lone surrogates'],
    ['a lone surrogate in a key', ',"\\udfff":1', 'config', 'must not contain lone surrogates'],
    ['NUL', ',"slot_name":"a\\u0000"', 'config.slot_name', 'must not contain NUL'],
    ['deep nesting', `,"signing":${nested(31)}`, 'config.signing.a', 'must not be nested over 32 levels deep'],
    ['very deep nesting', `,"signing":${nested(5000)}`, 'config.signing.a', 'must not be nested over 32 levels deep'],
    ['a number beyond doubles', ',"slot_name":1e999', 'config.slot_name', 'must be a number that a double can hold'],
    [
      'injection in a slot name (trap 16)',
      `,"slot_name":"a\\" LOGICAL pgoutput"`,
      'config.slot_name',
      'is not in the documented form',
    ],
    [
      'injection in a publication name (trap 16)',
      `,"publication":"p', messages 'true"`,
      'config.publication',
      'is not in the documented form',
    ],
    [
      'SQL in a publication name (trap 16)',
      `,"publication":"p\\"; DROP TABLE t; --"`,
      'config.publication',
      'is not in the documented form',
    ],
    [
      'injection in the name of a table (trap 16)',
      `,"tables":["public.t; DROP TABLE t"]`,
      'config.tables.0',
      'is not in the documented form',
    ],
    [
      'injection in the second of two tables (trap 16)',
      `,"tables":["public.t","public.\\"u\\"; --"]`,
      'config.tables.1',
      'is not in the documented form',
    ],
  ] as const
).flatMap(([what, more, field, issue]): Hostile[] => [
  [`create: ${what}`, 'invalid_request', field, issue, (api, of) => api('POST', '/api/streams', body(of, more))],
  [
    `change: ${what}`,
    'invalid_request',
    field,
    issue,
    (api, of) => api('PATCH', `/api/streams/${of.streamId}`, `{"config":${config(more)}}`),
  ],
]);

const replaced = (api: UnderTest['api'], of: Victims, config: string, more = ''): Promise<Answer> =>
  api('PUT', `/api/connections/${of.connectionId}`, `{"name":"c","type":"postgres","config":{${config}}${more}}`);
const PLACE = '"host":"127.0.0.1","port":1,"database":"d","user":"u","password":"p"';

const inChanges: readonly Hostile[] = [
  [
    'change: a surrogate as name',
    'invalid_request',
    'name',
    'must not contain lone surrogates',
    (api, of) => api('PATCH', `/api/streams/${of.streamId}`, '{"name":"\\ud800"}'),
  ],
  [
    'change: nothing',
    'invalid_request',
    '',
    'must have name or config',
    (api, of) => api('PATCH', `/api/streams/${of.streamId}`, {}),
  ],
  [
    'change: another pipeline',
    'invalid_request',
    'pipeline_id',
    'is not a known key',
    (api, of) => api('PATCH', `/api/streams/${of.streamId}`, { pipelineId: of.pipelineId }),
  ],
  [
    'change: a config that is a list',
    'invalid_request',
    'config',
    'must be an object',
    (api, of) => api('PATCH', `/api/streams/${of.streamId}`, { config: [] }),
  ],
  [
    'change: no tables any more',
    'invalid_request',
    'config.tables',
    'is required',
    (api, of) => api('PATCH', `/api/streams/${of.streamId}`, { config: { tables: null } }),
  ],
  [
    'replace: a key named __proto__',
    'invalid_request',
    'config',
    'must not have a key named __proto__',
    (api, of) => replaced(api, of, `${PLACE},"__proto__":{"host":"x"}`),
  ],
  [
    'replace: a key named prototype beside the config',
    'invalid_request',
    '',
    'must not have a key named prototype',
    (api, of) => replaced(api, of, PLACE, ',"prototype":{}'),
  ],
  [
    'replace: a number beyond doubles',
    'invalid_request',
    'config.port',
    'must be a number that a double can hold',
    (api, of) => replaced(api, of, '"host":"127.0.0.1","port":1e999,"database":"d","user":"u"'),
  ],
  [
    'replace: NUL in a host',
    'invalid_request',
    'config.host',
    'must not contain NUL',
    (api, of) => replaced(api, of, PLACE.replace('127.0.0.1', '127.0.0.1\\u0000.evil')),
  ],
  [
    'replace: a pipeline by a name that is blank',
    'invalid_request',
    'name',
    'must not be blank',
    (api, of) => api('PUT', `/api/pipelines/${of.pipelineId}`, { name: ' \u00a0' }),
  ],
  [
    'replace: deep nesting in an output',
    'invalid_request',
    'output.type.a',
    'must not be nested over 32 levels deep',
    (api, of) => api('PUT', `/api/pipelines/${of.pipelineId}`, `{"name":"p","output":{"type":${nested(40)}}}`),
  ],
];

const twice: readonly Hostile[] = (
  [
    ['GET', () => '/api/streams', 'limit', '1'],
    ['GET', () => '/api/pipelines', 'cursor', 'abc'],
    ['GET', () => '/api/streams', 'status', 'running'],
    ['GET', ({ streamId }) => `/api/streams/${streamId}/metrics`, 'window', '5m'],
    ['GET', ({ streamId }) => `/api/streams/${streamId}/events`, 'after', '1-1'],
    ['DELETE', ({ streamId }) => `/api/streams/${streamId}`, 'force', 'true'],
    ['DELETE', ({ streamId }) => `/api/streams/${streamId}`, 'purge', 'true'],
  ] as readonly (readonly [string, (of: Victims) => string, string, string])[]
).flatMap(([method, path, name, value]): Hostile[] =>
  [`${name}=${value}&${name}=${value}`, `${name}=${value}&%${name.charCodeAt(0).toString(16)}${name.slice(1)}=`].map(
    (query) => [
      `${method} ?${query}`,
      'invalid_request',
      name,
      'is given more than once',
      (api, of) => api(method, `${path(of)}?${query}`),
    ],
  ),
);

export const HOSTILE: readonly Hostile[] = [...inBodies, ...inChanges, ...twice];
