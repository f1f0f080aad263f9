import { isUtf8 } from 'node:buffer';
import { isJsonText, type JsonBuffer } from '@planasonix/json-buffer';

/** Bytes as a JSON string in base64. */
export function writeBase64(out: JsonBuffer, source: Buffer, start: number, end: number): void {
  out.byte(0x22);
  out.ascii(source.toString('base64', start, end));
  out.byte(0x22);
}

/** Where the next byte stands that half of a surrogate pair could begin with: looked for once per event, for few texts hold one. */
const ahead = { source: Buffer.alloc(0), from: 0, at: 0 };
const LEAD = 0xed;

function leadFrom(source: Buffer, start: number): number {
  if (source !== ahead.source || start < ahead.from || start > ahead.at) {
    const at = source.indexOf(LEAD, start);
    Object.assign(ahead, { source, from: start, at: at < 0 ? source.length : at });
  }
  return ahead.at;
}

/** UTF-8 as a JSON string. MariaDB takes half of a surrogate pair for a character; JSON has an escape for it, and UTF-8 nothing. */
export function writeText(out: JsonBuffer, source: Buffer, start: number, end: number): void {
  if (leadFrom(source, start) >= end || isUtf8(source.subarray(start, end))) return out.string(source, start, end);
  out.byte(0x22);
  let from = start;
  for (let at = start; at + 2 < end; at++) {
    const second = source[at + 1]!;
    if (source[at] !== LEAD || second < 0xa0) continue;
    out.stringPart(source, from, at);
    out.ascii(`\\u${(0xd000 | ((second & 63) << 6) | (source[at + 2]! & 63)).toString(16)}`);
    from = at + 3;
  }
  out.stringPart(source, from, end);
  out.byte(0x22);
}

/** The same from UCS-2, which has no pairs: halves alone. */
export const writeHalves = (out: JsonBuffer, text: string): void =>
  out.utf8(JSON.stringify(text).replace(/[\ud800-\udfff]/g, (half) => `\\u${half.charCodeAt(0).toString(16)}`));

export function writeDecoded(out: JsonBuffer, text: string): void {
  const bytes = Buffer.from(text);
  out.string(bytes, 0, bytes.length);
}

/** JSON as the text that is stored; a text that is none, which a server can be told to take, as a string. */
export function writeStoredJson(out: JsonBuffer, source: Buffer, start: number, end: number): void {
  if (isJsonText(source, start, end)) out.raw(source, start, end);
  else out.string(source, start, end);
}
