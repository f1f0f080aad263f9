import { isJsonText, type JsonBuffer } from '@planasonix/json-buffer';

/** Bytes as a JSON string in base64. */
export function writeBase64(out: JsonBuffer, source: Buffer, start: number, end: number): void {
  out.byte(0x22);
  out.ascii(source.toString('base64', start, end));
  out.byte(0x22);
}

export function writeDecoded(out: JsonBuffer, text: string): void {
  const bytes = Buffer.from(text);
  out.string(bytes, 0, bytes.length);
}

/** JSON as the text that is stored; a text that is none, which a server can be told to take, as a string. */
export function writeStoredJson(out: JsonBuffer, source: Buffer, start: number, end: number): void {
  if (isJsonText(source, start, end)) out.raw(source, start, end);
  else out.string(source, start, end);
}
