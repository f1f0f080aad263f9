/** Records of a topic: what a producer sends, and what has to stand in the log of it, written without the product's help. */
import { CompressionTypes, type Message } from 'kafkajs';
import type { Random } from './random.js';

/** A partition of a topic; `making` counts how often the topic was made. */
export interface TopicPlace {
  readonly topic: string;
  readonly making: number;
  readonly partition: number;
}

export interface TopicRecord extends TopicPlace {
  /** Writer and number, which is its first header. */
  readonly id: string;
  readonly message: Message;
  /** Its event in the log, up to what the broker adds. */
  readonly text: string;
  readonly partitionkey: string;
  /** ms */
  readonly timestamp: number;
}

/** What one request brings to one partition. */
export interface Parcel {
  readonly place: TopicPlace;
  readonly records: readonly TopicRecord[];
  readonly compression: CompressionTypes;
}

/** What a writer sends together; in a transaction, if it has one. */
export interface Shipment {
  readonly parcels: readonly Parcel[];
  readonly end: 'commit' | 'abort';
  readonly pauseMs: number;
}

/** Bytes of a key or a value, and how they stand in an event. */
interface Content {
  readonly bytes: Buffer | null;
  readonly json: string;
  readonly encoding: 'json' | 'text' | 'base64' | 'none';
}

const none: Content = { bytes: null, json: 'null', encoding: 'none' };
const asJson = (json: string): Content => ({ bytes: Buffer.from(json), json, encoding: 'json' });
const asText = (text: string): Content => ({
  ...{ bytes: Buffer.from(text), json: JSON.stringify(text), encoding: 'text' },
});
function asBytes(rng: Random): Content {
  // 0xff is in no UTF-8.
  const bytes = Buffer.from([0xff, ...Array.from({ length: rng.between(0, 40) }, () => rng.below(256))]);
  return { bytes, json: `"${bytes.toString('base64')}"`, encoding: 'base64' };
}

function keyOf(rng: Random): Content {
  switch (rng.below(8)) {
    case 0:
      return none;
    case 1:
      return asBytes(rng);
    case 2:
      return asText('');
    default:
      return rng.chance(0.5) ? asText(`key ${rng.below(20)}`) : asJson(String(rng.below(20)));
  }
}

function valueOf(id: string, rng: Random): Content {
  const pad = 'x'.repeat(rng.between(0, 800));
  switch (rng.below(10)) {
    case 0:
      return none;
    case 1:
      return asBytes(rng);
    case 2:
      return asText(rng.chance(0.2) ? '' : `"no JSON" of ${id} ß\u0001 ${pad}`);
    default:
      // Digits and white space that a parser would not give back.
      return asJson(`{"id":"${id}", "large":9007199254740993,"pad" : "${pad}","a":1.10,"a":2}`);
  }
}

const partitionkeyOf = ({ bytes, encoding }: Content): string =>
  bytes === null ? '' : bytes.toString(encoding === 'base64' ? 'base64' : 'utf8');

export function recordOf(id: string, place: TopicPlace, timestamp: number, rng: Random): TopicRecord {
  const [key, value] = [keyOf(rng), valueOf(id, rng)];
  const twice = rng.chance(0.2);
  const headers = [['id', id], ...(twice ? ['one', 'two'].map((of) => ['twice', of]) : [])];
  return {
    ...place,
    ...{ id, timestamp, partitionkey: partitionkeyOf(key) },
    message: {
      ...{ key: key.bytes, value: value.bytes, partition: place.partition, timestamp: String(timestamp) },
      headers: { id, ...(twice ? { twice: ['one', 'two'] } : {}) },
    },
    text:
      `{"key":${key.json},"key_encoding":"${key.encoding}","value":${value.json},"value_encoding":"${value.encoding}",` +
      `"headers":[${headers.map(([name, of]) => `["${name}","${of}","text"]`).join(',')}],`,
  };
}

const MOST_PARCELS = 3;
const MOST_RECORDS = 12;
const ABORTED = 0.35;

/** @param next the id of the writer's next record */
export function shipmentOf(places: readonly TopicPlace[], rng: Random, next: () => string): Shipment {
  const parcel = (): Parcel => {
    const place = rng.pick(places);
    const length = rng.between(1, MOST_RECORDS);
    const records = Array.from({ length }, () => recordOf(next(), place, Date.now(), rng));
    return { place, records, compression: rng.chance(0.3) ? CompressionTypes.GZIP : CompressionTypes.None };
  };
  return {
    parcels: Array.from({ length: rng.between(1, MOST_PARCELS) }, parcel),
    end: rng.chance(ABORTED) ? 'abort' : 'commit',
    pauseMs: rng.between(5, 60),
  };
}
