import { isUtf8 } from 'node:buffer';
import { isJsonText } from '@planasonix/json-buffer';

export type Encoding = 'json' | 'text' | 'base64' | 'none';

/** A value as JSON text, and how it was made. */
export interface Encoded {
  readonly json: string;
  readonly encoding: Encoding;
}

export type Format = 'auto' | 'json' | 'text' | 'base64';

export const NONE: Encoded = { json: 'null', encoding: 'none' };

/** What a fixed format can't hold. `reason` is for people: no byte of the value. */
export class DoesNotFit extends Error {}

/** JSON allows line breaks and a byte order mark around a value; the text that came is kept, the mark can't be. */
function json(bytes: Buffer): Encoded | null {
  // Most of what is none is known for that by its first byte.
  return isJsonText(bytes, 0, bytes.length) && isUtf8(bytes) ? { json: bytes.toString(), encoding: 'json' } : null;
}

const text = (bytes: Buffer): Encoded | null =>
  isUtf8(bytes) ? { json: JSON.stringify(bytes.toString()), encoding: 'text' } : null;

const base64 = (bytes: Buffer): Encoded => ({ json: `"${bytes.toString('base64')}"`, encoding: 'base64' });

/** @throws DoesNotFit */
export function encode(bytes: Buffer | null, format: Format): Encoded {
  if (bytes === null) return NONE;
  switch (format) {
    case 'auto':
      return json(bytes) ?? text(bytes) ?? base64(bytes);
    case 'json': {
      const found = json(bytes);
      if (found === null) throw new DoesNotFit('The value is not JSON.');
      return found;
    }
    case 'text': {
      const found = text(bytes);
      if (found === null) throw new DoesNotFit('The value is not UTF-8.');
      return found;
    }
    case 'base64':
      return base64(bytes);
  }
}

/** Of a header: text or base64, never JSON. */
export const encodeHeader = (bytes: Buffer | null): Encoded => (bytes === null ? NONE : (text(bytes) ?? base64(bytes)));
