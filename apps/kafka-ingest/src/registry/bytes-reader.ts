import { isUtf8 } from 'node:buffer';
import { DoesNotFit } from '../record-text.js';

/** Characters of JSON that no byte of a value stands for: names of fields, items that take no bytes. For each value, and for each of its bytes more. */
const UNWRITTEN = { least: 1_000_000, byte: 300 } as const;

const short = () => new DoesNotFit('The value is cut short.');

/** Reads what Avro and Protobuf write their values with. @throws DoesNotFit beyond the end */
export class BytesReader {
  at = 0;

  constructor(
    private readonly bytes: Buffer,
    /** Of the whole value. */
    private readonly unwritten = { left: UNWRITTEN.least + UNWRITTEN.byte * bytes.length },
  ) {}

  /** Reads a part of the value. */
  over(part: Buffer): BytesReader {
    return new BytesReader(part, this.unwritten);
  }

  /** Few bytes must not become a text without end. Invariant 6. */
  tell(characters: number): void {
    this.unwritten.left -= characters;
    if (this.unwritten.left < 0) throw new DoesNotFit('The value has too many fields or items for its size.');
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  byte(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw short();
    return byte;
  }

  take(length: number): Buffer {
    if (length < 0 || length > this.left) throw short();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** 64 bits, unsigned. */
  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new DoesNotFit('A number in the value is too long.');
  }

  zigzag(): bigint {
    const value = this.varint();
    return (value >> 1n) ^ -(value & 1n);
  }

  /** A length or a count, which fits a number. */
  count(value: bigint = this.varint()): number {
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < 0n) throw short();
    return Number(value);
  }
}

/** JSON has no words for these: they are texts. */
export function floatText(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0.0' : String(value);
  return Number.isNaN(value) ? '"NaN"' : value > 0 ? '"Infinity"' : '"-Infinity"';
}

/** A float of 32 bits in the fewest digits that mean it. */
export function float32Text(value: number): string {
  if (!Number.isFinite(value) || value === 0) return floatText(value);
  for (let digits = 1; digits <= 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return floatText(Number(text));
  }
  return floatText(value);
}

export const base64Text = (bytes: Buffer): string => `"${bytes.toString('base64')}"`;

export function utf8Text(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new DoesNotFit('A text in the value is not UTF-8.');
  return JSON.stringify(bytes.toString());
}

/** Values may nest; a damaged one must not nest for ever. Invariant 6. */
export const MOST_NESTED = 200;

export const tooDeep = (): DoesNotFit => new DoesNotFit('The value is nested too deeply.');
