/** Reads what servers pack into events, byte after byte. @throws RangeError where it is cut short */
export class Packed {
  constructor(
    readonly bytes: Buffer,
    public at = 0,
    readonly end = bytes.length,
  ) {}

  get more(): boolean {
    return this.at < this.end;
  }

  uint(width: number): number {
    const from = this.skip(width);
    return width === 1 ? this.bytes[from]! : this.bytes.readUIntLE(from, width);
  }

  /** A number of up to eight bytes, its first byte says how many. */
  length(): number {
    const first = this.uint(1);
    if (first < 251) return first;
    if (first === 252) return this.uint(2);
    if (first === 253) return this.uint(3);
    if (first === 254) return Number(this.bytes.readBigUInt64LE(this.skip(8)));
    throw new RangeError('a length that is none');
  }

  slice(length: number): Buffer {
    const from = this.skip(length);
    return this.bytes.subarray(from, from + length);
  }

  /** @returns where it was */
  skip(length: number): number {
    const from = this.at;
    if (from + length > this.end) throw new RangeError('an event is cut short');
    this.at += length;
    return from;
  }
}
