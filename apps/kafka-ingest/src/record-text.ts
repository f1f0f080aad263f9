import { isUtf8 } from 'node:buffer';
import { isJsonText, type JsonBuffer } from '@planasonix/json-buffer';

export type Encoding = 'json' | 'text' | 'base64' | 'none';

export type Format = 'auto' | 'json' | 'text' | 'base64';

/** What a fixed format can't hold. `reason` is for people: no byte of the value. */
export class DoesNotFit extends Error {}

/** JSON allows line breaks and a byte order mark around a value; the text that came is kept, the mark can't be. */
const isJson = (bytes: Buffer): boolean => isJsonText(bytes, 0, bytes.length) && isUtf8(bytes);

/** @throws DoesNotFit */
export function mustBeJson(bytes: Buffer): void {
  if (!isJson(bytes)) throw new DoesNotFit('The value is not JSON.');
}

/** How bytes are shown. @throws DoesNotFit */
export function encodingOf(bytes: Buffer, format: Format): Exclude<Encoding, 'none'> {
  switch (format) {
    case 'auto':
      // Most of what is no JSON is known for that by its first byte.
      return isJson(bytes) ? 'json' : isUtf8(bytes) ? 'text' : 'base64';
    case 'json':
      mustBeJson(bytes);
      return 'json';
    case 'text':
      if (!isUtf8(bytes)) throw new DoesNotFit('The value is not UTF-8.');
      return 'text';
    case 'base64':
      return 'base64';
  }
}

function putNull(to: JsonBuffer): Encoding {
  to.ascii('null');
  return 'none';
}

function putAs(to: JsonBuffer, bytes: Buffer, encoding: Encoding): Encoding {
  if (encoding === 'json') to.raw(bytes, 0, bytes.length);
  else if (encoding === 'text') to.string(bytes, 0, bytes.length);
  else to.utf8(`"${bytes.toString('base64')}"`);
  return encoding;
}

/** Writes bytes as JSON. @returns how they are shown @throws DoesNotFit, with nothing written */
export const putBytes = (to: JsonBuffer, bytes: Buffer | null, format: Format): Encoding =>
  bytes === null ? putNull(to) : putAs(to, bytes, encodingOf(bytes, format));

/** Of a header: text or base64, never JSON. */
export const putHeader = (to: JsonBuffer, bytes: Buffer | null): Encoding =>
  bytes === null ? putNull(to) : putAs(to, bytes, isUtf8(bytes) ? 'text' : 'base64');
