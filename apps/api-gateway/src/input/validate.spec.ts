import fc from 'fast-check';
import { z } from 'zod';
import { ApiError } from '../contract/api-error.js';
import { allRoutes } from '../contract/route.js';
import { flag, limit } from '../contract/fields.js';
import { GatewayModule } from '../gateway.module.js';
import { jsonSchema, validator } from './validate.js';

void GatewayModule;

const refused = (schema: z.ZodType, value: unknown) => {
  try {
    validator(schema).parse(value);
  } catch (error) {
    if (error instanceof ApiError) return { details: error.details, hint: error.hint };
    throw error;
  }
  return 'taken';
};

describe('validation', () => {
  const body = z.strictObject({
    pipelineId: z.string().max(5),
    count: z.int().min(1).optional(),
    kind: z.enum(['a', 'b']).optional(),
  });

  it('says for each field what is wrong, in snake_case and without the value', () => {
    expect(refused(body, { pipeline_id: 'secret-value', count: 0, kind: 'secret' })).toEqual({
      details: [
        { field: 'pipeline_id', issue: 'must be at most 5 characters long' },
        { field: 'count', issue: 'must be at least 1' },
        { field: 'kind', issue: 'must be one of a, b' },
      ],
      hint: null,
    });
    expect(refused(body, { pipelineId: 5 })).toEqual({
      details: [{ field: 'pipeline_id', issue: 'must be a string' }],
      hint: null,
    });
  });

  it('at most twenty things are told, however many are wrong', () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, 1]));
    expect((refused(body, many) as unknown as { details: unknown[] }).details).toHaveLength(20);
  });

  it('limits are whole numbers written as such', () => {
    const query = z.strictObject({ limit, force: flag('x') });
    expect(validator(query).parse({})).toEqual({ limit: 50, force: false });
    expect(validator(query).parse({ limit: '100', force: 'true' })).toEqual({ limit: 100, force: true });
    for (const text of ['0', '101', '1e2', '-1', '1.0', '', ' 5', '0x5', 'NaN'])
      expect(refused(query, { limit: text })).not.toBe('taken');
  });

  it('the document shows them as what they mean', () => {
    expect(jsonSchema(z.strictObject({ limit, force: flag('x') }))).toMatchObject({
      properties: {
        limit: { type: 'integer', minimum: 1, maximum: 100, default: 50 },
        force: { type: 'boolean', default: false, description: 'x' },
      },
    });
  });

  it('no route takes a hostile body with another error than a 4xx', () => {
    const hostile = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(
        fc.constantFrom(
          'name',
          'config',
          'sourceType',
          'source_type',
          'type',
          'output',
          'scopes',
          'expiresAt',
          'toString',
          'x',
        ),
        fc.jsonValue(),
      ),
    );
    const bodies = allRoutes().flatMap((route) => (route.body ? [[route.id, route.body] as const] : []));
    expect(bodies.length).toBeGreaterThan(10);
    for (const [, schema] of bodies)
      fc.assert(
        fc.property(hostile, (value) => void refused(schema, value)),
        { numRuns: 60 },
      );
  });
});
