import fc from 'fast-check';
import { repeatedKey } from './repeated-key.js';

describe('a key that stands twice in one object', () => {
  it.each([
    ['{"a":1,"a":2}', ['a']],
    ['{"a":{"b":1},"c":{"b":1,"b":2}}', ['c', 'b']],
    ['[{"a":1},{"a":[0,{"b":1 , "b":2}]}]', [1, 'a', 1, 'b']],
    ['{"a":1,"\\u0061":2}', ['a']],
    ['{"a\\"":1,"x":"}","a\\"":2}', ['a"']],
    ['{"":1,"":2}', ['']],
    ['{"a":["a","a",{"a":"a"}],"b":"a"}', null],
    ['{"a":1,"A":2}', null],
    ['{"a":"\\\\","b":"{\\"a\\":1,\\"a\\":2}"}', null],
    ['"a"', null],
    ['[]', null],
  ])('%s', (text, path) => {
    JSON.parse(text);
    expect(repeatedKey(text)).toEqual(path);
  });

  it('is in no text that was made of a value, and is found wherever it is put', () => {
    const blank = fc.constantFrom('', ' ', '\n\t');
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 4 }),
        fc.jsonValue({ maxDepth: 3 }),
        fc.string(),
        blank,
        (rest, other, key, gap) => {
          const [text, name] = [JSON.stringify(rest), JSON.stringify(key)];
          expect(repeatedKey(text)).toBeNull();
          expect(repeatedKey(`[${gap}${text},${gap}{${name}:${text}}]`)).toBeNull();
          const twice = `[${text},${gap}{${name}${gap}:${JSON.stringify(other)}${gap},${gap}${name}:${text}}]`;
          expect(repeatedKey(twice)).toEqual([1, key]);
        },
      ),
    );
  });

  it('is looked for in time that grows with the text alone', () => {
    const keys = Array.from({ length: 100_000 }, (_, i) => `"${i}":""`).join(',');
    const nested = '{"a":'.repeat(200_000) + '0' + '}'.repeat(200_000);
    const began = performance.now();
    for (const text of [`{${keys}}`, `"${'\\\\'.repeat(500_000)}"`, `[${'"",'.repeat(300_000)}0]`, nested])
      expect(repeatedKey(text)).toBeNull();
    expect(performance.now() - began).toBeLessThan(3000);
  });
});
