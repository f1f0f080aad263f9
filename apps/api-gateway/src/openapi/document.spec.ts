import { DELIVERY_REASONS, DELIVERY_REFUSALS } from '@planasonix/core';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { API_ERRORS } from '../contract/error-table.js';
import { allRoutes } from '../contract/route.js';
import { GatewayModule } from '../gateway.module.js';
import { openApi } from './document.js';

void GatewayModule;
type Json = Record<string, unknown>;
const source = {
  type: 'demo_cdc',
  config_schema: {
    type: 'object',
    properties: { tables: { $ref: '#/$defs/tables' } },
    $defs: { tables: { type: 'array' } },
  },
};
const document = openApi(allRoutes(), [source], 'https://hooks.example/base');
const { '/ingest/{token}': door, ...paths } = document['paths'] as Record<string, Record<string, Json>>;
const operations = Object.entries(paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, of]) => ({ path, method, of })),
);

describe('the OpenAPI document', () => {
  it('has an operation for every route, each with an id of its own', () => {
    expect(document['openapi']).toBe('3.1.0');
    expect(operations).toHaveLength(allRoutes().length);
    expect(new Set(operations.map(({ of }) => of['operationId'])).size).toBe(operations.length);
  });

  it.each(['invalid_transition', 'topic_missing', 'log_not_durable'])('says what the code %s means', (code) => {
    const { description } = document['info'] as { description: string };
    expect(description).toMatch(new RegExp(`^\\| \`${code}\` \\| .*\\w{4}`, 'm'));
  });

  it('every schema in it compiles', () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema({ $id: 'doc', ...document });
    for (const { path, method, of } of operations) {
      const answers = of['responses'] as Record<string, { content: Record<string, unknown> }>;
      for (const status of Object.keys(answers)) {
        const at = `doc#/paths/${path.replaceAll('/', '~1')}/${method}/responses/${status}/content/application~1json/schema`;
        expect(ajv.getSchema(encodeURI(at))).toBeDefined();
      }
      if (of['requestBody'])
        expect(
          ajv.getSchema(
            encodeURI(
              `doc#/paths/${path.replaceAll('/', '~1')}/${method}/requestBody/content/application~1json/schema`,
            ),
          ),
        ).toBeDefined();
    }
  });

  it('every operation has its parameters, and the answers that any route may give', () => {
    for (const { path, of } of operations) {
      const named = (of['parameters'] as { name: string; in: string }[])
        .filter((one) => one.in === 'path')
        .map((one) => one.name);
      expect(named).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1]));
      expect(Object.keys(of['responses'] as object)).toEqual(
        expect.arrayContaining(['400', '404', '405', '429', '500', '503']),
      );
    }
  });

  it('the table of error codes is in it, from the one table in the code', () => {
    const { description } = document['info'] as { description: string };
    for (const code of Object.keys(API_ERRORS)) expect(description).toContain(`| \`${code}\` |`);
  });

  describe('the door of webhooks', () => {
    const { servers, post } = door as unknown as { servers: Json[]; post: Json & { responses: Record<string, Json> } };
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const bodies = (status: number) => {
      const content = post.responses[status]!['content'] as Record<string, { schema: Json }>;
      return ajv.compile(content['application/json']!.schema);
    };

    it('is at a base of its own, and asks for no key', () => {
      expect(servers).toEqual([{ url: 'https://hooks.example/base', description: expect.any(String) }]);
      expect([post['security'], operations.map(({ of }) => of['operationId'])]).toEqual([
        [],
        expect.not.arrayContaining([post['operationId']]),
      ]);
    });

    it.each(Object.entries(DELIVERY_REFUSALS))('tells of %s under its status', (code, { status, message }) => {
      const told = post.responses[status]!;
      expect(told['description']).toContain(`\`${code}\`: ${message}`);
      expect(bodies(status)({ error: { code, message } })).toBe(true);
      expect(bodies(status)({ error: { code: 'nope', message } })).toBe(false);
      const after = (told['headers'] as Json | undefined)?.['Retry-After'] !== undefined;
      expect(after).toBe(status === 429 || status === 503);
    });

    it('tells what is said of a delivery that was taken in, of a repeat and of parts', () => {
      const taken = { received: true, id: 'str_x/e' };
      for (const body of [taken, { ...taken, duplicate: true }, { ...taken, events: 0, duplicate: true }])
        expect(bodies(200)(body)).toBe(true);
      expect(bodies(200)('yes')).toBe(false);
    });

    it('every reason stands in the table with what to do', () => {
      const { description } = document['info'] as { description: string };
      for (const [reason, hint] of Object.entries(DELIVERY_REASONS))
        expect(description).toContain(`| \`${reason}\` | ${hint} |`);
    });

    it('the data of its events is there', () => {
      const { DeliveryData } = (document['components'] as { schemas: Record<string, Json> }).schemas;
      expect(Object.keys(DeliveryData!['properties'] as Json)).toEqual(DeliveryData!['required']);
    });
  });

  it('announced configs stand in the body of a create; nothing of how it is made leaks', () => {
    const text = JSON.stringify(document);
    expect(text).toContain('"$ref":"#/components/schemas/Config_demo_cdc"');
    expect(text).not.toContain('x-stream-config');
    expect(text).not.toContain('"override"');
  });
});
