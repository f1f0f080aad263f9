import fc from 'fast-check';
import { JsonBuffer } from './json-buffer.js';

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
