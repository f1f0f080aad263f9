/** Dates and times in the packed forms of the log, and their one text. */
import type { JsonBuffer } from '@planasonix/json-buffer';

const two = (value: number): string => (value < 10 ? `0${value}` : String(value));
const four = (value: number): string => String(value).padStart(4, '0');

/** `2024-02-29 23:59:59.5` → `2024-02-29T23:59:59.5`; zero and partly zero ones stay what MySQL shows. @param zone `Z` or nothing */
export function momentText(shown: string, zone: 'Z' | ''): string {
  const partly = shown.startsWith('0000') || shown.startsWith('00', 5) || shown.startsWith('00', 8);
  return partly ? shown : `${shown.slice(0, 10)}T${shown.slice(11)}${zone}`;
}

export const fractionBytes = (digits: number): number => (digits + 1) >> 1;

/** `.123` for the digits that the column declares. @param value as it is packed: hundredths, ten-thousandths or millionths */
const fraction = (value: number, digits: number): string =>
  digits === 0
    ? ''
    : `.${String(value)
        .padStart(fractionBytes(digits) * 2, '0')
        .slice(0, digits)}`;

const SPACE = 0x20;
const DASH = 0x2d;
const COLON = 0x3a;
const POINT = 0x2e;
const QUOTE = 0x22;

const whole = (source: Buffer, end: number): void => {
  if (end > source.length) throw new RangeError('a moment is cut short');
};

/** Three numbers with a sign between them, the latter two of two digits. */
function writeThree(out: JsonBuffer, sign: number, first: number, width: number, second: number, third: number): void {
  out.digits(first, width);
  out.byte(sign);
  out.digits(second, 2);
  out.byte(sign);
  out.digits(third, 2);
}

const writeDay = (out: JsonBuffer, year: number, month: number, day: number): void =>
  writeThree(out, DASH, year, 4, month, day);

const writeTime = (out: JsonBuffer, hours: number, minutes: number, seconds: number): void =>
  writeThree(out, COLON, hours, 2, minutes, seconds);

function writeFraction(out: JsonBuffer, source: Buffer, at: number, digits: number): void {
  if (digits === 0) return;
  const packed = source.readUIntBE(at, fractionBytes(digits));
  out.byte(POINT);
  out.digits(digits % 2 === 0 ? packed : Math.floor(packed / 10), digits);
}

/** Three bytes. */
export function writeDate(out: JsonBuffer, source: Buffer, at: number): void {
  const packed = source.readUIntLE(at, 3);
  out.byte(QUOTE);
  writeDay(out, packed >> 9, (packed >> 5) & 15, packed & 31);
  out.byte(QUOTE);
}

/** Five bytes and those of the fraction. */
export function writeDateTime(out: JsonBuffer, source: Buffer, at: number, digits: number): void {
  whole(source, at + 5 + fractionBytes(digits));
  // 1 bit of sign, 17 of year and month, 5 of the day, 5 + 6 + 6 of the time.
  const high = ((source[at]! & 0x7f) << 15) | (source[at + 1]! << 7) | (source[at + 2]! >> 1);
  const low = ((source[at + 2]! & 1) << 16) | (source[at + 3]! << 8) | source[at + 4]!;
  const [yearMonth, day] = [high >> 5, high & 31];
  const year = Math.floor(yearMonth / 13);
  const month = yearMonth - year * 13;
  out.byte(QUOTE);
  writeDay(out, year, month, day);
  out.byte(year === 0 || month === 0 || day === 0 ? SPACE : 0x54);
  writeTime(out, low >> 12, (low >> 6) & 63, low & 63);
  writeFraction(out, source, at + 5, digits);
  out.byte(QUOTE);
}

const DAY = 86_400;
/** The day that was asked for last, since the Unix epoch: neighbours are mostly of the same one. */
const lastDay = { number: -1, year: 0, month: 0, day: 0 };

/** Four bytes and those of the fraction: seconds since the Unix epoch; 0 is no moment. */
export function writeTimestamp(out: JsonBuffer, source: Buffer, at: number, digits: number): void {
  whole(source, at + 4 + fractionBytes(digits));
  const seconds = source.readUInt32BE(at);
  out.byte(QUOTE);
  if (seconds === 0 && (digits === 0 || source.readUIntBE(at + 4, fractionBytes(digits)) === 0)) {
    out.ascii('0000-00-00 00:00:00');
    writeFraction(out, source, at + 4, digits);
  } else {
    const number = Math.floor(seconds / DAY);
    const rest = seconds - number * DAY;
    if (lastDay.number !== number) {
      const date = new Date(number * DAY * 1000);
      Object.assign(lastDay, {
        number,
        year: date.getUTCFullYear(),
        month: date.getUTCMonth() + 1,
        day: date.getUTCDate(),
      });
    }
    writeDay(out, lastDay.year, lastDay.month, lastDay.day);
    out.byte(0x54);
    writeTime(out, Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60);
    writeFraction(out, source, at + 4, digits);
    out.byte(0x5a);
  }
  out.byte(QUOTE);
}

/** Three bytes and those of the fraction, one number in all, so that negative ones borrow from the seconds. */
export function timeText(source: Buffer, at: number, digits: number): string {
  const bytes = fractionBytes(digits);
  const unit = 256 ** bytes;
  const packed = source.readUIntBE(at, 3 + bytes) - 0x800000 * unit;
  const size = Math.abs(packed);
  const seconds = Math.floor(size / unit);
  const time = `${two((seconds >> 12) & 1023)}:${two((seconds >> 6) & 63)}:${two(seconds & 63)}`;
  return `${packed < 0 ? '-' : ''}${time}${fraction(size % unit, digits)}`;
}

/** Of JSON values: eight bytes, always with microseconds. @param source of which the lower three bytes are the fraction */
export function packedMoment(packed: bigint, kind: 'date' | 'datetime' | 'time'): string {
  const size = packed < 0n ? -packed : packed;
  const micros = `.${String(size & 0xffffffn).padStart(6, '0')}`;
  const whole = size >> 24n;
  const hms = (bits: number): string => `${two((bits >> 12) & 1023)}:${two((bits >> 6) & 63)}:${two(bits & 63)}`;
  if (kind === 'time') return `${packed < 0n ? '-' : ''}${hms(Number(whole & 0x3fffffn))}${micros}`;
  const high = Number(whole >> 17n);
  const date = `${four(Math.floor((high >> 5) / 13))}-${two((high >> 5) % 13)}-${two(high & 31)}`;
  return kind === 'date' ? date : `${date} ${hms(Number(whole & 0x1ffffn))}${micros}`;
}
