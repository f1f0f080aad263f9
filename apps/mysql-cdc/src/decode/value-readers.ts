import { piece, type JsonBuffer, type Piece } from '@planasonix/json-buffer';
import type { ColumnKind } from '../position.js';
import { inet4Text, inet6Text, uuidText } from './addresses.js';
import { BINARY, ucs2, type Decode } from './charsets.js';
import { writeJson } from './json-binary.js';
import { fractionBytes, timeText, writeDate, writeDateTime, writeTimestamp } from './moments.js';
import { decimalBytes, doubleText, floatText, writeDecimal } from './numbers.js';
import { TYPE, type FormColumn } from './table-form.js';
import { writeBase64, writeDecoded, writeHalves, writeStoredJson, writeText } from './value-texts.js';

/** Writes the value at `at` as JSON. @returns where the next one begins. @throws RangeError where it is cut short */
export type ValueReader = (out: JsonBuffer, source: Buffer, at: number) => number;

type IntReader = (source: Buffer, at: number) => number;

const INTEGERS: Readonly<Record<number, readonly [bytes: number, signed: IntReader, unsigned: IntReader]>> = {
  [TYPE.TINY]: [1, (source, at) => source.readInt8(at), (source, at) => source.readUInt8(at)],
  [TYPE.SHORT]: [2, (source, at) => source.readInt16LE(at), (source, at) => source.readUInt16LE(at)],
  [TYPE.INT24]: [3, (source, at) => source.readIntLE(at, 3), (source, at) => source.readUIntLE(at, 3)],
  [TYPE.LONG]: [4, (source, at) => source.readInt32LE(at), (source, at) => source.readUInt32LE(at)],
};

const writeInteger = (out: JsonBuffer, value: number): void =>
  value < 0 ? out.ascii(String(value)) : out.integer(value);

function integer({ type, unsigned }: FormColumn): ValueReader {
  const [bytes, signed, positive] = INTEGERS[type]!;
  const read = unsigned ? positive : signed;
  return (out, source, at) => {
    writeInteger(out, read(source, at));
    return at + bytes;
  };
}

const bigInteger =
  (unsigned: boolean): ValueReader =>
  (out, source, at) => {
    const high = source.readInt32LE(at + 4);
    // Most fit into what a double counts exactly.
    if (high >= 0 && high < 0x200000) out.integer(high * 0x100000000 + source.readUInt32LE(at));
    else out.ascii(String(unsigned ? source.readBigUInt64LE(at) : source.readBigInt64LE(at)));
    return at + 8;
  };

/** A text that JSON needs no escapes for. */
const quoted =
  (bytes: number, text: (source: Buffer, at: number) => string): ValueReader =>
  (out, source, at) => {
    const found = text(source, at);
    out.byte(0x22);
    out.ascii(found);
    out.byte(0x22);
    return at + bytes;
  };

const number =
  (bytes: number, text: (source: Buffer, at: number) => string): ValueReader =>
  (out, source, at) => {
    out.ascii(text(source, at));
    return at + bytes;
  };

/** A value that is always of so many bytes. */
const sized =
  (bytes: number, write: (out: JsonBuffer, source: Buffer, at: number) => void): ValueReader =>
  (out, source, at) => {
    write(out, source, at);
    return at + bytes;
  };

type Writer = (out: JsonBuffer, source: Buffer, start: number, end: number) => void;

/** A value behind its length. */
const counted =
  (width: number, write: Writer): ValueReader =>
  (out, source, at) => {
    const start = at + width;
    const end = start + (width === 1 ? source[at]! : source.readUIntLE(at, width));
    if (end > source.length) throw new RangeError('a value is cut short');
    write(out, source, start, end);
    return end;
  };

const text = (decode: Decode): Writer =>
  decode === null
    ? (out, source, start, end) => writeText(out, source, start, end)
    : decode === ucs2
      ? (out, source, start, end) => writeHalves(out, decode(source, start, end))
      : (out, source, start, end) => writeDecoded(out, decode(source, start, end));

const storedJson = (decode: Decode): Writer =>
  decode === null
    ? (out, source, start, end) => writeStoredJson(out, source, start, end)
    : (out, source, start, end) => {
        const bytes = Buffer.from(decode(source, start, end));
        writeStoredJson(out, bytes, 0, bytes.length);
      };

/** The log leaves out zeros at the end of what has a fixed length. */
const padded =
  (size: number, write: (out: JsonBuffer, bytes: Buffer) => void): Writer =>
  (out, source, start, end) => {
    const bytes = Buffer.alloc(size);
    source.copy(bytes, 0, start, end);
    write(out, bytes);
  };

