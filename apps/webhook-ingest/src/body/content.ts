import { isUtf8 } from 'node:buffer';
import { elements, isJson } from './json-text.js';

/** One body, or one part of it: its text is JSON already where `encoding` is `json`. */
export interface Content {
  readonly encoding: 'json' | 'text' | 'base64';
  readonly bytes: Buffer;
}

const JSON_TYPE = /^(?:application\/(?:[\w.+-]+\+)?json|text\/json)\b/i;
const LINES_TYPE = /^application\/(?:x-)?(?:ndjson|jsonl|jsonlines|json-seq|json-lines)\b/i;
const NEWLINE = 10;
/** Events of one delivery at the most. Invariant 6. */
export const MOST_PARTS = 10_000;

/**
 * JSON as it came, else text, else base64: nothing is repaired (trap 31).
 * @param valid whether the bytes are JSON, for whoever knows it already
 */
export function contentOf(bytes: Buffer, type: string, valid = () => isJson(bytes)): Content {
  if (!isUtf8(bytes)) return { encoding: 'base64', bytes };
  const mayBeJson = type === '' || JSON_TYPE.test(type);
  return { encoding: bytes.length > 0 && mayBeJson && valid() ? 'json' : 'text', bytes };
}

/** Elements of a top-level array or lines of NDJSON; another JSON value is one part. `null`: not to be taken apart. */
export function partsOf(bytes: Buffer, type: string): readonly Content[] | null {
  if (!isUtf8(bytes)) return null;
  if (LINES_TYPE.test(type)) return linesOf(bytes);
  if (!isJson(bytes)) return null;
  const spans = elements(bytes) ?? [{ start: 0, end: bytes.length }];
  return spans.map(({ start, end }) => ({ encoding: 'json', bytes: bytes.subarray(start, end) }));
}

function linesOf(bytes: Buffer): readonly Content[] | null {
  const parts: Content[] = [];
  for (let at = 0; at < bytes.length;) {
    const found = bytes.indexOf(NEWLINE, at);
    const end = found < 0 ? bytes.length : found;
    const line = bytes.subarray(at, end);
    at = end + 1;
    if (line.toString().trim() === '') continue;
    if (!isJson(line)) return null;
    parts.push({ encoding: 'json', bytes: line });
  }
  return parts;
}
