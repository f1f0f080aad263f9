import type { ChangeEvent } from '@planasonix/core';
import type { KafkaRecord, RecordChunk } from '@planasonix/kafka';
import { encode, encodeHeader, type Encoded } from './record-text.js';

export const RECORD_TYPE = 'com.planasonix.kafka.record';
const OFFSET_DIGITS = 19;

/** How the value of a record becomes JSON text. @throws DoesNotFit */
export type ValueEncoder = (value: Buffer | null, record: KafkaRecord) => Encoded;

type At = Pick<RecordChunk, 'topic' | 'topicId' | 'partition' | 'leaderEpoch'>;

/** Within a partition records are ordered by their offset. */
export const orderOf = (offset: number): string => String(offset).padStart(OFFSET_DIGITS, '0');

/** Made from the place alone, the topic's own id in it: a topic that is made anew has other ids. Invariant 4. */
export const idOf = ({ topic, topicId, partition }: Omit<At, 'leaderEpoch'>, offset: number): string =>
  `${topic}/${topicId}/${partition}/${offset}`;

/** Before the epoch, and where there is none: the epoch. RFC 3339 knows no year beyond 9999. */
const timeOf = (timestamp: number): number => Math.min(Math.max(timestamp, 0), 253_402_300_799_999);

const keyText = (key: Buffer | null, encoding: Encoded['encoding']): string =>
  key === null ? '' : encoding === 'base64' ? key.toString('base64') : key.toString();

function headersText(record: KafkaRecord): string {
  if (record.headers.length === 0) return '[]';
  const parts = record.headers.map(([name, value]) => {
    const { json, encoding } = encodeHeader(value);
    return `[${JSON.stringify(name)},${json},"${encoding}"]`;
  });
  return `[${parts.join(',')}]`;
}

/** Written once, straight from the record: JSON stays the very text that came. @throws DoesNotFit */
export function recordEvent(at: At, record: KafkaRecord, encodeValue: ValueEncoder): ChangeEvent {
  const { topic, partition, leaderEpoch } = at;
  const { offset, timestamp } = record;
  const key = encode(record.key, 'auto');
  const value = encodeValue(record.value, record);
  const timeMs = timeOf(timestamp);
  const source = `{"topic":"${topic}","partition":${partition},"offset":${offset},"timestamp":${timestamp},"leader_epoch":${leaderEpoch}}`;
  return {
    id: idOf(at, offset),
    type: RECORD_TYPE,
    subject: topic,
    time: new Date(timeMs).toISOString(),
    timeMs,
    partitionkey: keyText(record.key, key.encoding),
    order: orderOf(offset),
    data: Buffer.from(
      `{"key":${key.json},"key_encoding":"${key.encoding}","value":${value.json},"value_encoding":"${value.encoding}",` +
        `"headers":${headersText(record)},"source":${source}}`,
    ),
  };
}
