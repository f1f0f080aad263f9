import fc from 'fast-check';
import { DoesNotFit } from '../record-text.js';
import { jsonSchemaReader, type SchemaText } from './json-schema.js';
import { Identities } from './schema-keywords.js';

const readerOf = (schema: unknown, references: Readonly<Record<string, unknown>> = {}) => {
  const named = Object.entries(references).map(([name, one]): SchemaText => ({ name, text: JSON.stringify(one) }));
  const read = jsonSchemaReader(JSON.stringify(schema), named);
  return (value: unknown) => read(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
};
const fits = (schema: unknown, value: unknown, references: Readonly<Record<string, unknown>> = {}): boolean => {
  try {
    readerOf(schema, references)(value);
    return true;
  } catch (error) {
    if (!(error instanceof DoesNotFit)) throw error;
    return false;
  }
};

describe('JSON Schema', () => {
  it('counts multiples by the digits, not by what doubles make of them', () => {
    const read = jsonSchemaReader(JSON.stringify({ type: 'number', multipleOf: 0.01 }));
    for (const text of ['1.15', '0.07', '4.35', '19.99', '-2.3', '0', '1e3', '5e-2'])
      expect(read(Buffer.from(text))).toBe(text);
    for (const text of ['1.155', '0.001', '1e-300']) expect(() => read(Buffer.from(text))).toThrow(DoesNotFit);
  });

  it('keeps the text that came where it fits', () => {
    const read = jsonSchemaReader(
      JSON.stringify({
        $schema: 'http://json-schema.org/draft-07/schema#',
        ...{ type: 'object', properties: { n: { type: 'integer' }, s: { pattern: '^(a+)+$' } }, required: ['n'] },
      }),
    );
    const text = '{ "n": 12345678901234567890, "x": 1.10 }';
    expect(read(Buffer.from(text))).toBe(text);
    expect(() => read(Buffer.from('{"n":"1"}'))).toThrow(/does not fit/);
    expect(() => read(Buffer.from('no json'))).toThrow(DoesNotFit);
    // An expression that goes back over all ways to match this would not end.
    const endless = `{"n":1,"s":"${'a'.repeat(40)}b"}`;
    expect(read(Buffer.from(endless))).toBe(endless);
  });

  it('may name itself, with an `$id` and without', () => {
    for (const $id of [{}, { $id: 'http://example.com/tree.json' }, { $id: 'tree.json' }]) {
      const tree = { ...$id, type: 'array', items: { $ref: '#' } };
      expect([fits(tree, [[], [[]]]), fits(tree, [[], [1]])]).toEqual([true, false]);
    }
  });

  it('is set aside where a value is nested too deeply to be checked', () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000);
    expect(() => readerOf({ type: 'array', items: { $ref: '#' } })(deep)).toThrow(DoesNotFit);
    expect(() => readerOf({ type: 'array', uniqueItems: true })(deep)).toThrow(/nested too deeply/);
  });
});

describe('what a JSON Schema refers to', () => {
  const NUMBER = { type: 'object', properties: { n: { type: 'integer' } } };
  const has = (main: object, references: Readonly<Record<string, unknown>>) =>
    [{ c: { n: 1 } }, { c: { n: 'x' } }].map((value) => fits(main, value, references));
  const naming = ($ref: string, $id?: string) => ({ ...($id ? { $id } : {}), properties: { c: { $ref } } });
  const RIGHT = [true, false];

  it.each<[string, object, Readonly<Record<string, unknown>>]>([
    ['its name', naming('customer.json'), { 'customer.json': NUMBER }],
    ['a part of it', naming('all.json#/definitions/c'), { 'all.json': { definitions: { c: NUMBER } } }],
    ['its $id', naming('http://e.com/c.json'), { any: { $id: 'http://e.com/c.json', ...NUMBER } }],
    ['its name next to the $id of the schema', naming('c.json', 'http://e.com/a/order.json'), { 'c.json': NUMBER }],
    [
      'its own $id next to that of the schema',
      naming('/c', 'http://e.com/a/order.json'),
      { any: { $id: '/c', ...NUMBER } },
    ],
    [
      'its name next to the $id of what names it',
      naming('http://e.com/b/box.json'),
      { 'n.json': NUMBER, box: { $id: 'http://e.com/b/box.json', $ref: 'n.json' } },
    ],
    [
      'its name next to the name of what names it',
      naming('b/box.json', 'http://e.com/a/order.json'),
      { 'n.json': NUMBER, 'b/box.json': { $ref: 'n.json' } },
    ],
    [
      'its name, where it has the $id of the schema',
      naming('c', 'http://e.com/o'),
      { c: { $id: 'http://e.com/o', ...NUMBER } },
    ],
    [
      'an $id that another one brings as a part, too',
      naming('http://e.com/c'),
      {
        'x.json': { definitions: { c: { $id: 'http://e.com/c', ...NUMBER } } },
        any: { $id: 'http://e.com/c', ...NUMBER },
      },
    ],
    [
      'an $id that the schema itself brings as a part',
      { ...naming('http://e.com/c'), definitions: { c: { $id: 'http://e.com/c', ...NUMBER } } },
      { any: { $schema: 'http://json-schema.org/draft-07/schema#', $id: 'http://e.com/c' } },
    ],
  ])('is found by %s', (_, main, references) => {
    expect(has(main, references)).toEqual(RIGHT);
  });

  it('may name the schema, and itself', () => {
    const main = { $id: 'http://e.com/main', properties: { next: { $ref: 'link' }, n: { type: 'integer' } } };
    const link = { link: { properties: { back: { $ref: 'main' }, on: { $ref: '#' } } } };
    expect(fits(main, { next: { on: { back: { n: 1 } } } }, link)).toBe(true);
    expect(fits(main, { next: { on: { back: { n: 'x' } } } }, link)).toBe(false);
  });

  it('has to be there', () => {
    expect(() => readerOf(naming('customer.json'))).toThrow(/can not be understood/);
  });
});

