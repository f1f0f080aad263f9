import { topicPattern } from './topic-pattern.js';

/** All texts of up to `most` characters. */
const texts = (chars: string, most: number): readonly string[] =>
  most === 0 ? [''] : ['', ...[...chars].flatMap((char) => texts(chars, most - 1).map((rest) => char + rest))];

describe('a pattern for names of topics', () => {
  const atoms = ['a', '.', '\\.', '[ab]', '[^a]', '-'];
  const repeats = ['', '*', '+', '?'];
  const steps = atoms.flatMap((atom) => repeats.map((repeat) => atom + repeat));
  const names = [...new Set(texts('ab.', 4))];

  it('means what a regular expression does', () => {
    for (const first of steps)
      for (const second of steps)
        for (const pattern of [
          `${first}${second}`,
          `${first}b${second}`,
          `^${first}|${second}$`,
          `${first}${second}a*`,
        ]) {
          const own = topicPattern(pattern)!;
          const builtIn = new RegExp(`^(?:${pattern.replace(/^\^|\$$/g, '')})$`);
          const differ = names.filter((name) => own.test(name) !== builtIn.test(name));
          expect([pattern, differ]).toEqual([pattern, []]);
        }
  });

  it.each(['(a)', '[', '[z-a]', 'a**', 'a{2}', '\\d', '', '*', 'a b'])('is not: %s', (text) => {
    expect(topicPattern(text)).toBeNull();
  });

  it('comes to its end for names that it almost matches, where one that tries all ways never does (Invariant 6)', () => {
    for (const pattern of ['[a-z]*[a-z]*[a-z]*[a-z]*Z', `${'a*'.repeat(127)}Z`, `${'a?'.repeat(60)}${'a'.repeat(60)}Z`])
      expect(topicPattern(pattern)!.test('a'.repeat(249))).toBe(false);
  });
});
