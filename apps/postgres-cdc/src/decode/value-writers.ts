import { piece, type JsonBuffer } from '@planasonix/json-buffer';

/** Writes the JSON of one value, given the text that the server sent for it: bytes `start` to `end` of `source`. */
export type ValueWriter = (out: JsonBuffer, source: Buffer, start: number, end: number) => void;

/** The rest of a zone, and of the text. */
const NO_MINUTES = piece(':00"');

const [MINUS, PLUS, ZERO, NINE, SPACE, LETTER_T, LETTER_E] = [0x2d, 0x2b, 0x30, 0x39, 0x20, 0x54, 0x65];

export const textWriter: ValueWriter = (out, source, start, end) => out.string(source, start, end);

export const boolWriter: ValueWriter = (out, source, start) => out.ascii(source[start] === 0x74 ? 'true' : 'false');

/** json and jsonb: the text is JSON already. */
export const jsonWriter: ValueWriter = (out, source, start, end) => out.raw(source, start, end);

export const integerWriter: ValueWriter = (out, source, start, end) => out.raw(source, start, end);

/** numeric and floats, as jsonb prints them: every digit, no exponent; `NaN` and infinities as strings. */
export const numberWriter: ValueWriter = (out, source, start, end) => {
  for (let i = start; i < end; i++) {
    const code = source[i]!;
    if (code === LETTER_E) return exponent(out, source.toString('latin1', start, end));
    if (code > NINE) return out.string(source, start, end);
  }
  // A float's negative zero is a zero to numeric.
  if (source[start] === MINUS && source[start + 1] === ZERO && end - start === 2) return out.byte(ZERO);
  out.raw(source, start, end);
};

/** `1.5e-07` → `0.00000015`, `1e+20` → `100000000000000000000`. */
function exponent(out: JsonBuffer, text: string): void {
  const negative = text.startsWith('-');
  const [mantissa = '0', power = '0'] = text.slice(negative ? 1 : 0).split('e');
  const [whole = '0', fraction = ''] = mantissa.split('.');
  const digits = whole + fraction;
  const point = whole.length + Number(power);
  let plain: string;
  if (point <= 0) plain = `0.${'0'.repeat(-point)}${digits}`;
  else if (point >= digits.length) plain = digits + '0'.repeat(point - digits.length);
  else plain = `${digits.slice(0, point)}.${digits.slice(point)}`;
  out.ascii((negative ? '-' : '') + plain);
}

/** `2024-02-29 12:34:56.789` → `"2024-02-29T12:34:56.789"`; `infinity` and ` BC` stay as they are. */
export const timestampWriter: ValueWriter = (out, source, start, end) => stamp(out, source, start, end, false);

/** The same with the zone, which is UTC in our sessions: `+00` → `+00:00`. */
export const timestamptzWriter: ValueWriter = (out, source, start, end) => stamp(out, source, start, end, true);

/** `2024-02-29 12:34:56.789+00`, as nearly all are: the same bytes, but for the space. */
const isUsual = (source: Buffer, start: number, end: number): boolean =>
  end - start >= 22 && source[start + 4] === MINUS && source[start + 10] === SPACE && source[end - 3] === PLUS;

function stamp(out: JsonBuffer, source: Buffer, start: number, end: number, zoned: boolean): void {
  out.need(end - start + 8);
  if (zoned && isUsual(source, start, end)) {
    const at = out.at;
    out.bytes[at] = 0x22;
    out.at = at + 1;
    out.raw(source, start, end);
    out.bytes[at + 11] = LETTER_T;
    return out.put(NO_MINUTES);
  }
  const { bytes } = out;
  let { at } = out;
  let separated = false;
  bytes[at++] = 0x22;
  for (let i = start; i < end; i++) {
    const code = source[i]!;
    if (code === SPACE && !separated) {
      separated = true;
      bytes[at++] = LETTER_T;
    } else {
      bytes[at++] = code;
      if (zoned && separated && (code === PLUS || code === MINUS)) {
        // Two digits of hours follow; a zone with minutes or seconds has its own colon and is left as it is.
        bytes[at++] = source[++i]!;
        bytes[at++] = source[++i]!;
        if (i + 1 === end || source[i + 1] !== 0x3a) {
          bytes[at++] = 0x3a;
          bytes[at++] = ZERO;
          bytes[at++] = ZERO;
        }
      }
    }
  }
  bytes[at++] = 0x22;
  out.at = at;
}
