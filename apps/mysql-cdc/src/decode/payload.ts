import { HEADER_BYTES } from './event-types.js';
import { Packed } from './packed.js';
import { unsupported } from './unsupported.js';
import { damaged, inflatedBlocks } from './zstd.js';

const [END, SIZE, COMPRESSION, INFLATED_SIZE] = [0, 1, 2, 3];
const [ZSTD, NONE] = [0, 255];

/**
 * The events of one transaction of MySQL that were written as one, whole but for their checksums, which they never had.
 * They are inflated as they are asked for, so that those of a large transaction go out before the rest is there
 * (Invariant 6); `null`: a piece was inflated, and the next event is not whole yet.
 * @param body of a TRANSACTION_PAYLOAD event
 * @throws StreamError `event_unsupported` where it is compressed in a way that is not known, or damaged
 */
export function* payloadEvents(body: Buffer): Generator<Buffer | null> {
  const { compression, inflatedBytes, payload } = opened(body);
  if (compression !== ZSTD && compression !== NONE)
    throw unsupported('a transaction that is compressed in a way that is not known');
  let held: Buffer[] = [];
  let [heldBytes, wanted, bytes] = [0, HEADER_BYTES, 0];
  for (const piece of compression === ZSTD ? inflatedBlocks(payload, inflatedBytes) : [payload]) {
    bytes += piece.length;
    held.push(piece);
    heldBytes += piece.length;
    if (heldBytes < wanted) {
      yield null;
      continue;
    }
    const all = held.length === 1 ? piece : Buffer.concat(held);
    let at = 0;
    for (wanted = sizeAt(all, at); all.length - at >= wanted; wanted = sizeAt(all, at)) {
      yield all.subarray(at, at + wanted);
      at += wanted;
    }
    held = at === all.length ? [] : [all.subarray(at)];
    heldBytes = all.length - at;
  }
  if (heldBytes > 0 || bytes !== inflatedBytes) throw damaged();
}

/** Bytes of the event that begins there; of its head, as long as that is not all there. */
function sizeAt(bytes: Buffer, at: number): number {
  if (bytes.length - at < HEADER_BYTES) return HEADER_BYTES;
  const size = bytes.readUInt32LE(at + 9);
  if (size < HEADER_BYTES) throw damaged();
  return size;
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
