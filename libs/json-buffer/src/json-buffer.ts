import type { Piece } from './piece.js';
import { copyBytes, plainUntil, viewOf } from './words.js';

const CHUNK = 256 * 1024;

/**
 * Where JSON is written, byte by byte, without a string in between. Memory comes in chunks; a finished piece is a view
 * into its chunk, so nothing is copied and a chunk lives as long as its youngest event.
 */
export class JsonBuffer {
  bytes: Buffer = Buffer.allocUnsafeSlow(CHUNK);
  private view = viewOf(this.bytes);
  /** Next byte to write. */
  at = 0;
  private from = 0;

  /** Begins a piece. */
  begin(): void {
    this.from = this.at;
  }

  /** Makes room for `n` more bytes; the piece that is being written moves to a new chunk if it has to. */
  need(n: number): void {
    if (this.at + n <= this.bytes.length) return;
    const written = this.at - this.from;
    const next = Buffer.allocUnsafeSlow(Math.max(CHUNK, (written + n) * 2));
    this.bytes.copy(next, 0, this.from, this.at);
    this.bytes = next;
    this.view = viewOf(next);
    this.from = 0;
    this.at = written;
  }

  /** The piece since `begin`. */
  take(): Buffer {
    return this.bytes.subarray(this.from, this.at);
  }

  /** Bytes written since `begin`: a place to come back to with `slice`. */
  get written(): number {
    return this.at - this.from;
  }

  /** Text of the piece from a `written` of before to another one, or to here. */
  text(since: number, until = this.written): string {
    return this.bytes.toString('utf8', this.from + since, this.from + until);
  }

  /** Takes back everything since a `written` of before. */
  rewind(to: number): void {
    this.at = this.from + to;
  }

  put(piece: Piece): void {
    const { length, words, bytes: given } = piece;
    this.need(length);
    const { bytes, view, at } = this;
    let i = 0;
    if (piece.isLong) bytes.set(given, at);
    else {
      for (let n = 0; n < words.length; n++, i += 4) view.setInt32(at + i, words[n]!, true);
      for (; i < length; i++) bytes[at + i] = given[i]!;
    }
    this.at = at + length;
  }

  /** Text of which every character is one byte. */
  ascii(text: string): void {
    this.need(text.length);
    const { bytes } = this;
    let { at } = this;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.at = at;
  }

  utf8(text: string): void {
    this.need(Buffer.byteLength(text));
    this.at += this.bytes.write(text, this.at);
  }

  /** @param value whole, not negative and safe. */
  integer(value: number): void {
    let width = 1;
    for (let power = 10; value >= power; power *= 10) width++;
    this.digits(value, width);
  }

  /** The last `width` digits, with zeros before them. @param value whole, not negative and safe. */
  digits(value: number, width: number): void {
    this.need(width);
    const { bytes, at } = this;
    let rest = value;
    for (let i = at + width - 1; i >= at; i--) {
      const next = Math.floor(rest / 10);
      // In this order all of it is exact.
      bytes[i] = 0x30 + (rest - next * 10);
      rest = next;
    }
    this.at = at + width;
  }

  /** @param value of 32 bits, in upper case and without leading zeros. */
  hex(value: number): void {
    this.need(8);
    const { bytes } = this;
    let { at } = this;
    for (let shift = (31 - Math.clz32(value | 1)) & ~3; shift >= 0; shift -= 4)
      bytes[at++] = HEX[(value >>> shift) & 0xf]!;
    this.at = at;
  }

  /** Bytes as they are. */
  raw(source: Buffer, start: number, end: number): void {
    const length = end - start;
    this.need(length);
    copyBytes(this.bytes, this.view, this.at, source, start, end);
    this.at += length;
  }

  byte(code: number): void {
    this.need(1);
    this.bytes[this.at++] = code;
  }

  /** UTF-8 bytes as a JSON string. */
  string(source: Buffer, start: number, end: number): void {
    const plain = plainUntil(source, start, end);
    this.need(end - start + 2);
    this.bytes[this.at++] = 0x22;
    this.raw(source, start, plain);
    if (plain < end) this.escaped(source, plain, end);
    this.byte(0x22);
  }

  /** UTF-8 bytes as they stand within a JSON string. */
  stringPart(source: Buffer, start: number, end: number): void {
    const plain = plainUntil(source, start, end);
    this.raw(source, start, plain);
    if (plain < end) this.escaped(source, plain, end);
  }

  /** The rest of a string, from the first byte on that needs an escape. */
  private escaped(source: Buffer, start: number, end: number): void {
    for (let i = start; i < end;) {
      const code = source[i]!;
      const short = SHORT[code];
      this.byte(0x5c);
      if (short !== undefined) this.byte(short);
      else this.ascii(`u00${code < 16 ? '0' : ''}${code.toString(16)}`);
      const plain = plainUntil(source, ++i, end);
      this.raw(source, i, plain);
      i = plain;
    }
  }
}

const HEX = Buffer.from('0123456789ABCDEF');

const SHORT: Readonly<Record<number, number>> = {
  0x08: 0x62,
  0x09: 0x74,
  0x0a: 0x6e,
  0x0c: 0x66,
  0x0d: 0x72,
  0x22: 0x22,
  0x5c: 0x5c,
};
