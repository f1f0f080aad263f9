import { jsonSchemaReader } from './json-schema.js';
import { patternCost } from './pattern.js';

const fits = (pattern: string, text: string): boolean => {
  try {
    jsonSchemaReader(JSON.stringify({ type: 'object', properties: { s: { pattern } } }))(
      Buffer.from(JSON.stringify({ s: text })),
    );
    return true;
  } catch {
    return false;
  }
};

describe('patterns of a JSON Schema', () => {
  it.each([
    ['^[A-Z]{2}\\d+$', 'AB12', 'AB12x'],
    ['^[a-z]+$', 'abc', 'aBc'],
    ['^(?:red|green|blue)$', 'green', 'grey'],
    ['^[^@ ]+@[^@ ]+\\.[a-z]{2,}$', 'me@example.com', 'me@example'],
    ['^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2})?$', '2026-11-29', '2026-11-2'],
    ['b.*d', 'abcd', 'abc'],
  ])('%s is checked on short texts', (pattern, right, wrong) => {
    expect([fits(pattern, right), fits(pattern, wrong)]).toEqual([true, false]);
  });

  it.each([
    ['^.*.*.*z$', 'a', 4_000],
    ['.*.*z', 'a', 4_000],
    ['a*z', 'a', 100_000],
    ['^(a+)+$', 'a', 40],
    ['^(?:a|a)*z', 'a', 40],
    [`^${'a?'.repeat(40)}${'a'.repeat(40)}$`, 'a', 39],
    [`^${'(a|a)'.repeat(40)}z$`, 'a', 40],
    ['^a{0,500}a{0,500}a{0,500}z', 'a', 1_500],
    ['^(a*)\\1\\1z', 'a', 4_000],
  ])('%s does not keep a worker busy', (pattern, char, times) => {
    expect(fits(pattern, `${char.repeat(times)}!`)).toBe(true);
  });

  it('many texts in one value do not add up to more', () => {
    const read = jsonSchemaReader(JSON.stringify({ type: 'array', items: { pattern: '^.*.*z$' } }));
    const behind = (right: number) => () =>
      read(Buffer.from(JSON.stringify([...Array<string>(right).fill(`${'a'.repeat(50)}z`), 'a'.repeat(51)])));
    expect(behind(10)).toThrow();
    expect(behind(20_000)).not.toThrow();
  });

  it('each is told apart from the others', () => {
    const read = jsonSchemaReader(
      JSON.stringify({ type: 'object', properties: { a: { pattern: '^a$' }, b: { pattern: '^b$' } } }),
    );
    expect(read(Buffer.from('{"a":"a","b":"b"}'))).toBe('{"a":"a","b":"b"}');
    expect(() => read(Buffer.from('{"a":"b"}'))).toThrow();
  });

  it.each([
    ['^a*b', 1],
    ['a*b', 2],
    ['^a|b', 1],
    ['^[*+]{3}$', 0],
    ['^\\*\\+$', 0],
  ])('%s loops %d times over a text', (pattern, loops) => {
    expect(patternCost(pattern)?.loops).toBe(loops);
  });
});
