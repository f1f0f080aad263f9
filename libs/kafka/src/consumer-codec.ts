import * as zlib from 'node:zlib';
import { Decompress } from 'fzstd';
import { unlz4 } from './consumer-lz4.js';
import { unsnappy } from './consumer-snappy.js';

/** What a batch may be once it is inflated: a broker's limit is for what it was sent. Invariant 6. */
const MOST = 256 * 1024 * 1024;

type Inflate = (bytes: Buffer, most: number) => Buffer;

/** Node has it from 22.15 on. */
const native = (zlib as { zstdDecompressSync?: (bytes: Buffer, options: { maxOutputLength: number }) => Buffer })
  .zstdDecompressSync;

/** In pieces, so that what is too large is noticed before it is all there. */
function unzstdInJs(bytes: Buffer, most: number): Buffer {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const stream = new Decompress((piece) => {
    length += piece.length;
    if (length > most) throw new RangeError('a zstd frame is too large');
    pieces.push(piece);
  });
  stream.push(bytes, true);
  return Buffer.concat(pieces, length);
}

const unzstd: Inflate = native ? (bytes, most) => native(bytes, { maxOutputLength: most }) : unzstdInJs;

/** By their number in the attributes of a batch: every one that the protocol has (trap 25). */
const CODECS: readonly (Inflate | null)[] = [
  null,
  (bytes, most) => zlib.gunzipSync(bytes, { maxOutputLength: most }),
  unsnappy,
  unlz4,
  unzstd,
];

/**
 * @param codec its number in the attributes of a batch: 1 gzip, 2 snappy, 3 LZ4, 4 zstd
 * @throws RangeError where there is no such codec, it is damaged, or it is too large
 */
export function inflate(codec: number, bytes: Buffer): Buffer {
  const found = CODECS[codec];
  if (found === undefined) throw new RangeError(`codec ${codec} is not known`);
  if (found === null) return bytes;
  try {
    return found(bytes, MOST);
  } catch (error) {
    // zlib and zstd have errors of their own.
    throw error instanceof RangeError ? error : new RangeError('what was compressed is damaged', { cause: error });
  }
}
