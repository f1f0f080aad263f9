import { StreamError } from '@planasonix/core';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { configJsonSchema, parseConfig } from './config.js';

const validate = new Ajv2020({ strict: false, allErrors: true }).compile(configJsonSchema);

describe('the config of a Postgres stream', () => {
  it('has its defaults', () => {
    expect(parseConfig({ tables: ['public.orders'] })).toEqual({
      ...{ tables: ['public.orders'], exclude_tables: [], exclude_columns: {} },
      ...{ snapshot: 'initial', heartbeat_interval: '10s', heartbeatMs: 10_000 },
      ...{ snapshot_readers: 3, logical_messages: true, walBudget: null, failover: false },
    });
    expect(parseConfig({ tables: ['a.b'], heartbeat_interval: '500ms' }).heartbeatMs).toBe(500);
    expect(parseConfig({ tables: ['a.b'], heartbeat_interval: '2m' }).heartbeatMs).toBe(120_000);
  });

  it('finds excluded columns by the name in the catalog, whatever the notation', () => {
    const { exclude_columns } = parseConfig({
      tables: ['shop.*'],
      exclude_columns: { 'Shop.Users': ['Secret'], '"Odd Name"."T.x"': ['"Pass""word"'], 'shop.users': ['pin'] },
    });
    expect(exclude_columns).toEqual({
      'shop.users': ['Secret', 'secret', 'pin'],
      'Odd Name.T.x': ['Pass"word'],
    });
  });

  it.each([
    [{}],
    [null],
    [[]],
    [{ tables: [] }],
    [{ tables: ['orders'] }],
    [{ tables: ['a.b'], slot_name: 'a" LOGICAL' }],
    [{ tables: ['a.b'], slot_name: 'UPPER' }],
    [{ tables: ['a.b'], slot_name: 'a\n' }],
    [{ tables: ['a.b'], slot_name: 'x'.repeat(64) }],
    [{ tables: ['a.b'], publication: "p', proto_version '9" }],
    [{ tables: ['a.b'], publication: 'p"; DROP TABLE x' }],
    [{ tables: ['a.b'], snapshot: 'sometimes' }],
    [{ tables: ['a.b'], heartbeat_interval: '0s' }],
    [{ tables: ['a.b'], heartbeat_interval: '10' }],
    [{ tables: ['a.b'], heartbeat_interval: '1ms' }],
    [{ tables: ['a.b'], exclude_columns: { 'a.*': ['x'] } }],
    [{ tables: ['a.b'], unknown: 1 }],
    [JSON.parse('{"tables":["a.b"],"__proto__":{}}')],
  ])('%j is refused, by the schema at the gateway too (trap 16)', (raw) => {
    expect(() => parseConfig(raw)).toThrow(StreamError);
    expect(validate(raw)).toBe(false);
  });

  it('the schema says what the name of a table looks like: the gateway has it for a hint', () => {
    const { tables } = configJsonSchema['properties'] as Record<string, { items?: { description?: string } }>;
    expect(tables?.items?.description).toContain('public.orders');
  });

  it('schema and parser agree on any text in any place', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('a.b', '"x".*', 'slot_1', 'a.b\0', "'; --", '"'),
    );
    const raw = fc.record(
      { tables: fc.array(text, { minLength: 1 }), slot_name: text, publication: text },
      { requiredKeys: ['tables'] },
    );
    fc.assert(
      fc.property(raw, (config) => {
        let taken = true;
        try {
          parseConfig(config);
        } catch (error) {
          expect(error).toMatchObject({ code: 'config_invalid' });
          taken = false;
        }
        if (taken) expect(validate(config)).toBe(true);
      }),
    );
  });

  it('every key is described, with an example', () => {
    const properties = configJsonSchema['properties'] as Record<string, { description?: string; examples?: unknown[] }>;
    for (const [key, of] of Object.entries(properties)) {
      expect([key, of.description]).toEqual([key, expect.any(String)]);
      expect([key, of.examples]).toEqual([key, [expect.anything()]]);
    }
    expect(configJsonSchema).toMatchObject({ additionalProperties: false, required: ['tables'] });
  });
});
