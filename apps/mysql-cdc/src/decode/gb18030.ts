import type { Session } from '../session.js';
import { put, putCode, room } from './utf16-text.js';
import { unsupported } from './unsupported.js';

/** Codes of four bytes, the second and fourth of them a digit, are counted through: so many begin with the same two. */
const BLOCK = 126 * 10;
/** Up to here, which is before 85 30 81 30, they are characters of the first 65,536, in the server's order. */
const PLAIN = 4 * 10 * BLOCK;
/** From 90 30 81 30 on all others, in Unicode's order. */
const OTHERS = 15 * 10 * BLOCK;
const ALL_OTHERS = 0x10_0000;
const [DIGIT_0, DIGIT_9, QUESTION] = [0x30, 0x39, 0x3f] as const;

/** What the server makes of the codes of four bytes that no rule tells: it is the oracle. */
async function plainUnits(session: Session): Promise<Uint16Array> {
  const units = new Uint16Array(PLAIN);
  for (let from = 0; from < PLAIN; from += BLOCK) {
    const block = from / BLOCK;
    const codes = Array.from({ length: BLOCK }, (_, i) => [
      ...[0x81 + Math.floor(block / 10), DIGIT_0 + (block % 10)],
      ...[0x81 + Math.floor(i / 10), DIGIT_0 + (i % 10)],
    ]);
    const hex = Buffer.from(codes.flat()).toString('hex');
    const sql = `SELECT CONVERT(CONVERT(X'${hex}' USING gb18030) USING utf8mb4)`;
    const text = (await session.value(sql)) ?? '';
    if (text.length !== BLOCK) throw unsupported('text in gb18030, of which this server has other characters');
    for (let i = 0; i < BLOCK; i++) units[from + i] = text.charCodeAt(i);
  }
  return units;
}

/** @param codes of two bytes. @returns text of gb18030 to text; what is no character is a question mark, as at the server */
export async function gb18030(
  session: Session,
  codes: ReadonlyMap<number, string>,
): Promise<(source: Buffer, start: number, end: number) => string> {
  const units = await plainUnits(session);
  const code = (count: number): number => {
    if (count < PLAIN) return units[count]!;
    const other = count - OTHERS;
    return other >= 0 && other < ALL_OTHERS ? 0x1_0000 + other : QUESTION;
  };
  return (source, start, end) => {
    // No code has more units of UTF-16 than bytes.
    const text = room((end - start) * 2);
    let to = 0;
    for (let at = start; at < end;) {
      const one = source[at]!;
      const two = at + 1 < end ? source[at + 1]! : 0;
      if (one < 0x80 || two === 0) {
        to = put(text, to, one < 0x80 ? one : QUESTION);
        at += 1;
      } else if (two >= DIGIT_0 && two <= DIGIT_9 && at + 3 < end) {
        const block = (one - 0x81) * 10 + two - DIGIT_0;
        to = putCode(text, to, code(block * BLOCK + (source[at + 2]! - 0x81) * 10 + source[at + 3]! - DIGIT_0));
        at += 4;
      } else {
        const found = codes.get(one * 256 + two) ?? '?';
        for (let i = 0; i < found.length; i++) to = put(text, to, found.charCodeAt(i));
        at += 2;
      }
    }
    return text.toString('utf16le', 0, to);
  };
}
