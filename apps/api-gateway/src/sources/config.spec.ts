import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { ApiError } from '../contract/api-error.js';
import { canonicalConfig, checkedConfig, mergePatch } from './config.js';
import type { KnownSource } from './source-catalog.js';

const config_schema = {
  type: 'object',
  additionalProperties: false,
  required: ['tables'],
  properties: {
    tables: { type: 'array', minItems: 1, items: { type: 'string' } },
    slot_name: { type: 'string', pattern: '^[a-z0-9_]{1,63}$', description: 'Lower-case letters, digits and _.' },
    auth: {
      type: 'object',
      additionalProperties: false,
      properties: { secrets: { type: 'array', items: { type: 'string', minLength: 12, writeOnly: true } } },
    },
  },
};
const source: KnownSource = {
  type: 'x',
  connection_types: [],
  workers: 1,
  config_schema,
  validate: new Ajv2020({ strict: false, allErrors: true, verbose: true }).compile(config_schema),
};
const failure = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('it was taken');
};

describe('the config of a stream', () => {
  it('is checked by the announced schema, with the field and what it should be', () => {
    const error = failure(() => checkedConfig(source, { tables: [], slot_name: 'a; drop', slot: 1 }));
    expect(error.details).toEqual(
      expect.arrayContaining([
        { field: 'config.tables', issue: 'must NOT have fewer than 1 items' },
        { field: 'config.slot_name', issue: 'is not in the documented form' },
        { field: 'config.slot', issue: 'is not a known key' },
      ]),
    );
    expect(error.hint).toMatch(/slot_name|Lower-case/);
  });

  it('is taken in both casings, not in both at once', () => {
    expect(canonicalConfig(source, { slotName: 'a' })).toEqual({ slot_name: 'a' });
    expect(failure(() => canonicalConfig(source, { slotName: 'a', slot_name: 'b' })).details).toEqual([
      { field: 'config.slot_name', issue: 'is given in both casings' },
    ]);
  });

  it('a mask keeps what it hid, a new secret replaces it, and a mask that hides nothing is refused', () => {
    const earlier = { tables: ['t'], auth: { secrets: ['first-secret-1', 'second-secret'] } };
    const split = checkedConfig(source, { tables: ['t'], auth: { secrets: ['********', 'third-secret-3'] } }, earlier);
    expect(split.shown).toEqual({ tables: ['t'], auth: { secrets: ['********', '********'] } });
    expect(JSON.parse(split.secrets!)).toEqual([
      [['auth', 'secrets', 0], 'first-secret-1'],
      [['auth', 'secrets', 1], 'third-secret-3'],
    ]);
    expect(failure(() => checkedConfig(source, { tables: ['t'], auth: { secrets: ['********'] } })).details).toEqual([
      { field: 'config.auth.secrets.0', issue: 'must be the secret itself' },
    ]);
  });

  // Both in the same object now and then, and what is no ordinary name in JavaScript.
  const name = fc.oneof(fc.string(), fc.constantFrom('a', '__proto__', 'constructor', 'toString'));

  it('a patch merges as RFC 7396 says of the top level: null removes, anything else replaces', () => {
    fc.assert(
      fc.property(fc.dictionary(name, fc.jsonValue()), fc.dictionary(name, fc.jsonValue()), (before, patch) => {
        const after = mergePatch(before, patch);
        for (const [key, value] of Object.entries(patch)) {
          if (value === null) expect(Object.hasOwn(after, key)).toBe(false);
          else expect(after[key]).toBe(value);
        }
        for (const key of Object.keys(before)) if (!Object.hasOwn(patch, key)) expect(after[key]).toBe(before[key]);
      }),
    );
  });
});
