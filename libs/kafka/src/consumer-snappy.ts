/** Snappy as Kafka's clients write it: one block (librdkafka), or blocks in the frame of xerial's Java library. */

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER = 16;

const damaged = () => new RangeError('a snappy block is damaged');

function blockLength(block: Buffer): { readonly length: number; readonly at: number } {
  let length = 0;
  for (let at = 0, shift = 0; at < 5; at++, shift += 7) {
    const byte = block[at]!;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { length, at: at + 1 };
  }
  throw damaged();
}

function littleEndian(bytes: Buffer, at: number, count: number): number {
  if (at + count > bytes.length) throw damaged();
  return bytes.readUIntLE(at, count);
}

/** Copies may overlap what they write: a run of one byte is a copy of the byte before. */
function copyBack(to: Buffer, at: number, distance: number, length: number): void {
  if (distance < 1 || distance > at || at + length > to.length) throw damaged();
  if (distance >= length) to.copyWithin(at, at - distance, at - distance + length);
  else for (let end = at + length; at < end; at++) to[at] = to[at - distance]!;
}

function inflateBlock(block: Buffer, most: number): Buffer {
  const head = blockLength(block);
  if (head.length > most) throw new RangeError('a snappy block is too large');
  const to = Buffer.allocUnsafe(head.length);
  let { at } = head;
  let written = 0;
  while (at < block.length) {
    const tag = block[at++]!;
    if ((tag & 3) === 0) {
      let length = (tag >>> 2) + 1;
      if (length > 60) {
        const extra = length - 60;
        length = littleEndian(block, at, extra) + 1;
        at += extra;
      }
      if (at + length > block.length || written + length > to.length) throw damaged();
      block.copy(to, written, at, at + length);
      at += length;
      written += length;
      continue;
    }
    const kind = tag & 3;
    const length = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
    const extra = kind === 3 ? 4 : kind;
    const distance = littleEndian(block, at, extra) + (kind === 1 ? (tag >>> 5) << 8 : 0);
    at += extra;
    copyBack(to, written, distance, length);
    written += length;
  }
  if (written !== to.length) throw damaged();
  return to;
}

/** @throws RangeError where it is damaged, or longer than `most` bytes. */
export function unsnappy(bytes: Buffer, most: number): Buffer {
  if (!bytes.subarray(0, XERIAL.length).equals(XERIAL)) return inflateBlock(bytes, most);
  const blocks: Buffer[] = [];
  let left = most;
  for (let at = XERIAL_HEADER; at < bytes.length;) {
    if (at + 4 > bytes.length) throw damaged();
    const length = bytes.readUInt32BE(at);
    at += 4;
    if (at + length > bytes.length) throw damaged();
    const block = inflateBlock(bytes.subarray(at, at + length), left);
    blocks.push(block);
    left -= block.length;
    at += length;
  }
  return Buffer.concat(blocks);
}
