import { CRC_LANES, INPUT_AT, INPUT_BYTES, LANE_BYTES, SHIFT_AT, TABLE_BYTES, crcModule } from './crc32c-module.js';

const POLYNOMIAL = 0x82f63b78;

/** What a byte does to the checksum, read through so many bytes behind it. */
const TABLES = tables();
const BLOCK_BYTES = CRC_LANES * LANE_BYTES;

const { memory, blocks, words } = crcModule();
const all = new Int32Array(memory.buffer);
TABLES.forEach((table, i) => all.set(table, (i * TABLE_BYTES) / 4));
for (let byte = 0; byte < 4; byte++)
  all.set(
    Array.from({ length: 256 }, (_, value) => zeros(value << (8 * byte), LANE_BYTES)),
    (SHIFT_AT + byte * TABLE_BYTES) / 4,
  );
const input = new Uint8Array(memory.buffer, INPUT_AT, INPUT_BYTES);

function tables(): Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
    return value;
  });
  const found = [first];
  for (let table = 1; table < 8; table++)
    found.push(found[table - 1]!.map((value) => (value >>> 8) ^ first[value & 0xff]!));
  return found;
}

function zeros(crc: number, count: number): number {
  const [first] = TABLES as [Int32Array];
  for (let i = 0; i < count; i++) crc = (crc >>> 8) ^ first[crc & 0xff]!;
  return crc;
}

/** CRC-32C (Castagnoli) of `bytes[from, to)`: what a batch of records is sealed with. */
export function crc32c(bytes: Uint8Array, from: number, to: number): number {
  const [first] = TABLES as [Int32Array];
  let crc = -1;
  for (let at = from; at < to; at += INPUT_BYTES) {
    const length = Math.min(INPUT_BYTES, to - at);
    input.set(bytes.subarray(at, at + length));
    const inBlocks = length - (length % BLOCK_BYTES);
    const inWords = length - (length % 8);
    if (inBlocks > 0) crc = blocks(crc, INPUT_AT, inBlocks / BLOCK_BYTES);
    if (inWords > inBlocks) crc = words(crc, INPUT_AT + inBlocks, (inWords - inBlocks) / 8);
    for (let i = inWords; i < length; i++) crc = (crc >>> 8) ^ first[(crc ^ input[i]!) & 0xff]!;
  }
  return ~crc >>> 0;
}
