import { piece, type JsonBuffer, type Piece } from '@planasonix/json-buffer';
import type { ValueWriter } from './value-writers.js';

const [OPEN, CLOSE, QUOTE, BACKSLASH, COMMA, LEFT, RIGHT] = [0x7b, 0x7d, 0x22, 0x5c, 0x2c, 0x5b, 0x5d];
const PARENTHESIS = 0x29;
const NULL = piece('null');

/** Bytes of a quoted part with its quoting taken away. */
interface Unquoted {
  readonly bytes: Buffer;
  /** Index after the closing quote. */
  readonly next: number;
}

/** `doubled`: a quote within is written twice (composites); a backslash takes the next byte as it is in both. */
function unquote(source: Buffer, quote: number, doubled: boolean): Unquoted {
  const bytes = Buffer.allocUnsafe(source.length - quote);
  let length = 0;
  let i = quote + 1;
  for (; i < source.length; i++) {
    const code = source[i]!;
    if (code === BACKSLASH) bytes[length++] = source[++i]!;
    else if (code !== QUOTE) bytes[length++] = code;
    else if (doubled && source[i + 1] === QUOTE) bytes[length++] = source[++i]!;
    else break;
  }
  return { bytes: bytes.subarray(0, length), next: i + 1 };
}

const isNull = (source: Buffer, start: number, end: number): boolean =>
  end - start === 4 &&
  (source[start]! | 32) === 0x6e &&
  (source[start + 1]! | 32) === 0x75 &&
  (source[start + 2]! | 32) === 0x6c &&
  (source[start + 3]! | 32) === 0x6c;

/** `{1,NULL,"a b"}`, of any depth, with or without bounds (`[0:1]={…}`: bounds are not part of JSON). */
export const arrayWriter =
  (element: ValueWriter, delimiter: number): ValueWriter =>
  (out, whole, start, end) => {
    const source = whole.subarray(start, end);
    let i = source[0] === LEFT ? source.indexOf(0x3d) + 1 : 0;
    for (; i < source.length;) {
      const code = source[i]!;
      if (code === OPEN || code === CLOSE) {
        out.byte(code === OPEN ? LEFT : RIGHT);
        i++;
      } else if (code === delimiter) {
        out.byte(COMMA);
        i++;
      } else if (code === QUOTE) {
        const { bytes, next } = unquote(source, i, false);
        element(out, bytes, 0, bytes.length);
        i = next;
      } else {
        const from = i;
        // An unquoted element may hold escapes only in forms that the server always quotes.
        while (i < source.length && source[i] !== delimiter && source[i] !== CLOSE) i++;
        if (isNull(source, from, i)) out.put(NULL);
        else element(out, source, from, i);
      }
    }
  };

/** int2vector and oidvector: `1 2 3`. */
export const vectorWriter =
  (element: ValueWriter): ValueWriter =>
  (out, source, start, end) => {
    out.byte(LEFT);
    for (let i = start; i < end;) {
      let next = source.indexOf(0x20, i);
      if (next < 0 || next > end) next = end;
      if (i > start) out.byte(COMMA);
      element(out, source, i, next);
      i = next + 1;
    }
    out.byte(RIGHT);
  };

export interface CompositeField {
  /** `"name":` */
  readonly label: Piece;
  readonly write: ValueWriter;
}

/** A value has other fields than its type is known to have: the type was changed, and the server says so to nobody. */
export class FieldsChanged extends Error {
  constructor() {
    super('A value of a composite type has other fields than the type is known to have.');
  }
}

/**
 * `(1,"a ""b""",)`: nothing between commas is null, `""` is the empty text.
 *
 * @param changed what to do with a value of other fields: `ask` throws `FieldsChanged`, `text` gives the server's text.
 */
export const compositeWriter =
  (fields: readonly CompositeField[], changed: () => 'ask' | 'text'): ValueWriter =>
  (out, whole, start, end) => {
    const source = whole.subarray(start, end);
    const since = out.written;
    let i = 1;
    let same = true;
    out.byte(OPEN);
    fields.forEach((field, n) => {
      if (n > 0) out.byte(COMMA);
      out.put(field.label);
      i = compositeField(out, source, i, field.write) + 1;
      same &&= source[i - 1] === (n === fields.length - 1 ? PARENTHESIS : COMMA);
    });
    out.byte(CLOSE);
    if (same && (fields.length > 0 ? i === source.length : source.length === 2)) return;
    if (changed() === 'ask') throw new FieldsChanged();
    out.rewind(since);
    out.string(whole, start, end);
  };

/** @returns the index of the comma or parenthesis after the field. */
function compositeField(out: JsonBuffer, source: Buffer, from: number, write: ValueWriter): number {
  const ends = (i: number): boolean => source[i] === COMMA || source[i] === PARENTHESIS || i >= source.length;
  if (ends(from)) {
    out.put(NULL);
    return from;
  }
  if (source[from] !== QUOTE) {
    let i = from;
    while (!ends(i)) i++;
    write(out, source, from, i);
    return i;
  }
  const { bytes, next } = unquote(source, from, true);
  write(out, bytes, 0, bytes.length);
  return next;
}

/** `"a"=>"1", "b"=>NULL`: hstore's cast to json makes an object of texts. */
export const hstoreWriter: ValueWriter = (out, whole, start, end) => {
  const source = whole.subarray(start, end);
  out.byte(OPEN);
  for (let i = 0, n = 0; i < source.length; n++) {
    if (n > 0) out.byte(COMMA);
    const key = unquote(source, i, false);
    out.string(key.bytes, 0, key.bytes.length);
    out.byte(0x3a);
    i = key.next + 2;
    if (source[i] === QUOTE) {
      const value = unquote(source, i, false);
      out.string(value.bytes, 0, value.bytes.length);
      i = value.next + 2;
    } else {
      out.put(NULL);
      i += 6;
    }
  }
  out.byte(CLOSE);
};
