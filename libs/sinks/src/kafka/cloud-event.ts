import { ROW_EVENT_TYPES, type ChangeEvent, type LogEntry } from '@planasonix/core';
import { encodeHeader, type KafkaRecord, type OutRecord } from '@planasonix/kafka';

export const TOMBSTONE_TYPE = 'com.planasonix.row.tombstone';
const RECORD_TYPE = 'com.planasonix.kafka.record';
const CONTENT_TYPE = encodeHeader('content-type', 'application/json');
const SPEC_VERSION = encodeHeader('ce_specversion', '1.0');

/** A header whose value is mostly that of the record before. */
class Kept {
  #value: string | null = null;
  #header: Buffer = Buffer.alloc(0);

  constructor(private readonly name: string) {}

  of(value: string): Buffer {
    if (value === this.#value) return this.#header;
    this.#value = value;
    return (this.#header = encodeHeader(this.name, value));
  }
}

/**
 * The key of a record. One that came from Kafka keeps its bytes: what is not UTF-8 travels as base64 and says so, and
 * an empty key is not the null key.
 */
export function keyOf({ type, partitionkey, data }: ChangeEvent): Buffer | null {
  if (type === RECORD_TYPE) {
    if (partitionkey === '') return startsWith(data, '{"key":null') ? null : Buffer.alloc(0);
    if (startsWith(data, `{"key":"${partitionkey}","key_encoding":"base64"`))
      return Buffer.from(partitionkey, 'base64');
  }
  return partitionkey === '' ? null : Buffer.from(partitionkey);
}

const startsWith = (data: Buffer, text: string): boolean => data.subarray(0, text.length).toString('latin1') === text;

/** Events as records: CloudEvents 1.0 in binary mode. */
export class CloudEventEncoder {
  readonly #source: Buffer;
  readonly #type = new Kept('ce_type');
  readonly #subject = new Kept('ce_subject');
  readonly #time = new Kept('ce_time');
  readonly #tombstone = encodeHeader('ce_type', TOMBSTONE_TYPE);

  constructor(
    streamId: string,
    private readonly tombstones: boolean,
  ) {
    this.#source = encodeHeader('ce_source', `/streams/${streamId}`);
  }

  /** One record; after a delete of a row with a key its tombstone, where those are wanted. */
  records(event: ChangeEvent, key: Buffer | null): readonly OutRecord[] {
    const { id, type, data } = event;
    const record = { key, value: data, headers: this.#headers(event, id, this.#type.of(type)) };
    if (!this.tombstones || key === null || type !== ROW_EVENT_TYPES.d) return [record];
    return [record, { key, value: null, headers: this.#headers(event, `${id}/t`, this.#tombstone) }];
  }

  #headers({ subject, time, partitionkey }: ChangeEvent, id: string, type: Buffer): Buffer[] {
    const about = [SPEC_VERSION, encodeHeader('ce_id', id), type, this.#source];
    about.push(this.#subject.of(subject), this.#time.of(time));
    if (partitionkey !== '') about.push(encodeHeader('ce_partitionkey', partitionkey));
    about.push(CONTENT_TYPE);
    return about;
  }
}

/** `null`: it is of another stream, or no event: a tombstone, something that others wrote. */
export function toEntry(record: KafkaRecord, source: string, cursor: string): LogEntry | null {
  const attributes = new Map(record.headers.map(([name, value]) => [name, value?.toString() ?? '']));
  const type = attributes.get('ce_type');
  if (attributes.get('ce_source') !== source || type === undefined || type === TOMBSTONE_TYPE) return null;
  const text = (name: string) => attributes.get(name) ?? '';
  return {
    cursor,
    id: text('ce_id'),
    type,
    source,
    subject: text('ce_subject'),
    time: text('ce_time'),
    partitionkey: text('ce_partitionkey'),
    data: record.value?.toString() ?? '',
  };
}
