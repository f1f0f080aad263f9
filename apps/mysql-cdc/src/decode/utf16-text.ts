/**
 * Texts are put together here as bytes of UTF-16: a string that grows by a character takes 32 bytes for each, and memory of its
 * own for each text takes longer than a short one. What it holds is used up before the next one.
 */
const SCRATCH = Buffer.allocUnsafeSlow(65_536);

/** Room for a text, until the next one. */
export const room = (bytes: number): Buffer => (bytes <= SCRATCH.length ? SCRATCH : Buffer.allocUnsafe(bytes));

/** @returns where the next unit of UTF-16 belongs */
export function put(text: Buffer, to: number, unit: number): number {
  text[to] = unit;
  text[to + 1] = unit >> 8;
  return to + 2;
}

/** A character by its number in Unicode; see `put`. */
export function putCode(text: Buffer, to: number, code: number): number {
  if (code <= 0xffff) return put(text, to, code);
  return put(text, put(text, to, 0xd7c0 + (code >> 10)), 0xdc00 | (code & 0x3ff));
}
