import type { JsonBuffer } from '@planasonix/json-buffer';
import { writeDecimal } from './numbers.js';
import { packedMoment } from './moments.js';

/** Deepest nesting that a server takes. */
const DEEPEST = 101;
const [DECIMAL, TIMESTAMP, DATE, TIME, DATETIME] = [246, 7, 10, 11, 12];
/** A whole number of more digits, or a fraction that begins with so many zeros, is written with an exponent. */
const PLAIN_DIGITS = 15;

/** A double within JSON, as MySQL shows it: `1.0`, `1e100`, `1.5e-20`. */
export function jsonDouble(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  const [, sign = '', first = '', rest = '', power = ''] =
    /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(value.toExponential()) ?? [];
  const point = Number(power) + 1;
  const digits = first + rest;
  const whole = digits.length <= point;
  if (value !== 0 && ((whole && point > PLAIN_DIGITS) || point <= -PLAIN_DIGITS))
    return `${sign}${first}${rest === '' ? '' : `.${rest}`}e${Number(power)}`;
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  if (whole) return `${sign}${digits.padEnd(point, '0')}.0`;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** MySQL's own form of JSON, to the very text that the server shows. @throws RangeError where it is cut short */
export function writeJson(out: JsonBuffer, source: Buffer, start: number, end: number): void {
  if (start === end) out.ascii('null');
  else new Reader(out, source, end).value(source[start]!, start + 1, 0);
}

/** Lines of 76 characters, as the server makes them; the breaks as JSON has them. */
const lined = (base64: string): string => base64.replace(/.{76}(?=.)/g, '$&\\n');

class Reader {
  constructor(
    private readonly out: JsonBuffer,
    private readonly source: Buffer,
    private readonly end: number,
  ) {}

  value(type: number, at: number, depth: number): void {
    const { out, source } = this;
    if (depth > DEEPEST) throw new RangeError('JSON is nested too deeply');
    switch (type) {
      case 0:
      case 1:
        return this.container(at, type === 1, true, depth);
      case 2:
      case 3:
        return this.container(at, type === 3, false, depth);
      case 4:
        return this.literal(source[at]!);
      case 5:
        return out.ascii(String(source.readInt16LE(at)));
      case 6:
        return out.ascii(String(source.readUInt16LE(at)));
      case 7:
        return out.ascii(String(source.readInt32LE(at)));
      case 8:
        return out.ascii(String(source.readUInt32LE(at)));
      case 9:
        return out.ascii(String(source.readBigInt64LE(at)));
      case 10:
        return out.ascii(String(source.readBigUInt64LE(at)));
      case 11:
        return out.ascii(jsonDouble(source.readDoubleLE(at)));
      case 12: {
        const { length, next } = this.length(at);
        return this.string(next, next + length);
      }
      case 15:
        return this.opaque(at);
      default:
        throw new RangeError(`JSON holds a value of type ${type}`);
    }
  }

  private literal(code: number): void {
    if (code > 2) throw new RangeError(`JSON holds a literal of kind ${code}`);
    this.out.ascii(['null', 'true', 'false'][code]!);
  }

  /** Offsets are counted from where the container begins. */
  private container(at: number, large: boolean, object: boolean, depth: number): void {
    const { out, source } = this;
    const wide = large ? 4 : 2;
    const read = (from: number): number => source.readUIntLE(from, wide);
    const count = read(at);
    const keys = at + 2 * wide;
    const values = keys + (object ? count * (wide + 2) : 0);
    out.byte(object ? 0x7b : 0x5b);
    for (let i = 0; i < count; i++) {
      if (i > 0) out.ascii(', ');
      if (object) {
        const entry = keys + i * (wide + 2);
        const from = at + read(entry);
        this.string(from, from + source.readUInt16LE(entry + wide));
        out.ascii(': ');
      }
      const entry = values + i * (wide + 1);
      const type = source[entry]!;
      const inlined = type === 4 || type === 5 || type === 6 || (large && (type === 7 || type === 8));
      this.value(type, inlined ? entry + 1 : at + read(entry + 1), depth + 1);
    }
    out.byte(object ? 0x7d : 0x5d);
  }

  private string(start: number, end: number): void {
    if (end > this.end) throw new RangeError('JSON is cut short');
    this.out.string(this.source, start, end);
  }

  /** Seven bits a byte, the lowest first. */
  private length(at: number): { readonly length: number; readonly next: number } {
    let length = 0;
    for (let i = 0; i < 5; i++) {
      const byte = this.source[at + i]!;
      length += (byte & 0x7f) * 128 ** i;
      if (byte < 0x80) return { length, next: at + i + 1 };
    }
    throw new RangeError('JSON holds a length that is none');
  }

  private opaque(at: number): void {
    const { out, source } = this;
    const type = source[at]!;
    const { length, next } = this.length(at + 1);
    if (next + length > this.end) throw new RangeError('JSON is cut short');
    const moment = (kind: 'date' | 'datetime' | 'time'): void =>
      out.ascii(`"${packedMoment(source.readBigInt64LE(next), kind)}"`);
    if (type === DECIMAL) writeDecimal(out, source, next + 2, source[next]!, source[next + 1]!);
    else if (type === DATE) moment('date');
    else if (type === DATETIME || type === TIMESTAMP) moment('datetime');
    else if (type === TIME) moment('time');
    else out.ascii(`"base64:type${type}:${lined(source.toString('base64', next, next + length))}"`);
  }
}
