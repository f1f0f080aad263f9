/** Whether bytes are JSON, without making anything of them. */
import { plainUntil } from './words.js';

const [QUOTE, BACKSLASH, COMMA, COLON, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [
  0x22, 0x5c, 0x2c, 0x3a, 0x5b, 0x5d, 0x7b, 0x7d,
];
const [ZERO, NINE, MINUS, PLUS, POINT] = [0x30, 0x39, 0x2d, 0x2b, 0x2e];
const AFTER_BACKSLASH = new Set(Buffer.from('"\\/bfnrt'));
/** By their first byte. */
const WORDS: readonly (Buffer | undefined)[] = wordsByFirst(['true', 'false', 'null']);

function wordsByFirst(words: readonly string[]) {
  const found = new Array<Buffer | undefined>(256).fill(undefined);
  for (const word of words) found[word.charCodeAt(0)] = Buffer.from(word);
  return found;
}

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x09 || byte === 0x0d;
const isDigit = (byte: number): boolean => byte >= ZERO && byte <= NINE;
const isHex = (byte: number): boolean =>
  isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);

/** The kind of value, and of text between values, that may come next. */
type Next = 'value' | 'value or end' | 'key' | 'key or end' | 'after';

/**
 * Goes over JSON text from `at` on. Bytes above 0x7f may stand in strings alone, and are not looked at. What it steps over ends
 * behind its last byte; -1 is what can't be stepped over.
 */
class Walk {
  constructor(
    private readonly bytes: Buffer,
    private at: number,
    private readonly end: number,
    private readonly deepest: number,
  ) {}

  isJson(): boolean {
    /** The brackets that are open, the innermost last: `true` is an object. */
    const open: boolean[] = [];
    for (let next: Next = 'value'; ;) {
      this.spaces();
      const byte = this.at < this.end ? this.bytes[this.at]! : -1;
      if (next === 'after') {
        const inner = open.at(-1);
        if (inner === undefined) return byte === -1;
        if (byte === COMMA) next = inner ? 'key' : 'value';
        else if (byte === (inner ? CLOSE_OBJECT : CLOSE_ARRAY)) open.pop();
        else return false;
        this.at++;
      } else if (
        (next === 'value or end' && byte === CLOSE_ARRAY) ||
        (next === 'key or end' && byte === CLOSE_OBJECT)
      ) {
        open.pop();
        this.at++;
        next = 'after';
      } else if (next === 'key' || next === 'key or end') {
        if (byte !== QUOTE || !this.string()) return false;
        this.spaces();
        if (this.bytes[this.at] !== COLON || this.at++ >= this.end) return false;
        next = 'value';
      } else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
        if (open.length === this.deepest) return false;
        open.push(byte === OPEN_OBJECT);
        this.at++;
        next = byte === OPEN_OBJECT ? 'key or end' : 'value or end';
      } else {
        if (!(byte === QUOTE ? this.string() : byte === MINUS || isDigit(byte) ? this.number() : this.word()))
          return false;
        next = 'after';
      }
    }
  }

  private spaces(): void {
    const { bytes, end } = this;
    let { at } = this;
    while (at < end && isSpace(bytes[at]!)) at++;
    this.at = at;
  }

  private string(): boolean {
    const { bytes, end } = this;
    for (let at = plainUntil(bytes, this.at + 1, end); at < end; at = plainUntil(bytes, at + 1, end)) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        this.at = at + 1;
        return true;
      }
      if (byte !== BACKSLASH) return false;
      const escaped = bytes[++at]!;
      if (escaped === 0x75) {
        for (const last = at + 4; at < last;) if (++at >= end || !isHex(bytes[at]!)) return false;
      } else if (!AFTER_BACKSLASH.has(escaped)) return false;
    }
    return false;
  }

  private digits(): boolean {
    const from = this.at;
    while (this.at < this.end && isDigit(this.bytes[this.at]!)) this.at++;
    return this.at > from;
  }

  private is(byte: number): boolean {
    return this.at < this.end && this.bytes[this.at] === byte;
  }

  private number(): boolean {
    if (this.is(MINUS)) this.at++;
    if (this.is(ZERO)) this.at++;
    else if (!this.digits()) return false;
    if (this.is(POINT)) {
      this.at++;
      if (!this.digits()) return false;
    }
    if (this.is(0x65) || this.is(0x45)) {
      this.at++;
      if (this.is(PLUS) || this.is(MINUS)) this.at++;
      return this.digits();
    }
    return true;
  }

  private word(): boolean {
    const { bytes, at, end } = this;
    const word = WORDS[bytes[at]!];
    if (word === undefined || at + word.length > end) return false;
    for (let i = 1; i < word.length; i++) if (bytes[at + i] !== word[i]) return false;
    this.at = at + word.length;
    return true;
  }
}

/**
 * Whether the bytes from `start` to `end` are one JSON value, as `JSON.parse` has it.
 * @param deepest arrays and objects that may be open at once
 */
export const isJsonText = (bytes: Buffer, start: number, end: number, deepest = Number.POSITIVE_INFINITY): boolean =>
  new Walk(bytes, start, end, deepest).isJson();
