/** Digits of a decimal in the servers' packed form: nine in four bytes, what is left over in fewer. */
const BYTES = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4] as const;

export const decimalBytes = (precision: number, scale: number): number => {
  const whole = precision - scale;
  return Math.floor(whole / 9) * 4 + BYTES[whole % 9]! + Math.floor(scale / 9) * 4 + BYTES[scale % 9]!;
};

/** A packed decimal with every digit. @param at its first byte */
export function decimalText(source: Buffer, at: number, precision: number, scale: number): string {
  const negative = (source[at]! & 0x80) === 0;
  const size = decimalBytes(precision, scale);
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) bytes[i] = negative ? ~source[at + i]! & 0xff : source[at + i]!;
  bytes[0]! ^= 0x80;
  let from = 0;
  const group = (digits: number): string => {
    const length = BYTES[digits]!;
    const value = length === 0 ? 0 : bytes.readUIntBE(from, length);
    from += length;
    return digits === 0 ? '' : String(value).padStart(digits, '0');
  };
  const whole = precision - scale;
  let text = group(whole % 9);
  for (let i = 0; i < Math.floor(whole / 9); i++) text += group(9);
  let fraction = '';
  for (let i = 0; i < Math.floor(scale / 9); i++) fraction += group(9);
  fraction += group(scale % 9);
  text = text.replace(/^0+(?=.)/, '') || '0';
  return `${negative ? '-' : ''}${text}${fraction === '' ? '' : `.${fraction}`}`;
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
