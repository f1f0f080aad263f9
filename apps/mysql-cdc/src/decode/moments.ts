/** Dates and times in the packed forms of the log, and their one text. */

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

const readFraction = (source: Buffer, at: number, digits: number): number =>
  digits === 0 ? 0 : source.readUIntBE(at, fractionBytes(digits));

/** Three bytes. */
export function dateText(source: Buffer, at: number): string {
  const packed = source.readUIntLE(at, 3);
  return `${four(packed >> 9)}-${two((packed >> 5) & 15)}-${two(packed & 31)}`;
}

/** Five bytes and those of the fraction. */
export function dateTimeText(source: Buffer, at: number, digits: number): string {
  const packed = source.readUIntBE(at, 5) - 0x8000000000;
  const [high, low] = [Math.floor(packed / 0x20000), packed % 0x20000];
  const [yearMonth, day] = [high >> 5, high & 31];
  const date = `${four(Math.floor(yearMonth / 13))}-${two(yearMonth % 13)}-${two(day)}`;
  const time = `${two(low >> 12)}:${two((low >> 6) & 63)}:${two(low & 63)}`;
  return `${date} ${time}${fraction(readFraction(source, at + 5, digits), digits)}`;
}

/** Four bytes and those of the fraction: seconds since the Unix epoch; 0 is no moment. */
export function timestampText(source: Buffer, at: number, digits: number): string {
  const seconds = source.readUInt32BE(at);
  const part = fraction(readFraction(source, at + 4, digits), digits);
  if (seconds === 0) return `0000-00-00 00:00:00${part}`;
  return `${new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')}${part}`;
}

/** Three bytes and those of the fraction, one number in all, so that negative ones borrow from the seconds. */
export function timeText(source: Buffer, at: number, digits: number): string {
  const bytes = fractionBytes(digits);
  const unit = 256 ** bytes;
  const packed = source.readUIntBE(at, 3 + bytes) - 0x800000 * unit;
  const size = Math.abs(packed);
  const whole = Math.floor(size / unit);
  const time = `${two((whole >> 12) & 1023)}:${two((whole >> 6) & 63)}:${two(whole & 63)}`;
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
