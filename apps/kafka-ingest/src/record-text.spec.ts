import fc from 'fast-check';
import { JsonBuffer } from '@planasonix/json-buffer';
import { RecordEvents } from './record-event.js';
import { DoesNotFit, putBytes, type Format } from './record-text.js';

const at = { topic: 'orders', topicId: 'f'.repeat(32), partition: 3, leaderEpoch: 1 };

function shown(bytes: Buffer | null, format: Format) {
  const to = new JsonBuffer();
  to.begin();
  const encoding = putBytes(to, bytes, format);
  return { json: to.text(0), encoding };
}

describe('the text of a record', () => {
  it('is JSON whatever bytes came, and what JSON came is there as it came (trap 31)', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((raw) => Buffer.from(raw)),
      fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
      fc.json().map((text) => Buffer.from(text)),
      fc.constant(null),
    );
    const headers = fc.array(fc.tuple(fc.string(), bytes), { maxLength: 3 });
    fc.assert(
      fc.property(bytes, bytes, headers, (key, value, list) => {
        const record = { offset: 5, timestamp: 1_700_000_000_000, key, value, headers: list };
        const events = new RecordEvents((to, one) => putBytes(to, one, 'auto'));
        events.begin(at);
        const event = events.event(record);
        const data = JSON.parse(event.data.toString()) as Record<string, never>;
        const back = (json: unknown, encoding: unknown, came: Buffer | null) => {
          if (encoding === 'none') expect(came).toBeNull();
          else if (encoding === 'base64') expect(Buffer.from(json as string, 'base64')).toEqual(came);
          else if (encoding === 'text') expect(Buffer.from(json as string)).toEqual(came);
          else expect(event.data.includes(came!)).toBe(true);
        };
        back(data['key'], data['key_encoding'], key);
        back(data['value'], data['value_encoding'], value);
        const shown = data['headers'] as unknown as [string, unknown, string][];
        expect(shown.map(([name]) => name)).toEqual(list.map(([name]) => name));
        shown.forEach(([, json, encoding], i) => back(json, encoding, list[i]![1]));
      }),
      { numRuns: 500 },
    );
  });

  it('says where and when each record was, of several chunks one after the other', () => {
    const events = new RecordEvents((to, one) => putBytes(to, one, 'auto'));
    const places = [at, { ...at, partition: 4 }, { ...at, leaderEpoch: 2 }, at];
    const times = [1_700_000_000_000, 1_700_000_000_000, -1, 0, 8e15, 1_700_000_000_000];
    for (const place of places) {
      events.begin(place);
      times.forEach((timestamp, i) => {
        const offset = 5_000_000_000 + i;
        const event = events.event({ offset, timestamp, key: null, value: null, headers: [] });
        const { source } = JSON.parse(event.data.toString()) as { source: unknown };
        const { topic, partition, leaderEpoch } = place;
        expect(source).toEqual({ topic, partition, offset, timestamp, leader_epoch: leaderEpoch });
        const timeMs = Math.min(Math.max(timestamp, 0), Date.parse('9999-12-31T23:59:59.999Z'));
        expect(event).toMatchObject({ timeMs, time: new Date(timeMs).toISOString(), subject: topic });
        expect(event.id).toBe(`${topic}/${at.topicId}/${partition}/${offset}`);
        expect(event.order).toBe(`000000000${offset}`);
      });
    }
  });

  it('fits a fixed format or not at all', () => {
    expect(shown(Buffer.from('1.10'), 'json')).toEqual({ json: '1.10', encoding: 'json' });
    expect(shown(Buffer.from('1.10'), 'text')).toEqual({ json: '"1.10"', encoding: 'text' });
    expect(shown(Buffer.from('1.10'), 'base64')).toEqual({ json: '"MS4xMA=="', encoding: 'base64' });
    expect(() => shown(Buffer.from([0xff]), 'text')).toThrow(DoesNotFit);
    expect(() => shown(Buffer.from(''), 'json')).toThrow(DoesNotFit);
    expect(shown(null, 'json')).toEqual({ json: 'null', encoding: 'none' });
  });
});
