import { toldText } from './told.js';

describe('a foreign text that is passed on', () => {
  it('is what it was where it is short and plain', () => {
    expect(toldText('password authentication failed for user "ä€😀"')).toBe(
      'password authentication failed for user "ä€😀"',
    );
  });

  it('is cut, however long it is', () => {
    expect(toldText('x'.repeat(30_000_000))).toBe(`${'x'.repeat(300)}…`);
    expect(toldText(`${'\n'.repeat(2_000)}x`)).toBe('…');
    expect(toldText('x'.repeat(300))).toHaveLength(300);
  });

  it('is one line without escapes, marks of direction and halves of characters', () => {
    expect(toldText('\u001b[31mred\u001b[0m\r\nINFO all is well\u0000\u202e')).toBe('[31mred [0m INFO all is well');
    expect(toldText('a\ud800b').isWellFormed()).toBe(true);
    // The store takes no half of a pair.
    for (let before = 295; before < 305; before++)
      expect(toldText('a'.repeat(before) + '😀'.repeat(10)).isWellFormed()).toBe(true);
  });
});