const ascii =
  (show: (bytes: Buffer) => string) =>
  (out: JsonBuffer, bytes: Buffer): void =>
    out.ascii(`"${show(bytes)}"`);

const FIXED: Readonly<Record<string, readonly [size: number, show: (bytes: Buffer) => string]>> = {
  uuid: [16, uuidText],
  inet6: [16, inet6Text],
  inet4: [4, inet4Text],
};

function fixedString({ size, collation }: FormColumn, kind: ColumnKind | undefined, decode: Decode): ValueReader {
  const width = size < 256 ? 1 : 2;
  const [length, show] = FIXED[kind ?? ''] ?? [];
  if (collation === BINARY && show !== undefined && length === size) return counted(width, padded(size, ascii(show)));
  if (collation !== BINARY) return counted(width, text(decode));
  return counted(
    width,
    padded(size, (out, bytes) => writeBase64(out, bytes, 0, bytes.length)),
  );
}

/** Labels as JSON strings. */
const labelTexts = ({ labels }: FormColumn, decode: Decode): readonly Piece[] =>
  labels.map((label) => piece(JSON.stringify(decode === null ? label.toString() : decode(label, 0, label.length))));

function enumeration(column: FormColumn, decode: Decode): ValueReader {
  const { size } = column;
  // 0 is what a server keeps in place of a value that it did not take: an empty text.
  const texts = [piece('""'), ...labelTexts(column, decode)];
  return (out, source, at) => {
    const found = texts[source.readUIntLE(at, size)];
    if (found === undefined) throw new RangeError('an ENUM has no label of that number');
    out.put(found);
    return at + size;
  };
}

function set(column: FormColumn, decode: Decode): ValueReader {
  const { size } = column;
  const texts = labelTexts(column, decode);
  return (out, source, at) => {
    out.byte(0x5b);
    let first = true;
    for (let bit = 0; bit < size * 8; bit++) {
      if (((source[at + (bit >> 3)]! >> (bit & 7)) & 1) === 0) continue;
      const found = texts[bit];
      if (found === undefined) throw new RangeError('a SET has no label of that number');
      if (!first) out.byte(0x2c);
      first = false;
      out.put(found);
    }
    out.byte(0x5d);
    return at + size;
  };
}

/** @param decode of the column's charset. @param kind what the catalog called it, where the log has no word for it. */
export function valueReader(column: FormColumn, decode: Decode, kind: ColumnKind | undefined): ValueReader {
  const { type, meta, collation } = column;
  const [first, second] = meta;
  const blob = collation === BINARY ? writeBase64 : text(decode);
  switch (type) {
    case TYPE.TINY:
    case TYPE.SHORT:
    case TYPE.INT24:
    case TYPE.LONG:
      return integer(column);
    case TYPE.LONGLONG:
      return bigInteger(column.unsigned);
    case TYPE.FLOAT:
      return number(4, (source, at) => floatText(source.readFloatLE(at)));
    case TYPE.DOUBLE:
      return number(8, (source, at) => doubleText(source.readDoubleLE(at)));
    case TYPE.NEWDECIMAL:
      return sized(decimalBytes(first, second), (out, source, at) => writeDecimal(out, source, at, first, second));
    case TYPE.YEAR:
      return number(1, (source, at) => String(source[at] === 0 ? 0 : 1900 + source[at]!));
    case TYPE.DATE:
      return sized(3, writeDate);
    case TYPE.DATETIME2:
      return sized(5 + fractionBytes(first), (out, source, at) => writeDateTime(out, source, at, first));
    case TYPE.TIMESTAMP2:
      return sized(4 + fractionBytes(first), (out, source, at) => writeTimestamp(out, source, at, first));
    case TYPE.TIME2:
      return quoted(3 + fractionBytes(first), (source, at) => timeText(source, at, first));
    case TYPE.BIT: {
      const bytes = second + (first > 0 ? 1 : 0);
      return (out, source, at) => {
        writeBase64(out, source, at, at + bytes);
        return at + bytes;
      };
    }
    case TYPE.STRING:
      return fixedString(column, kind, decode);
    case TYPE.VARCHAR:
    case TYPE.VAR_STRING:
      return counted(first + second * 256 < 256 ? 1 : 2, blob);
    case TYPE.BLOB:
      return counted(first, kind === 'json' ? storedJson(decode) : blob);
    case TYPE.GEOMETRY:
    case TYPE.VECTOR:
      return counted(first, writeBase64);
    case TYPE.JSON:
      return counted(first, writeJson);
    case TYPE.ENUM:
      return enumeration(column, decode);
    case TYPE.SET:
      return set(column, decode);
    default:
      throw new RangeError(`type ${type} is not known`);
  }
}
