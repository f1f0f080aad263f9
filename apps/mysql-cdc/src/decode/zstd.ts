import { Decompress } from 'fzstd';
import { unsupported } from './unsupported.js';

const MAGIC = 0xfd2fb528;
const RLE = 1;
/** Largest block of zstd, once it is inflated. */
const BLOCK = 128 * 1024;
/** What the slowest level of the server asks for; a frame could ask for 2 GiB. */
const WINDOW = 128 * 1024 * 1024;
/** Bytes of the number of a dictionary, and of the size of the content, by what the head says. */
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;
const CONTENT_BYTES = [0, 2, 4, 8] as const;

export const damaged = (): Error => unsupported('a compressed transaction that is damaged');

/**
 * Inflates frames of zstd block by block: no piece is larger than 128 KiB, however small the block was that it came from.
 * @param announced bytes, no more than these are inflated
 * @throws StreamError `event_unsupported` where it is damaged, or asks for a window of more than 128 MiB
 */
export function* inflatedBlocks(payload: Buffer, announced: number): Generator<Buffer> {
  let bytes = 0;
  for (let at = 0; at < payload.length;) {
    const frame = frameAt(payload, at);
    const found: Uint8Array[] = [];
    const stream = new Decompress((piece) => void found.push(piece));
    for (let last = false, end = at + frame.headBytes; !last; at = end) {
      const block = blockAt(payload, end);
      last = block.last;
      end = block.end + (last ? frame.checksumBytes : 0);
      if (end > payload.length) throw damaged();
      try {
        stream.push(payload.subarray(at, end), last);
      } catch {
        // Its errors have numbers of its own.
        throw damaged();
      }
      for (const piece of found.splice(0)) {
        bytes += piece.length;
        if (bytes > announced) throw damaged();
        yield Buffer.from(piece.buffer, piece.byteOffset, piece.length);
      }
    }
  }
}

/** The head of a frame. */
function frameAt(bytes: Buffer, at: number): { readonly headBytes: number; readonly checksumBytes: number } {
  if (at + 6 > bytes.length || bytes.readUInt32LE(at) !== MAGIC) throw damaged();
  const flags = bytes[at + 4]!;
  const single = (flags & 32) !== 0;
  const sizeAt = at + (single ? 5 : 6) + DICTIONARY_BYTES[(flags & 3) as 0 | 1 | 2 | 3];
  const sizeBytes = flags >> 6 === 0 && single ? 1 : CONTENT_BYTES[(flags >> 6) as 0 | 1 | 2 | 3];
  if (sizeAt + sizeBytes > bytes.length) throw damaged();
  const window = single ? contentSize(bytes, sizeAt, sizeBytes) : windowSize(bytes[at + 5]!);
  if (window > WINDOW)
    throw unsupported(
      'a compressed transaction that takes more than 128 MiB to inflate',
      'SET GLOBAL binlog_transaction_compression_level_zstd = 3 at the source.',
    );
  return { headBytes: sizeAt + sizeBytes - at, checksumBytes: (flags & 4) === 0 ? 0 : 4 };
}

const windowSize = (descriptor: number): number => {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
};

function contentSize(bytes: Buffer, at: number, width: number): number {
  if (width === 8) return Number(bytes.readBigUInt64LE(at));
  return bytes.readUIntLE(at, width) + (width === 2 ? 256 : 0);
}

function blockAt(bytes: Buffer, at: number): { readonly last: boolean; readonly end: number } {
  if (at + 3 > bytes.length) throw damaged();
  const head = bytes.readUIntLE(at, 3);
  const size = head >> 3;
  if (size > BLOCK) throw damaged();
  return { last: (head & 1) === 1, end: at + 3 + (((head >> 1) & 3) === RLE ? 1 : size) };
}
