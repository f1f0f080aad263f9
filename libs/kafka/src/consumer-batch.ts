import { inflate } from './consumer-codec.js';
import { crc32c } from './crc32c.js';

/** A header as it came: names repeat, and their order is kept. */
export type RecordHeader = readonly [name: string, value: Buffer | null];

export interface KafkaRecord {
  readonly offset: number;
  /** Ms since the Unix epoch, as producer or broker set it; -1 where there is none. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
}

/** The head of a batch of records (format 2), and what is in it when it is asked for. */
export interface RecordBatch {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly maxTimestamp: number;
  readonly producerId: number;
  readonly transactional: boolean;
  /** Written by the broker: the end of a transaction. */
  readonly control: boolean;
  /** Of a control batch. */
  readonly aborts: boolean;
  readonly count: number;
  /** @throws DamagedBatch where it can't be inflated or is not right. */
  records(): KafkaRecord[];
}

/** A batch that is not what it says of itself. */
export class DamagedBatch extends RangeError {
  constructor(
    message: string,
    /** What is behind it, if that at least is right. */
    readonly next: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const HEAD = 61;
const AT = {
  ...{ length: 8, leaderEpoch: 12, magic: 16, crc: 17, attributes: 21, lastDelta: 23 },
  ...{ firstTime: 27, maxTime: 35, producerId: 43, count: 57 },
} as const;
const CODEC = 0x07;
const LOG_APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
/** Of a batch that does not say what is behind it. */
const UNTOLD = 0;
const NO_HEADERS: readonly RecordHeader[] = [];

const int64 = (bytes: Buffer, at: number): number => Number(bytes.readBigInt64BE(at));

/**
 * The whole batches of a piece of a log; the last one of a fetch may be cut short and is left out.
 * @throws DamagedBatch of a format older than 2, with a length that can't be, or with a checksum that is not right
 */
export function* batchesOf(bytes: Buffer): Generator<RecordBatch> {
  for (let at = 0; at + HEAD <= bytes.length;) {
    const end = at + 12 + bytes.readInt32BE(at + AT.length);
    if (end - at < HEAD)
      throw new DamagedBatch(`the batch at offset ${int64(bytes, at)} is shorter than its own head`, UNTOLD);
    if (end > bytes.length) return;
    const whole = bytes.subarray(at, end);
    const why = unreadable(whole);
    // What such a batch says of its own end may be what is damaged: the next one tells, if that is right.
    if (why !== null) throw new DamagedBatch(why, beginOf(bytes.subarray(end)) ?? UNTOLD);
    yield batchAt(whole);
    at = end;
  }
}

/** Where to go on after the last whole batch; `null`: there is none. */
export function endOf(bytes: Buffer): { readonly offset: number; readonly leaderEpoch: number } | null {
  let found = null;
  for (let at = 0; at + HEAD <= bytes.length;) {
    const end = at + 12 + bytes.readInt32BE(at + AT.length);
    // What is shorter than its own head is no batch: to go on behind it might never end.
    if (end - at < HEAD || end > bytes.length) break;
    const offset = int64(bytes, at) + bytes.readInt32BE(at + AT.lastDelta) + 1;
    found = { offset, leaderEpoch: bytes.readInt32BE(at + AT.leaderEpoch) };
    at = end;
  }
  return found;
}

function unreadable(bytes: Buffer): string | null {
  const magic = bytes[AT.magic]!;
  const first = int64(bytes, 0);
  if (magic !== 2) return `offset ${first} has message format ${magic}; format 2 is read`;
  const isWhole = crc32c(bytes, AT.attributes, bytes.length) === bytes.readUInt32BE(AT.crc);
  return isWhole ? null : `the checksum of the batch at offset ${first} is not right`;
}

/** Offset at which a whole batch begins there. */
function beginOf(bytes: Buffer): number | null {
  if (bytes.length < HEAD) return null;
  const end = 12 + bytes.readInt32BE(AT.length);
  return end < HEAD || end > bytes.length || unreadable(bytes.subarray(0, end)) !== null ? null : int64(bytes, 0);
}

function batchAt(bytes: Buffer): RecordBatch {
  const firstOffset = int64(bytes, 0);
  const lastOffset = firstOffset + bytes.readInt32BE(AT.lastDelta);
  const damaged = (why: string, cause?: unknown) => new DamagedBatch(why, lastOffset + 1, { cause });
  const attributes = bytes.readInt16BE(AT.attributes);
  const control = (attributes & CONTROL) !== 0;
  const batch: RecordBatch = {
    firstOffset,
    lastOffset,
    leaderEpoch: bytes.readInt32BE(AT.leaderEpoch),
    maxTimestamp: int64(bytes, AT.maxTime),
    producerId: int64(bytes, AT.producerId),
    transactional: (attributes & TRANSACTIONAL) !== 0,
    control,
    count: bytes.readInt32BE(AT.count),
    get aborts() {
      // The key of a marker: version, then 0 for abort and 1 for commit.
      return control && this.records()[0]?.key?.readInt16BE(2) === 0;
    },
    records() {
      try {
        return recordsOf(bytes, attributes, firstOffset);
      } catch (error) {
        throw error instanceof RangeError ? damaged(error.message, error) : error;
      }
    },
  };
  return batch;
}

function recordsOf(bytes: Buffer, attributes: number, firstOffset: number): KafkaRecord[] {
  const count = bytes.readInt32BE(AT.count);
  const firstTime = int64(bytes, AT.firstTime);
  const maxTime = int64(bytes, AT.maxTime);
  const appended = (attributes & LOG_APPEND_TIME) !== 0;
  const from = new RecordReader(inflate(attributes & CODEC, bytes.subarray(HEAD)));
  const records: KafkaRecord[] = [];
  for (let i = 0; i < count; i++) {
    const end = from.varint() + from.at;
    from.at++; // attributes: none are defined
    const timeDelta = from.varint();
    const offset = firstOffset + from.varint();
    const key = from.bytes();
    const value = from.bytes();
    const headers = from.headers();
    if (from.at !== end) throw new RangeError(`the record at offset ${offset} is damaged`);
    records.push({ offset, timestamp: appended ? maxTime : firstTime + timeDelta, key, value, headers });
  }
  return records;
}

class RecordReader {
  at = 0;

  constructor(private readonly buffer: Buffer) {}

  /** Zigzag; of 64 bits, as far as a number goes. Most are of one byte or two. */
  varint(): number {
    const { buffer } = this;
    let byte = buffer[this.at++]!;
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    const second = buffer[this.at]!;
    if (second < 0x80) {
      this.at++;
      const both = (byte & 0x7f) | (second << 7);
      return (both >>> 1) ^ -(both & 1);
    }
    let value = byte & 0x7f;
    for (let shift = 7; byte >= 0x80; shift += 7) {
      byte = buffer[this.at++]!;
      if (byte === undefined || shift > 63) throw new RangeError('a number in a record is damaged');
      value += (byte & 0x7f) * 2 ** shift;
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** A view, not a copy. */
  bytes(): Buffer | null {
    const length = this.varint();
    if (length < 0) return null;
    const from = this.at;
    this.at += length;
    if (this.at > this.buffer.length) throw new RangeError('a record is cut short');
    return this.buffer.subarray(from, this.at);
  }

  headers(): readonly RecordHeader[] {
    const count = this.varint();
    if (count === 0) return NO_HEADERS;
    const headers: RecordHeader[] = [];
    for (let i = 0; i < count; i++) headers.push([this.bytes()?.toString() ?? '', this.bytes()]);
    return headers;
  }
}
