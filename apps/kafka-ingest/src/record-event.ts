import type { ChangeEvent } from '@planasonix/core';
import { JsonBuffer, piece, type Piece } from '@planasonix/json-buffer';
import type { KafkaRecord, RecordChunk } from '@planasonix/kafka';
import { putBytes, putHeader, type Encoding } from './record-text.js';

export const RECORD_TYPE = 'com.planasonix.kafka.record';
const OFFSET_DIGITS = 19;

/** Writes the value of a record as JSON. @returns how it is shown @throws DoesNotFit, with nothing written */
export type ValueWriter = (to: JsonBuffer, value: Buffer | null) => Encoding;

type At = Pick<RecordChunk, 'topic' | 'topicId' | 'partition' | 'leaderEpoch'>;

/** Within a partition records are ordered by their offset. */
export const orderOf = (offset: number): string => String(offset).padStart(OFFSET_DIGITS, '0');

const idsOf = ({ topic, topicId, partition }: Omit<At, 'leaderEpoch'>): string => `${topic}/${topicId}/${partition}/`;

/** Made from the place alone, the topic's own id in it: a topic that is made anew has other ids. Invariant 4. */
export const idOf = (at: Omit<At, 'leaderEpoch'>, offset: number): string => idsOf(at) + String(offset);

/** Before the epoch, and where there is none: the epoch. RFC 3339 knows no year beyond 9999. */
const timeOf = (timestamp: number): number => Math.min(Math.max(timestamp, 0), 253_402_300_799_999);

const keyText = (key: Buffer | null, encoding: Encoding): string =>
  key === null ? '' : encoding === 'base64' ? key.toString('base64') : key.toString();

/** What is between a value and the next one, by how the value is shown. */
const behind = (what: 'key' | 'value', next: string): Readonly<Record<Encoding, Piece>> => {
  const text = (encoding: Encoding) => piece(`,"${what}_encoding":"${encoding}",${next}`);
  return { json: text('json'), text: text('text'), base64: text('base64'), none: text('none') };
};
const KEY = piece('{"key":');
const BEHIND_KEY = behind('key', '"value":');
const BEHIND_VALUE = behind('value', '"headers":[');

/** Makes events of the records of chunks, written once, straight from the record: JSON stays the very text that came. */
export class RecordEvents {
  readonly #to = new JsonBuffer();
  #topic = '';
  #leaderEpoch = -1;
  #ids = '';
  #source = piece();
  /** Neighbours often have the same. */
  #timestamp = NaN;
  #timeMs = 0;
  #time = '';
  #end = piece();

  constructor(private readonly writeValue: ValueWriter) {}

  /** The records that follow are of there. */
  begin(at: At): void {
    this.#topic = at.topic;
    this.#leaderEpoch = at.leaderEpoch;
    this.#ids = idsOf(at);
    this.#source = piece(`],"source":{"topic":"${at.topic}","partition":${at.partition},"offset":`);
    this.#timestamp = NaN;
  }

  /** @throws DoesNotFit */
  event({ offset, timestamp, key, value, headers }: KafkaRecord): ChangeEvent {
    if (timestamp !== this.#timestamp) this.#dated(timestamp);
    const to = this.#to;
    to.begin();
    to.put(KEY);
    const keyEncoding = putBytes(to, key, 'auto');
    to.put(BEHIND_KEY[keyEncoding]);
    let valueEncoding: Encoding;
    try {
      valueEncoding = this.writeValue(to, value);
    } catch (error) {
      to.rewind(0);
      throw error;
    }
    to.put(BEHIND_VALUE[valueEncoding]);
    if (headers.length > 0) this.#headers(headers);
    to.put(this.#source);
    to.integer(offset);
    to.put(this.#end);
    return {
      id: this.#ids + String(offset),
      type: RECORD_TYPE,
      subject: this.#topic,
      time: this.#time,
      timeMs: this.#timeMs,
      partitionkey: keyText(key, keyEncoding),
      order: orderOf(offset),
      data: to.take(),
    };
  }

  #dated(timestamp: number): void {
    this.#timestamp = timestamp;
    this.#timeMs = timeOf(timestamp);
    this.#time = new Date(this.#timeMs).toISOString();
    this.#end = piece(`,"timestamp":${timestamp},"leader_epoch":${this.#leaderEpoch}}}`);
  }

  #headers(headers: KafkaRecord['headers']): void {
    const to = this.#to;
    headers.forEach(([name, value], i) => {
      to.utf8(`${i > 0 ? ',' : ''}[${JSON.stringify(name)},`);
      const encoding = putHeader(to, value);
      to.ascii(`,"${encoding}"]`);
    });
  }
}
