import fc from 'fast-check';
import { JsonBuffer } from './json-buffer.js';
import { piece } from './piece.js';

const written = (write: (to: JsonBuffer) => void): string => {
  const to = new JsonBuffer();
  to.begin();
  write(to);
  return to.take().toString();
};

describe('numbers as text', () => {
  it('are those that were given, up to the last that a double knows', () => {
    const { MAX_SAFE_INTEGER } = Number;
    const beside = fc.integer({ min: 0, max: 300 });
    const powers = fc.integer({ min: 0, max: 15 }).map((power) => 10 ** power);
    const values = fc.oneof(
      fc.maxSafeNat(),
      beside.map((less) => MAX_SAFE_INTEGER - less),
      fc.tuple(powers, beside).map(([power, more]) => Math.max(0, power - 150 + more)),
    );
    fc.assert(
      fc.property(values, (value) => {
        expect(written((to) => to.integer(value))).toBe(String(value));
        expect(written((to) => to.digits(value, 18))).toBe(String(value).padStart(18, '0'));
      }),
      { numRuns: 2000, examples: [[MAX_SAFE_INTEGER], [MAX_SAFE_INTEGER - 12], [0], [9], [10]] },
    );
  });
});

describe('a piece', () => {
  it('is written as its bytes, however long and wherever it stands', () => {
    const lengths = Array.from({ length: 80 }, (_, n) => n);
    const texts = lengths.map((length) => 'abcdefghijklmnopqrstuvwxyzäöü0123456789'.repeat(3).slice(0, length));
    const all = new JsonBuffer();
    all.begin();
    for (const text of texts) all.put(piece(text));
    expect(all.take().toString()).toBe(texts.join(''));
  });

  it('is made of texts and pieces, and may be put where the memory ends', () => {
    const long = piece('{"a":', piece('"b"'), '}');
    expect(written((to) => to.put(piece(long, long)))).toBe('{"a":"b"}{"a":"b"}');
    const to = new JsonBuffer();
    to.at = to.bytes.length - 3;
    to.begin();
    to.put(long);
    expect(to.take().toString()).toBe('{"a":"b"}');
  });
});