describe('equal items under uniqueItems', () => {
  const unique = { uniqueItems: true };

  it('are told by what they mean, not by how they are written', () => {
    for (const same of [
      '[1,1.0]',
      '[0,-0]',
      '[1e2,100]',
      '[{"a":1,"b":[2]},{"b":[2],"a":1}]',
      '["\u0061","a"]',
      '[[],[]]',
    ])
      expect([same, fits(unique, same)]).toEqual([same, false]);
    for (const other of [
      '[1,"1"]',
      '[0,false]',
      '[null,"null",1e400]',
      '[[1],["1"]]',
      '[[],{}]',
      '[{"a":"b"},{"b":"a"}]',
      '[[1,2],[2,1]]',
    ])
      expect([other, fits(unique, other)]).toEqual([other, true]);
    expect(fits({ uniqueItems: false }, '[1,1]')).toBe(true);
    expect(fits(unique, '{"a":1}')).toBe(true);
  });

  it('are those that are so by pairs', () => {
    const part = fc.jsonValue({ maxDepth: 2 });
    fc.assert(
      fc.property(fc.array(part), part, (items, more) => {
        const texts = [...items, more].map((one) => JSON.stringify(sorted(one)));
        expect(new Identities().differ([...items, more])).toBe(new Set(texts).size === texts.length);
      }),
    );
  });

  it('of a value are not those of the one before', () => {
    const read = readerOf(unique);
    for (let i = 0; i < 2; i++) expect(read('[{"a":1}]')).toBe('[{"a":1}]');
  });

  it('are found by looking at each part once, whatever lies around it (Invariant 6)', () => {
    let seen = 0;
    const counted = (n: number) => ({
      get n() {
        seen++;
        return n;
      },
    });
    const identities = new Identities();
    const items = Array.from({ length: 100 }, (_, n) => counted(n));
    expect(identities.differ(items)).toBe(true);
    expect(identities.differ([...items, counted(7)])).toBe(false);
    // As a schema does that names itself: each level asks for all that is under it.
    for (let level: unknown = items, i = 0; i < 10; level = [level], i++) identities.differ([level]);
    expect(seen).toBe(101);
    const differ = jest.spyOn(Identities.prototype, 'differ');
    expect(fits(unique, [1])).toBe(true);
    expect(differ).toHaveBeenCalledWith([1]);
  });
});

/** Fields in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, one]) => [name, sorted(one)] as const);
  return entries.sort(([a], [b]) => (a < b ? -1 : 1));
}

describe('schemas that name themselves more than once', () => {
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

  it.each([
    ['$ref', { allOf: [{ items: { $ref: '#' } }, { items: { $ref: '#' } }] }],
    [
      '$dynamicRef',
      {
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        ...{ $dynamicAnchor: 'x', allOf: [{ items: { $dynamicRef: '#x' } }, { items: { $dynamicRef: '#x' } }] },
      },
    ],
    [
      '$recursiveRef',
      {
        $schema: 'https://json-schema.org/draft/2019-09/schema',
        ...{ $recursiveAnchor: true, allOf: [{ items: { $recursiveRef: '#' } }, { items: { $recursiveRef: '#' } }] },
      },
    ],
  ])('by %s do not keep a worker busy: what is nested too deeply for them is set aside', (_, schema) => {
    expect(fits(schema, nested(10))).toBe(true);
    expect(() => readerOf(schema)(nested(24))).toThrow(/takes too long/);
  });
});
