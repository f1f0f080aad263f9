/** Bytes of a zigzag number that is not negative. */
export function varintSize(value: number): number {
  if (value < 64) return 1;
  if (value < 8_192) return 2;
  if (value < 1_048_576) return 3;
  return value < 134_217_728 ? 4 : 5;
}

/** @param value from -1 to 2^30. @returns the place after it */
export function putVarint(to: Buffer, at: number, value: number): number {
  let left = ((value << 1) ^ (value >> 31)) >>> 0;
  while (left >= 0x80) {
    to[at++] = (left & 0x7f) | 0x80;
    left >>>= 7;
  }
  to[at++] = left;
  return at;
}
