import fc from 'fast-check';
import { elements, isJson, scalarAt, spanAt } from './json-text.js';

const cut = (bytes: Buffer, { start, end }: { start: number; end: number }): string =>
  bytes.toString('utf8', start, end);
const spaced = (value: unknown) => Buffer.from(JSON.stringify(value, null, 2));

describe('places in JSON text', () => {
  it('the elements of any array are its texts, one by one', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (array) => {
        const bytes = spaced(array);
        const found = elements(bytes, Infinity)!;
        expect(found.map((span) => JSON.parse(cut(bytes, span)))).toEqual(
          array.map((one) => JSON.parse(JSON.stringify(one))),
        );
      }),
    );
  });

  it('a pointer finds what a parser finds', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), (object) => {
        const bytes = spaced(object);
        for (const [key, value] of Object.entries(JSON.parse(bytes.toString()) as object)) {
          const span = spanAt(bytes, `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
          expect(span && JSON.parse(cut(bytes, span))).toEqual(value);
        }
      }),
    );
  });

  it.each([
    ['{"a":{"b":[1,"x"]}}', '/a/b/1', 'x'],
    ['{"id":9007199254740993}', '/id', '9007199254740993'],
    ['{"a":1,"a":2}', '/a', '2'],
    ['{"a":null}', '/a', null],
    ['{"a":1}', '/b', null],
    ['[1]', '/01', null],
    ['{"a":"}\\"","b": {"c" : true } }', '/b/c', 'true'],
    ['5', '/a', null],
    ['{"__proto__":"p"}', '/__proto__', 'p'],
  ])('%s at %s', (text, pointer, found) => {
    expect(scalarAt(Buffer.from(text), pointer)).toBe(found);
  });

  it('what is nested too deeply is no JSON here (trap 31)', () => {
    expect(isJson(Buffer.from('['.repeat(200) + ']'.repeat(200)))).toBe(true);
    expect(isJson(Buffer.from('['.repeat(201) + ']'.repeat(201)))).toBe(false);
    expect(isJson(Buffer.from(JSON.stringify('['.repeat(500))))).toBe(true);
  });
});
