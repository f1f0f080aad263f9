import { putVarint } from './varint.js';

/** Headers one after the other, as a record has them. */
export interface OutHeaders {
  readonly count: number;
  readonly bytes: Buffer;
}

const CHUNK = 64 * 1024;
/** Of a varint. */
const MOST_LENGTH = 5;
/** Longer text goes by a call into C++. */
const SHORT = 96;

/** Where headers are written. Memory comes in chunks; what is taken is a view into one, and lives on with it. */
export class HeaderWriter {
  #bytes = Buffer.allocUnsafeSlow(CHUNK);
  #at = 0;
  #from = 0;
  #count = 0;

  /** @param name as `headerName` made it. @param value `null` is a header without a value, which is not the empty one */
  add(name: Buffer, value: string | Buffer | null): this {
    this.#need(name.length + MOST_LENGTH + (value === null ? 0 : value.length * (typeof value === 'string' ? 3 : 1)));
    const bytes = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < name.length; i++) bytes[at++] = name[i]!;
    if (value === null) this.#at = putVarint(bytes, at, -1);
    else if (typeof value === 'string') this.#at = putText(bytes, at, value);
    else {
      at = putVarint(bytes, at, value.length);
      bytes.set(value, at);
      this.#at = at + value.length;
    }
    this.#count++;
    return this;
  }

  /** Those since the last time. */
  take(): OutHeaders {
    const taken = { count: this.#count, bytes: this.#bytes.subarray(this.#from, this.#at) };
    this.#from = this.#at;
    this.#count = 0;
    return taken;
  }

  #need(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const begun = this.#bytes.subarray(this.#from, this.#at);
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(CHUNK, begun.length + bytes));
    this.#bytes.set(begun);
    this.#from = 0;
    this.#at = begun.length;
  }
}

export function headerName(name: string): Buffer {
  const text = Buffer.from(name);
  const bytes = Buffer.alloc(MOST_LENGTH + text.length);
  const at = putVarint(bytes, 0, text.length);
  bytes.set(text, at);
  return bytes.subarray(0, at + text.length);
}

/** @returns the place after it */
function putText(to: Buffer, start: number, text: string): number {
  const { length } = text;
  if (length <= SHORT) {
    let at = putVarint(to, start, length);
    let i = 0;
    for (; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) break;
      to[at++] = code;
    }
    if (i === length) return at;
  }
  const at = putVarint(to, start, Buffer.byteLength(text));
  return at + to.write(text, at);
}
