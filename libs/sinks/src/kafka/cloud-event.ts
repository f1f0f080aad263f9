import { ROW_EVENT_TYPES, type ChangeEvent, type LogEntry } from '@planasonix/core';
import { HeaderWriter, headerName, type KafkaRecord, type OutHeaders, type OutRecord } from '@planasonix/kafka';

export const TOMBSTONE_TYPE = 'com.planasonix.row.tombstone';
const RECORD_TYPE = 'com.planasonix.kafka.record';

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

const NAME = {
  ...{ specversion: headerName('ce_specversion'), id: headerName('ce_id'), type: headerName('ce_type') },
  ...{ source: headerName('ce_source'), subject: headerName('ce_subject'), time: headerName('ce_time') },
  ...{ partitionkey: headerName('ce_partitionkey'), contentType: headerName('content-type') },
};

/** Events as records: CloudEvents 1.0 in binary mode. */
export class CloudEventEncoder {
  readonly #writer = new HeaderWriter();
  /** What an event shares with the one before it. */
  #shared: OutHeaders | null = null;
  #of = { type: '', subject: '', time: '' };

  constructor(
    private readonly streamId: string,
    private readonly tombstones: boolean,
  ) {}

  /** One record; after a delete of a row with a key its tombstone, where those are wanted. */
  records(event: ChangeEvent, key: Buffer | null): readonly OutRecord[] {
    const { id, type, data } = event;
    const record = { key, value: data, headers: this.#headers(event, id, type) };
    if (!this.tombstones || key === null || type !== ROW_EVENT_TYPES.d) return [record];
    return [record, { key, value: null, headers: this.#headers(event, `${id}/t`, TOMBSTONE_TYPE) }];
  }

  #headers({ subject, time, partitionkey }: ChangeEvent, id: string, type: string): OutHeaders[] {
    const of = this.#of;
    if (this.#shared === null || of.type !== type || of.subject !== subject || of.time !== time) {
      this.#shared = null;
      this.#shared = this.#writer
        .add(NAME.specversion, '1.0')
        .add(NAME.contentType, 'application/json')
        .add(NAME.source, `/streams/${this.streamId}`)
        .add(NAME.type, type)
        .add(NAME.subject, subject)
        .add(NAME.time, time)
        .take();
      this.#of = { type, subject, time };
    }
    this.#writer.add(NAME.id, id);
    if (partitionkey !== '') this.#writer.add(NAME.partitionkey, partitionkey);
    return [this.#shared, this.#writer.take()];
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
