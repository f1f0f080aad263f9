import { inflateSync } from 'node:zlib';
import type { RowsKind } from './event-types.js';
import { unsupported } from './unsupported.js';

/** Largest size that a compressed event may grow to. */
const INFLATED = 1 << 30;

/** MariaDB: a byte with how many more hold the length, the length, and what zlib made. */
export function inflate(bytes: Buffer): Buffer {
  const width = bytes[0]! & 7;
  const length = bytes.readUIntBE(1, width);
  if (((bytes[0]! >> 4) & 7) !== 0 || length > INFLATED)
    throw unsupported('an event that is compressed in a way that is not known');
  const text = inflateSync(bytes.subarray(1 + width), { maxOutputLength: Math.max(length, 1) });
  if (text.length !== length) throw unsupported('a compressed event that is cut short');
  return text;
}

/** Rows are compressed, what stands before them is not. */
export function inflated(body: Buffer, from: number, columns: number, { change }: RowsKind): Buffer {
  const width = columns < 251 ? 1 : 3;
  const rows = from + width + ((columns + 7) >> 3) * (change === 'update' ? 2 : 1);
  return Buffer.concat([body.subarray(0, rows), inflate(body.subarray(rows))]);
}
