import { viewOf } from './words.js';

/** Longer ones are written by `Buffer.set`. */
const MANY = 56;

/**
 * Bytes that are written again and again, as words of four: a name of ten bytes costs a third of what it costs byte by byte or
 * by `Buffer.set`.
 */
export class Piece {
  readonly length: number;
  /** In the order of little-endian; none of a long one. */
  readonly words: Int32Array;

  constructor(readonly bytes: Buffer) {
    this.length = bytes.length;
    const view = viewOf(bytes);
    this.words = new Int32Array(bytes.length > MANY ? 0 : bytes.length >> 2);
    for (let i = 0; i < this.words.length; i++) this.words[i] = view.getInt32(i * 4, true);
  }

  get isLong(): boolean {
    return this.length > MANY;
  }

  toString(): string {
    return this.bytes.toString();
  }
}

/** One piece of several texts and pieces. */
export const piece = (...parts: readonly (string | Piece)[]): Piece =>
  new Piece(Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part.bytes))));
