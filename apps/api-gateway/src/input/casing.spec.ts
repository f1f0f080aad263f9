import fc from 'fast-check';
import { canonicalKeys, knownKeys, snake, snakePath } from './casing.js';

const SCHEMA = {
  type: 'object',
  properties: {
    slot_name: { type: 'string' },
    exclude_columns: { type: 'object', additionalProperties: { type: 'array' } },
    auth: {
      oneOf: [
        { type: 'object', properties: { signature_header: {} } },
        { type: 'object', properties: { user_name: {} } },
      ],
    },
    users: { type: 'array', items: { type: 'object', properties: { user_name: {} } } },
  },
};

describe('both casings', () => {
  it('known keys are brought to the casing of the schema, at every level that it describes', () => {
    const given = {
      slotName: 'a',
      auth: { signatureHeader: 'X', userName: 'u' },
      users: [{ userName: 'v' }, { user_name: 'w' }],
    };
    expect(canonicalKeys(SCHEMA, given).value).toEqual({
      slot_name: 'a',
      auth: { signature_header: 'X', user_name: 'u' },
      users: [{ user_name: 'v' }, { user_name: 'w' }],
    });
  });

  it('keys that are data stay what they are', () => {
    const given = { exclude_columns: { 'public.Users': ['passwordHash'], slotName: ['x'] } };
    expect(canonicalKeys(SCHEMA, given).value).toEqual(given);
  });

  it('unknown keys stay, to be refused by their own name', () => {
    expect(canonicalKeys(SCHEMA, { SLOT_NAME: 1, Slot_Name: 2, bogusKey: 3 }).value).toEqual({
      SLOT_NAME: 1,
      Slot_Name: 2,
      bogusKey: 3,
    });
  });

  it('a key in both casings is told, and none wins in silence', () => {
    expect(canonicalKeys(SCHEMA, { slotName: 'a', slot_name: 'b' }).twice).toEqual([['slot_name']]);
  });

  it('a key that would become the prototype stays a key, to be refused', () => {
    const given = JSON.parse('{"__proto__":{"a":1}}') as object;
    expect(Object.keys(canonicalKeys(SCHEMA, given).value as object)).toEqual(['__proto__']);
  });

  it('whatever comes in, nothing is lost and nothing throws', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const { value: renamed, twice } = canonicalKeys(SCHEMA, value);
        if (twice.length === 0 && typeof value === 'object' && value !== null && !Array.isArray(value))
          expect(Object.keys(renamed as object)).toHaveLength(Object.keys(value).length);
      }),
    );
  });

  it('names for hints come from all alternatives', () => {
    expect(knownKeys(SCHEMA, ['auth'])).toEqual(['signature_header', 'user_name']);
    expect(knownKeys(SCHEMA, ['users', 3])).toEqual(['user_name']);
    expect(knownKeys(SCHEMA, ['nowhere'])).toEqual([]);
  });

  it('paths are shown in snake_case', () => {
    expect([snake('pipelineId'), snake('ssl_mode'), snakePath(['config', 'excludeTables', 0])]).toEqual([
      'pipeline_id',
      'ssl_mode',
      'config.exclude_tables.0',
    ]);
  });
});
