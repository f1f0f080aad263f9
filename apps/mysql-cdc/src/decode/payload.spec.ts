import { payloadEvents } from './payload.js';

const [RAW, RLE] = [0, 1];

/** Events of a head and that many bytes, as they stand in a payload: nothing but their size counts here. */
const events = (...sizes: number[]): Buffer[] =>
  sizes.map((size, n) => {
    const event = Buffer.alloc(19 + size, n + 1);
    event.writeUInt32LE(19 + size, 9);
    return event;
  });

/** A frame of zstd with a window of 1 KiB; blocks are as they are, or one byte many times. */
function zstd(...blocks: { readonly type: number; readonly size: number; readonly bytes: Buffer }[]): Buffer {
  const parts = blocks.map(({ type, size, bytes }, n) => {
    const head = Buffer.alloc(3);
    head.writeUIntLE((n === blocks.length - 1 ? 1 : 0) | (type << 1) | (size << 3), 0, 3);
    return Buffer.concat([head, bytes]);
  });
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0]), ...parts]);
}
const raw = (bytes: Buffer, width: number) =>
  Array.from({ length: Math.ceil(bytes.length / width) }, (_, n) => {
    const part = bytes.subarray(n * width, (n + 1) * width);
    return { type: RAW, size: part.length, bytes: part };
  });

/** As the server packs a number: its first byte may say how many follow. */
const packed = (number: number): Buffer => {
  if (number < 251) return Buffer.from([number]);
  const bytes = Buffer.alloc(4, 253);
  bytes.writeUIntLE(number, 1, 3);
  return bytes;
};
const field = (type: number, value: number): Buffer =>
  Buffer.concat([packed(type), packed(packed(value).length), packed(value)]);
/** @param announced how large it says that it is once it is inflated */
const body = (payload: Buffer, announced: number, compression = 0): Buffer =>
  Buffer.concat([field(2, compression), field(3, announced), field(1, payload.length), packed(0), payload]);

const code = (bytes: Buffer): string => {
  try {
    return `${[...payloadEvents(bytes)].length} events`;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('a compressed transaction of MySQL', () => {
  const all = events(5, 0, 700, 31, 2000);
  const plain = Buffer.concat(all);

  it.each([7, 19, 600, 1000])('is its events, wherever blocks of %i bytes cut them', (width) => {
    expect([...payloadEvents(body(zstd(...raw(plain, width)), plain.length))]).toEqual(all);
  });

  it('may have been left as it is, and end in a checksum', () => {
    const left = Buffer.concat([body(plain, plain.length, 255), Buffer.alloc(4, 9)]);
    expect([...payloadEvents(left)]).toEqual(all);
  });

  it.each([
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
