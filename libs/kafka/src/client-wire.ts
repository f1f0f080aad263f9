/** Kafka's primitive types as they are on the wire, of the flexible versions: compact lengths, tagged fields. */

const NO_TAGS = 0;
/** Bytes that are not copied, but written as they are. */
const LARGE = 4_096;

export class WireWriter {
  readonly #done: Buffer[] = [];
  #buffer = Buffer.allocUnsafe(256);
  #length = 0;

  #room(bytes: number): number {
    const at = this.#length;
    if (at + bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, at + bytes));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    this.#length = at + bytes;
    return at;
  }

  int8(value: number): this {
    const at = this.#room(1);
    this.#buffer.writeInt8(value, at);
    return this;
  }

  int16(value: number): this {
    const at = this.#room(2);
    this.#buffer.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  int64(value: number): this {
    const at = this.#room(8);
    this.#buffer.writeBigInt64BE(BigInt(value), at);
    return this;
  }

  bool(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  uvarint(value: number): this {
    let left = value >>> 0;
    while (left >= 0x80) {
      const at = this.#room(1);
      this.#buffer[at] = (left & 0x7f) | 0x80;
      left >>>= 7;
    }
    const at = this.#room(1);
    this.#buffer[at] = left;
    return this;
  }

  /** Large ones must not change until all is written. */
  raw(bytes: Buffer): this {
    if (bytes.length >= LARGE) {
      this.#done.push(this.#buffer.subarray(0, this.#length), bytes);
      this.#buffer = this.#buffer.subarray(this.#length);
      this.#length = 0;
      return this;
    }
    const at = this.#room(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  string(text: string | null): this {
    if (text === null) return this.uvarint(0);
    const bytes = Buffer.from(text);
    return this.uvarint(bytes.length + 1).raw(bytes);
  }

  /** 32 hexadecimal digits. */
  uuid(id: string): this {
    return this.raw(Buffer.from(id, 'hex'));
  }

  array<T>(items: readonly T[] | null, write: (item: T) => void): this {
    if (items === null) return this.uvarint(0);
    this.uvarint(items.length + 1);
    for (const item of items) write(item);
    return this;
  }

  tags(): this {
    return this.uvarint(NO_TAGS);
  }

  /** One, but for large ones within. */
  pieces(): readonly Buffer[] {
    return [...this.#done, this.#buffer.subarray(0, this.#length)];
  }
}

export class WireReader {
  #at = 0;

  constructor(private readonly buffer: Buffer) {}

  int8(): number {
    return this.buffer.readInt8(this.#step(1));
  }

  int16(): number {
    return this.buffer.readInt16BE(this.#step(2));
  }

  int32(): number {
    return this.buffer.readInt32BE(this.#step(4));
  }

  int64(): number {
    return Number(this.buffer.readBigInt64BE(this.#step(8)));
  }

  bool(): boolean {
    return this.int8() !== 0;
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.buffer.readUInt8(this.#step(1));
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a length in an answer of the broker is too long');
  }

  /** A view, not a copy; `null` where there is none. */
  raw(): Buffer | null {
    const length = this.uvarint();
    return length === 0 ? null : this.#take(length - 1);
  }

  nullableString(): string | null {
    return this.raw()?.toString() ?? null;
  }

  string(): string {
    return this.nullableString() ?? '';
  }

  uuid(): string {
    return this.#take(16).toString('hex');
  }

  array<T>(read: () => T): T[] {
    const items: T[] = [];
    for (let left = this.uvarint() - 1; left > 0; left--) items.push(read());
    return items;
  }

  /** Tagged fields, each by its number; what nobody asks for is passed over. */
  tags(read?: (tag: number, field: WireReader) => void): void {
    for (let left = this.uvarint(); left > 0; left--) {
      const tag = this.uvarint();
      const field = this.#take(this.uvarint());
      read?.(tag, new WireReader(field));
    }
  }

  #step(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  #take(length: number): Buffer {
    const at = this.#step(length);
    if (this.#at > this.buffer.length) throw new RangeError('an answer of the broker is cut short');
    return this.buffer.subarray(at, this.#at);
  }
}
