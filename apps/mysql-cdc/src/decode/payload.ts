import { Decompress } from 'fzstd';
import { HEADER_BYTES } from './event-types.js';
import { Packed } from './packed.js';
import { unsupported } from './unsupported.js';

const [END, SIZE, COMPRESSION, INFLATED_SIZE] = [0, 1, 2, 3];
const [ZSTD, NONE] = [0, 255];
/** So much is inflated at once: what is made of a large transaction goes out before the rest is there (Invariant 6). */
const PIECE = 16 * 1024;

const damaged = (): Error => unsupported('a compressed transaction that is damaged');

/**
 * The events of one transaction of MySQL that were written as one, whole but for their checksums, which they never had.
 * @param body of a TRANSACTION_PAYLOAD event
 * @throws StreamError `event_unsupported` where it is compressed in a way that is not known, or damaged
 */
export function* payloadEvents(body: Buffer): Generator<Buffer> {
  const { compression, inflatedBytes, payload } = opened(body);
  if (compression !== ZSTD && compression !== NONE)
    throw unsupported('a transaction that is compressed in a way that is not known');
  let rest: Buffer = Buffer.alloc(0);
  let bytes = 0;
  for (const piece of compression === ZSTD ? inflatedPieces(payload, inflatedBytes) : [payload]) {
    bytes += piece.length;
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let at = 0;
    while (rest.length - at >= HEADER_BYTES) {
      const size = rest.readUInt32LE(at + 9);
      if (size < HEADER_BYTES) throw damaged();
      if (rest.length - at < size) break;
      yield rest.subarray(at, at + size);
      at += size;
    }
    rest = rest.subarray(at);
  }
  if (rest.length > 0 || bytes !== inflatedBytes) throw damaged();
}

function opened(body: Buffer): { compression: number; inflatedBytes: number; payload: Buffer } {
  try {
    const packed = new Packed(body, 0);
    const fields = new Map<number, number>();
    for (let field = packed.length(); field !== END; field = packed.length()) {
      const end = packed.length() + packed.at;
      fields.set(field, packed.length());
      if (packed.at !== end) throw damaged();
    }
    const [size, compression] = [fields.get(SIZE), fields.get(COMPRESSION) ?? NONE];
    if (size === undefined || packed.at + size > body.length) throw damaged();
    const payload = body.subarray(packed.at, packed.at + size);
    return { compression, inflatedBytes: fields.get(INFLATED_SIZE) ?? size, payload };
  } catch (error) {
    throw error instanceof RangeError ? damaged() : error;
  }
}

/** No more than was announced. */
function* inflatedPieces(payload: Buffer, announced: number): Generator<Buffer> {
  let found: Uint8Array[] = [];
  let bytes = 0;
  const stream = new Decompress((piece) => {
    bytes += piece.length;
    if (bytes > announced) throw damaged();
    found.push(piece);
  });
  for (let at = 0; at < payload.length; at += PIECE) {
    try {
      stream.push(payload.subarray(at, at + PIECE), at + PIECE >= payload.length);
    } catch {
      // Its errors have numbers of its own.
      throw damaged();
    }
    if (found.length > 0) yield Buffer.concat(found);
    found = [];
  }
}
