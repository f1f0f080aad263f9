/**
 * Places in JSON text, so that values leave as the very text that came: every digit, the order of keys, repeated keys
 * (trap 31). All of it is for text that `isJson` has found valid.
 */

import { isJsonText } from '@planasonix/json-buffer';

const [QUOTE, BACKSLASH, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT, COMMA, COLON] = [
  34, 92, 91, 93, 123, 125, 44, 58,
];
/** Nested deeper than this it is text: whoever parses it later should not have to fear for his stack. */
const DEEPEST = 200;

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Valid JSON, nested no deeper than it may be. */
export const isJson = (bytes: Buffer): boolean => isJsonText(bytes, 0, bytes.length, DEEPEST);

const isSpace = (byte: number | undefined): boolean => byte === 32 || byte === 10 || byte === 13 || byte === 9;

function skipSpace(bytes: Buffer, at: number): number {
  while (isSpace(bytes[at])) at++;
  return at;
}

function textEnd(bytes: Buffer, at: number): number {
  for (at++; bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
  return at + 1;
}

/** Just after the value that begins at `at`. */
function valueEnd(bytes: Buffer, at: number): number {
  const first = bytes[at];
  if (first === QUOTE) return textEnd(bytes, at);
  if (first !== OPEN_ARRAY && first !== OPEN_OBJECT) {
    while (at < bytes.length && !isSpace(bytes[at]) && !isEnd(bytes[at]!)) at++;
    return at;
  }
  for (let depth = 0; ;) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at = textEnd(bytes, at);
      continue;
    }
    if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) depth++;
    else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth--;
    at++;
    if (depth === 0) return at;
  }
}

const isEnd = (byte: number): boolean => byte === COMMA || byte === CLOSE_ARRAY || byte === CLOSE_OBJECT;

/** The first `most` elements of a top-level array; `null`: it is none. */
export function elements(bytes: Buffer, most: number): readonly Span[] | null {
  const start = skipSpace(bytes, 0);
  return bytes[start] === OPEN_ARRAY ? elementsAt(bytes, start, most) : null;
}

function elementsAt(bytes: Buffer, start: number, most: number): readonly Span[] {
  const found: Span[] = [];
  let at = skipSpace(bytes, start + 1);
  while (bytes[at] !== CLOSE_ARRAY && found.length < most) {
    const end = valueEnd(bytes, at);
    found.push({ start: at, end });
    at = skipSpace(bytes, end);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
  return found;
}

/** Found without a list of those before it, of which there may be millions. */
function elementAt(bytes: Buffer, start: number, index: number): Span | null {
  let at = skipSpace(bytes, start + 1);
  for (let i = 0; bytes[at] !== CLOSE_ARRAY; i++) {
    const end = valueEnd(bytes, at);
    if (i === index) return { start: at, end };
    at = skipSpace(bytes, end);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
  return null;
}

/** The value under a key; of repeated keys the last, as every parser has it. */
function member(bytes: Buffer, start: number, key: string): Span | null {
  let found: Span | null = null;
  let at = skipSpace(bytes, start + 1);
  while (bytes[at] !== CLOSE_OBJECT) {
    const nameEnd = textEnd(bytes, at);
    const name = JSON.parse(bytes.toString('utf8', at, nameEnd)) as string;
    at = skipSpace(bytes, skipSpace(bytes, nameEnd) + (bytes[skipSpace(bytes, nameEnd)] === COLON ? 1 : 0));
    const end = valueEnd(bytes, at);
    if (name === key) found = { start: at, end };
    at = skipSpace(bytes, end);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
  return found;
}

/** What a JSON pointer (RFC 6901) names; `null`: nothing. */
export function spanAt(bytes: Buffer, pointer: string): Span | null {
  let at: Span | null = { start: skipSpace(bytes, 0), end: bytes.length };
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    const first: number | undefined = bytes[at.start];
    if (first === OPEN_OBJECT) at = member(bytes, at.start, key);
    else if (first === OPEN_ARRAY && /^(?:0|[1-9][0-9]{0,8})$/.test(key)) at = elementAt(bytes, at.start, Number(key));
    else at = null;
    if (at === null) return null;
  }
  return at;
}

/** A text as it reads, any other value as its JSON text; `null`: absent or JSON's null. */
export function scalarAt(bytes: Buffer, pointer: string): string | null {
  const span = spanAt(bytes, pointer);
  if (span === null) return null;
  const text = bytes.toString('utf8', span.start, span.end).trimEnd();
  if (text === 'null') return null;
  return text.startsWith('"') ? (JSON.parse(text) as string) : text;
}
