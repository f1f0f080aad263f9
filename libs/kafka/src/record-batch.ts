import { crc32c } from './crc32c.js';
import type { OutHeaders } from './record-headers.js';
import { putVarint, varintSize } from './varint.js';

/** A record to be written. */
export interface OutRecord {
  readonly key: Buffer | null;
  /** `null`: a tombstone. */
  readonly value: Buffer | null;
  /** Neighbours share most of theirs. */
  readonly headers: readonly OutHeaders[];
}

export interface BatchIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Of the first record. */
  readonly sequence: number;
  /** Ms since the Unix epoch; of every record. */
  readonly timestamp: number;
}

const HEAD = 61;
const AT = {
  ...{ length: 8, leaderEpoch: 12, magic: 16, crc: 17, attributes: 21, lastDelta: 23 },
  ...{ firstTime: 27, maxTime: 35, producerId: 43, producerEpoch: 51, sequence: 53, count: 57 },
} as const;
const MAGIC = 2;
const TRANSACTIONAL = 0x10;

function putBytes(to: Buffer, at: number, bytes: Buffer | null): number {
  if (bytes === null) return putVarint(to, at, -1);
  const from = putVarint(to, at, bytes.length);
  to.set(bytes, from);
  return from + bytes.length;
}

const bytesSize = (bytes: Buffer | null): number => (bytes === null ? 1 : varintSize(bytes.length) + bytes.length);

function countOf(headers: readonly OutHeaders[]): number {
  let count = 0;
  for (const some of headers) count += some.count;
  return count;
}

/** Of a record without its own length, at the place `index` of its batch. */
function bodySize({ key, value, headers }: OutRecord, index: number): number {
  let size = 2 + varintSize(index) + bytesSize(key) + bytesSize(value) + varintSize(countOf(headers));
  for (const { bytes } of headers) size += bytes.length;
  return size;
}

/** What a record adds to its batch, at the most. */
export function recordSize(record: OutRecord): number {
  const body = bodySize(record, 134_217_727);
  return varintSize(body) + body;
}

/** What a batch takes without its records. */
export const BATCH_OVERHEAD = HEAD;

/** Format 2, in a transaction, not compressed; the bytes are made once and sent again as they are. */
export function encodeBatch(records: readonly OutRecord[], identity: BatchIdentity): Buffer {
  const sizes = records.map(bodySize);
  const batch = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + varintSize(size) + size, HEAD));
  batch.fill(0, 0, HEAD);
  batch.writeInt32BE(batch.length - 12, AT.length);
  batch.writeInt32BE(-1, AT.leaderEpoch);
  batch[AT.magic] = MAGIC;
  batch.writeInt16BE(TRANSACTIONAL, AT.attributes);
  batch.writeInt32BE(records.length - 1, AT.lastDelta);
  batch.writeBigInt64BE(BigInt(identity.timestamp), AT.firstTime);
  batch.writeBigInt64BE(BigInt(identity.timestamp), AT.maxTime);
  batch.writeBigInt64BE(BigInt(identity.producerId), AT.producerId);
  batch.writeInt16BE(identity.producerEpoch, AT.producerEpoch);
  batch.writeInt32BE(identity.sequence, AT.sequence);
  batch.writeInt32BE(records.length, AT.count);
  let at = HEAD;
  for (let i = 0; i < records.length; i++) {
    const { key, value, headers } = records[i]!;
    at = putVarint(batch, at, sizes[i]!);
    batch[at++] = 0; // attributes
    batch[at++] = 0; // time after the first one's
    at = putBytes(batch, putBytes(batch, putVarint(batch, at, i), key), value);
    at = putVarint(batch, at, countOf(headers));
    for (const { bytes } of headers) {
      batch.set(bytes, at);
      at += bytes.length;
    }
  }
  batch.writeUInt32BE(crc32c(batch, AT.attributes, batch.length), AT.crc);
  return batch;
}
