import type { JsonBuffer } from '@planasonix/json-buffer';

/** Digits of a decimal in the servers' packed form: nine in four bytes, what is left over in fewer. */
const BYTES = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4] as const;

export const decimalBytes = (precision: number, scale: number): number => {
  const whole = precision - scale;
  return Math.floor(whole / 9) * 4 + BYTES[whole % 9]! + Math.floor(scale / 9) * 4 + BYTES[scale % 9]!;
};

/** @param flip is applied to the first byte, `mask` to all. */
function unpacked(source: Buffer, at: number, bytes: number, mask: number, flip: number): number {
  let value = 0;
  for (let i = 0; i < bytes; i++) value = value * 256 + (source[at + i]! ^ mask ^ (i === 0 ? flip : 0));
  return value;
}

/** A packed decimal with every digit. @param at its first byte */
export function writeDecimal(out: JsonBuffer, source: Buffer, at: number, precision: number, scale: number): void {
  if (at + decimalBytes(precision, scale) > source.length) throw new RangeError('a decimal is cut short');
  // The first bit of all is the sign, upside down; a negative one has all others so, too.
  const mask = (source[at]! & 0x80) === 0 ? 0xff : 0;
  const whole = precision - scale;
  let next = at;
  let begun = false;
  if (mask !== 0) out.byte(0x2d);
  for (let left = whole; left > 0;) {
    const size = left % 9 || 9;
    const value = unpacked(source, next, BYTES[size]!, mask, next === at ? 0x80 : 0);
    next += BYTES[size]!;
    left -= size;
    if (begun) out.digits(value, 9);
    else if (value > 0 || left === 0) out.integer(value);
    begun ||= value > 0;
  }
  if (whole === 0) out.byte(0x30);
  if (scale === 0) return;
  out.byte(0x2e);
  for (let left = scale; left > 0; left -= 9) {
    const size = Math.min(left, 9);
    out.digits(unpacked(source, next, BYTES[size]!, mask, next === at ? 0x80 : 0), size);
    next += BYTES[size]!;
  }
}

/** A double in its shortest exact form, as JSON has numbers. */
export const doubleText = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

const SMALLEST_NORMAL = 1.1754943508222875e-38;

/** A float of four bytes in the fewest digits that lead back to it. */
export function floatText(value: number): string {
  // Six digits always come back; a number with fewer bits than usual may take less.
  for (let digits = Math.abs(value) < SMALLEST_NORMAL ? 1 : 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return doubleText(short);
  }
  return doubleText(Number(value.toPrecision(9)));
}

/** What a server shows of a number, as JSON has it: without the zeros of ZEROFILL. */
export const plainNumber = (text: string): string => text.replace(/^(-?)0+(?=\d)/, '$1');
