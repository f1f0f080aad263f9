import { isUtf8 } from 'node:buffer';
import { elements, isJson } from './json-text.js';

/** One body, or one part of it: its text is JSON already where `encoding` is `json`. */
export interface Content {
  readonly encoding: 'json' | 'text' | 'base64';
  readonly bytes: Buffer;
}

const JSON_TYPE = /^(?:application\/(?:[\w.+-]+\+)?json|text\/json)\b/i;
const LINES_TYPE = /^application\/(?:x-)?(?:ndjson|jsonl|jsonlines|json-seq|json-lines)\b/i;
const SEQUENCE_TYPE = /^application\/(?:x-)?json-seq\b/i;
const NEWLINE = 10;
/** Before each text of a sequence (RFC 7464), which may have newlines of its own. */
const RECORD_SEPARATOR = 30;
/** Events of one delivery at the most. Invariant 6. */
const MOST_PARTS = 10_000;
/** How many bytes of JSON each byte of a text becomes. */
const ESCAPED = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 128 ? JSON.stringify(String.fromCharCode(byte)).length - 2 : 1,
);

/**
 * JSON as it came, else text, else base64: nothing is repaired (trap 31).
 * @param valid whether the bytes are JSON, for whoever knows it already
 */
export function contentOf(bytes: Buffer, type: string, valid = () => isJson(bytes)): Content {
  if (!isUtf8(bytes)) return { encoding: 'base64', bytes };
  const mayBeJson = type === '' || JSON_TYPE.test(type);
  return { encoding: bytes.length > 0 && mayBeJson && valid() ? 'json' : 'text', bytes };
}

/** Bytes of a text as JSON. */
function quotedLength(bytes: Buffer): number {
  let length = bytes.length + 2;
  for (let at = 0; at < bytes.length; at++) length += ESCAPED[bytes[at]!]! - 1;
  return length;
}

/** How long the body of an event is, before anything is built. */
export function lengthOf({ encoding, bytes }: Content): number {
  if (encoding === 'json') return bytes.length;
  return encoding === 'text' ? quotedLength(bytes) : Math.ceil(bytes.length / 3) * 4 + 2;
}

/** Why a body is not taken apart: it can't be, or into more parts than there may be. */
export type NotApart = 'json_broken' | 'parts_too_many';

/** Elements of a top-level array, lines of NDJSON or texts of a sequence; another JSON value is one part. */
export function partsOf(bytes: Buffer, type: string): readonly Content[] | NotApart {
  if (!isUtf8(bytes)) return 'json_broken';
  const isSequence = SEQUENCE_TYPE.test(type) && bytes.includes(RECORD_SEPARATOR);
  if (LINES_TYPE.test(type)) return textsOf(bytes, isSequence ? RECORD_SEPARATOR : NEWLINE);
  if (!isJson(bytes)) return 'json_broken';
  const spans = elements(bytes, MOST_PARTS + 1) ?? [{ start: 0, end: bytes.length }];
  if (spans.length > MOST_PARTS) return 'parts_too_many';
  return spans.map(({ start, end }) => ({ encoding: 'json', bytes: bytes.subarray(start, end) }));
}

function textsOf(bytes: Buffer, separator: number): readonly Content[] | NotApart {
  const parts: Content[] = [];
  for (let at = 0; at < bytes.length;) {
    const found = bytes.indexOf(separator, at);
    const end = found < 0 ? bytes.length : found;
    const line = bytes.subarray(at, end);
    at = end + 1;
    if (line.toString().trim() === '') continue;
    if (parts.length === MOST_PARTS) return 'parts_too_many';
    if (!isJson(line)) return 'json_broken';
    parts.push({ encoding: 'json', bytes: line });
  }
  return parts;
}
