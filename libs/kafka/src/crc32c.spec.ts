import { crc32c } from './crc32c.js';
import { CRC_LANES, INPUT_BYTES, LANE_BYTES } from './crc32c-module.js';

/** Bit by bit, as the polynomial is written down. */
function slowly(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => (state = Math.imul(state, 1_103_515_245) + 12_345) >>> 16);
}

describe('CRC-32C', () => {
  it.each([
    ['nothing', '', 0x00000000],
    ['digits', Buffer.from('123456789').toString('hex'), 0xe3069283],
    ['zeros (RFC 3720, B.4)', '00'.repeat(32), 0x8a9136aa],
    ['ones', 'ff'.repeat(32), 0x62a8ab43],
    ['upwards', Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('hex'), 0x46dd794e],
    ['downwards', Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)).toString('hex'), 0x113fdb5c],
  ])('of %s is as published', (_, hex, expected) => {
    const bytes = Buffer.from(hex, 'hex');
    expect(crc32c(bytes, 0, bytes.length)).toBe(expected);
  });

  it('is that of the bits at every length near which it goes another way, and from every place', () => {
    const block = CRC_LANES * LANE_BYTES;
    const near = [0, 8, LANE_BYTES, block, 2 * block, INPUT_BYTES, INPUT_BYTES + block, 2 * INPUT_BYTES];
    const bytes = noise(2 * INPUT_BYTES + 100);
    for (const length of near.flatMap((one) => [one - 9, one - 1, one, one + 1, one + 7]).filter((one) => one >= 0)) {
      const from = length % 11;
      const to = from + length;
      // prettier-ignore
      expect([length, crc32c(bytes, from, to)]).toEqual([length, slowly(bytes.subarray(from, to))]);
    }
  });
});
