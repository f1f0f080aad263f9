import { eventOf } from '@planasonix/testing';
import type { OutHeaders } from '@planasonix/kafka';
import { CloudEventEncoder, keyOf, TOMBSTONE_TYPE } from './cloud-event.js';

const text = (headers: readonly OutHeaders[]) => headers.map(({ bytes }) => bytes.toString('latin1'));

describe('an event as a record', () => {
  it('has no partitionkey and a null key where it has none', () => {
    const event = eventOf(1, { partitionkey: '' });
    expect(keyOf(event)).toBeNull();
    const [record] = new CloudEventEncoder('str_1', false).records(event, null);
    expect(text(record!.headers).some((header) => header.includes('partitionkey'))).toBe(false);
  });

  it('is followed by a tombstone where it deletes a row with a key and those are wanted', () => {
    const gone = eventOf(1, { type: 'com.planasonix.row.delete' });
    const records = new CloudEventEncoder('str_1', true).records(gone, keyOf(gone));
    expect(records.map(({ value }) => value)).toEqual([gone.data, null]);
    expect(text(records[1]!.headers)).toEqual(
      expect.arrayContaining([expect.stringContaining(TOMBSTONE_TYPE), expect.stringContaining('e-1/t')]),
    );
    expect(new CloudEventEncoder('str_1', true).records(gone, null)).toHaveLength(1);
    expect(new CloudEventEncoder('str_1', false).records(gone, keyOf(gone))).toHaveLength(1);
    expect(new CloudEventEncoder('str_1', true).records(eventOf(1), keyOf(eventOf(1)))).toHaveLength(1);
  });

  it('keeps the bytes of a key that came from Kafka, and an empty one apart from none', () => {
    const record = (partitionkey: string, data: string) =>
      keyOf(eventOf(1, { type: 'com.planasonix.kafka.record', partitionkey, data: Buffer.from(data) }));
    expect(record('//4=', '{"key":"//4=","key_encoding":"base64","value":1}')).toEqual(Buffer.from([0xff, 0xfe]));
    expect(record('//4=', '{"key":"//4=","key_encoding":"text","value":1}')).toEqual(Buffer.from('//4='));
    expect(record('', '{"key":"","key_encoding":"text"}')).toEqual(Buffer.alloc(0));
    expect(record('', '{"key":null,"key_encoding":"none"}')).toBeNull();
  });
});
