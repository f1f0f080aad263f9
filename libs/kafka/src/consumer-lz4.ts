/** LZ4 frames, as Kafka's clients write them. The batch around it has a checksum, so those of the frame are passed over. */

const MAGIC = 0x184d2204;
const damaged = () => new RangeError('an LZ4 frame is damaged');

/** Grows as a frame needs it; a block may refer to what blocks before it wrote. */
class Output {
  buffer: Buffer;
  length = 0;

  constructor(
    guess: number,
    private readonly most: number,
  ) {
    this.buffer = Buffer.allocUnsafe(Math.min(guess, most));
  }

  room(bytes: number): void {
    const needed = this.length + bytes;
    if (needed > this.most) throw new RangeError('an LZ4 frame is too large');
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.min(this.most, Math.max(needed, this.buffer.length * 2)));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
  }

  add(bytes: Buffer, from: number, to: number): void {
    if (to > bytes.length) throw damaged();
    this.room(to - from);
    bytes.copy(this.buffer, this.length, from, to);
    this.length += to - from;
  }

  /** Copies may overlap what they write. */
  again(distance: number, length: number): void {
    if (distance < 1 || distance > this.length) throw damaged();
    this.room(length);
    const { buffer } = this;
    const from = this.length - distance;
    if (distance >= length) buffer.copyWithin(this.length, from, from + length);
    else for (let i = 0; i < length; i++) buffer[this.length + i] = buffer[from + i]!;
    this.length += length;
  }
}

function inflateBlock(block: Buffer, to: Output): void {
  let at = 0;
  const longer = (start: number): number => {
    let length = start;
    for (;;) {
      const byte = block[at++];
      if (byte === undefined) throw damaged();
      length += byte;
      if (byte !== 255) return length;
    }
  };
  while (at < block.length) {
    const token = block[at++]!;
    const literals = token >>> 4 === 15 ? longer(15) : token >>> 4;
    to.add(block, at, at + literals);
    at += literals;
    if (at >= block.length) return; // the last sequence has no copy
    if (at + 2 > block.length) throw damaged();
    const distance = block.readUInt16LE(at);
    at += 2;
    const length = ((token & 15) === 15 ? longer(15) : token & 15) + 4;
    to.again(distance, length);
  }
}

/** @throws RangeError where it is damaged, or longer than `most` bytes. */
export function unlz4(frame: Buffer, most: number): Buffer {
  if (frame.length < 7 || frame.readUInt32LE(0) !== MAGIC) throw damaged();
  const flags = frame[4]!;
  const blockChecksum = (flags & 0x10) !== 0 ? 4 : 0;
  let at = 6 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0) + 1;
  const to = new Output(frame.length * 4, most);
  for (;;) {
    if (at + 4 > frame.length) throw damaged();
    const size = frame.readUInt32LE(at);
    at += 4;
    if (size === 0) return to.buffer.subarray(0, to.length);
    const stored = size >>> 31 === 1;
    const length = size & 0x7fffffff;
    if (at + length > frame.length) throw damaged();
    if (stored) to.add(frame, at, at + length);
    else inflateBlock(frame.subarray(at, at + length), to);
    at += length + blockChecksum;
  }
}
