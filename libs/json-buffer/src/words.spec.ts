import fc from 'fast-check';
import { copyBytes, plainUntil, tabFrom, viewOf } from './words.js';

/** Bytes that a test for one of them could take for another: it and its neighbours, with and without the high bit. */
const NEAR = [0x09, 0x20, 0x22, 0x5c].flatMap((code) => [code - 1, code, code + 1].flatMap((one) => [one, one | 0x80]));
const byte = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(...NEAR, 0, 0x7f, 0xff) },
  { weight: 20, arbitrary: fc.constant(0x61) },
);

/** A piece of a buffer, at any address. */
const piece = fc
  .tuple(fc.array(byte, { maxLength: 300, size: 'max' }), fc.nat(7), fc.nat(7))
  .map(([bytes, before, after]) => ({
    source: Buffer.from([...Array<number>(before).fill(0x22), ...bytes, ...Array<number>(after).fill(0x09)]),
    start: before,
    end: before + bytes.length,
  }));

function first({ source, start, end }: { source: Buffer; start: number; end: number }, is: (code: number) => boolean) {
  const found = source.subarray(start, end).findIndex(is);
  return found < 0 ? end : start + found;
}

describe('four bytes at a time', () => {
  it('finds what one by one finds', () => {
    fc.assert(
      fc.property(piece, (one) => {
        const { source, start, end } = one;
        expect(tabFrom(source, start, end)).toBe(first(one, (code) => code === 0x09));
        const escaped = (code: number): boolean => code < 0x20 || code === 0x22 || code === 0x5c;
        expect(plainUntil(source, start, end)).toBe(first(one, escaped));
      }),
      { numRuns: 2000 },
    );
  });

  it('copies these bytes and no other', () => {
    fc.assert(
      fc.property(piece, fc.nat(7), ({ source, start, end }, at) => {
        const target = Buffer.alloc(at + end - start + 8, 0x2e);
        copyBytes(target, viewOf(target), at, source, start, end);
        expect(target.toString('latin1')).toBe('.'.repeat(at) + source.toString('latin1', start, end) + '.'.repeat(8));
      }),
      { numRuns: 500 },
    );
  });
});
