import { payloadEvents } from './payload.js';
import { inflatedBlocks } from './zstd.js';

const [RAW, RLE] = [0, 1];

/** Events of a head and that many bytes, as they stand in a payload: nothing but their size counts here. */
const events = (...sizes: number[]): Buffer[] =>
  sizes.map((size, n) => {
    const event = Buffer.alloc(19 + size, n + 1);
    event.writeUInt32LE(19 + size, 9);
    return event;
  });

interface Block {
  readonly type: number;
  readonly size: number;
  readonly bytes: Buffer;
}

/** A frame of zstd with a window of 128 KiB; blocks are as they are, or one byte many times. */
const zstd = (...blocks: Block[]): Buffer => frame(7, blocks);

/** @param exponent of the window: 2 ** (10 + exponent) bytes */
function frame(exponent: number, blocks: readonly Block[]): Buffer {
  const parts = blocks.map(({ type, size, bytes }, n) => {
    const head = Buffer.alloc(3);
    head.writeUIntLE((n === blocks.length - 1 ? 1 : 0) | (type << 1) | (size << 3), 0, 3);
    return Buffer.concat([head, bytes]);
  });
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3]), ...parts]);
}
const raw = (bytes: Buffer, width: number) =>
  Array.from({ length: Math.ceil(bytes.length / width) }, (_, n) => {
    const part = bytes.subarray(n * width, (n + 1) * width);
    return { type: RAW, size: part.length, bytes: part };
  });

/** As the server packs a number: its first byte may say how many follow. */
const packed = (number: number): Buffer => {
  if (number < 251) return Buffer.from([number]);
  const bytes = Buffer.alloc(9, 254);
  bytes.writeBigUInt64LE(BigInt(number), 1);
  return bytes;
};
const field = (type: number, value: number): Buffer =>
  Buffer.concat([packed(type), packed(packed(value).length), packed(value)]);
/** @param announced how large it says that it is once it is inflated */
const body = (payload: Buffer, announced: number, compression = 0): Buffer =>
  Buffer.concat([field(2, compression), field(3, announced), field(1, payload.length), packed(0), payload]);

const whole = (bytes: Buffer): Buffer[] => [...payloadEvents(bytes)].filter((event) => event !== null);

const code = (bytes: Buffer): string => {
  try {
    return `${whole(bytes).length} events`;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('a compressed transaction of MySQL', () => {
  const all = events(5, 0, 700, 31, 2000);
  const plain = Buffer.concat(all);
  /** Of a block that could be inflated, if it were one. */
  const tooLarge = { type: RLE, size: 128 * 1024 + 1, bytes: Buffer.from([1]) };
  const large = events(tooLarge.size)[0]!;

  it.each([7, 19, 600, 1000])('is its events, wherever blocks of %i bytes cut them', (width) => {
    expect(whole(body(zstd(...raw(plain, width)), plain.length))).toEqual(all);
  });

  it('may have been left as it is, and end in a checksum', () => {
    const left = Buffer.concat([body(plain, plain.length, 255), Buffer.alloc(4, 9)]);
    expect(whole(left)).toEqual(all);
  });

  it('may be more than one frame, with checksums behind them', () => {
    const withChecksum = (...blocks: Block[]): Buffer => {
      const bytes = Buffer.concat([zstd(...blocks), Buffer.alloc(4, 9)]);
      bytes[4] = 4;
      return bytes;
    };
    const frames = [withChecksum(...raw(plain.subarray(0, 700), 600)), withChecksum(...raw(plain.subarray(700), 600))];
    expect(whole(body(Buffer.concat(frames), plain.length))).toEqual(all);
  });

  it('is inflated block by block, however little a large one came from (trap 17)', () => {
    const blocks = 512;
    const repeated = { type: RLE, size: 128 * 1024, bytes: Buffer.from([1]) };
    const [event] = events(blocks * repeated.size);
    const bytes = zstd(...raw(event!.subarray(0, 19), 19), ...Array.from({ length: blocks }, () => repeated));
    expect(bytes.length).toBeLessThan(2100);
    for (const piece of inflatedBlocks(bytes, event!.length)) expect(piece.length).toBeLessThanOrEqual(repeated.size);
    const sizes: (number | null)[] = [];
    for (const whole of payloadEvents(body(bytes, event!.length))) sizes.push(whole?.length ?? null);
    expect(sizes.indexOf(event!.length)).toBe(blocks - 1);
  });

  it('hands over its first events before the rest is inflated (Invariant 6)', () => {
    const events = payloadEvents(body(zstd(...raw(all[0]!, 100), tooLarge), plain.length));
    expect(events.next().value).toEqual(all[0]);
    expect(() => [...events]).toThrow('damaged');
  });

  it('ends the stream where it asks for more than 128 MiB to be inflated (trap 17)', () => {
    expect(code(body(frame(17, raw(plain, 600)), plain.length))).toBe(`${all.length} events`);
    expect(() => whole(body(frame(18, raw(plain, 600)), plain.length))).toThrow('128 MiB');
  });

  it.each([
    ['has a block that is larger than any', body(zstd(...raw(large.subarray(0, 19), 19), tooLarge), large.length)],
    ['is cut short', body(zstd(...raw(plain, 600)).subarray(0, -1), plain.length)],
    ['lacks its last event', body(zstd(...raw(plain.subarray(0, -1), 600)), plain.length - 1)],
    ['is shorter than it says', body(zstd(...raw(plain, 600)), plain.length + 1)],
    ['is longer than its event', body(zstd(...raw(plain, 600)), plain.length).subarray(0, -1)],
    ['is larger than it says', body(zstd({ type: RLE, size: 128 * 1024, bytes: Buffer.from([1]) }), 100)],
    ['is no zstd', body(Buffer.alloc(50, 7), 50)],
    ['is compressed in another way', body(plain, plain.length, 1)],
    ['has no events', body(Buffer.alloc(19), 19, 255)],
    ['has no fields', Buffer.alloc(8)],
    ['is nothing', Buffer.alloc(0)],
  ])('ends the stream where it %s (trap 19)', (_, bytes) => {
    expect(code(bytes)).toBe('event_unsupported');
  });
});
