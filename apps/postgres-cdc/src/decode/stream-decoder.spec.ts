import fc from 'fast-check';
import { JsonBuffer } from '@planasonix/json-buffer';
import { StreamDecoder, TypeCatalog } from './index.js';

const u16 = (n: number): Buffer => Buffer.from([n >> 8, n & 0xff]);
const u32 = (n: number): Buffer => Buffer.concat([u16(Math.floor(n / 65_536)), u16(n % 65_536)]);
const u64 = (n: bigint): Buffer => Buffer.concat([u32(Number(n >> 32n)), u32(Number(n & 0xffff_ffffn))]);

const COMMIT = 0x12_3456_789an;
const begin = Buffer.concat([Buffer.from('B'), u64(COMMIT), u64(0n), u32(77)]);
const relation = Buffer.concat([
  ...[Buffer.from('R'), u32(1), Buffer.from('public\0t\0d'), u16(1)],
  ...[Buffer.from([1]), Buffer.from('id\0'), u32(23), u32(0xffff_ffff)],
]);
const insert = (id: string): Buffer =>
  Buffer.concat([
    Buffer.from('I'),
    u32(1),
    Buffer.from('N'),
    u16(1),
    Buffer.from('t'),
    u32(id.length),
    Buffer.from(id),
  ]);

function decoding(): StreamDecoder {
  const decoder = new StreamDecoder({
    catalog: new TypeCatalog(),
    keyOf: () => ['id'],
    excludedOf: () => new Set(),
    database: 'shop',
    idPrefix: 'pg-1-',
  });
  decoder.feed(relation, 0, 1);
  decoder.adopt();
  return decoder;
}

describe('a transaction of many changes', () => {
  it('its changes are ordered as texts, each id once, and begin anew with the next transaction (trap 4)', () => {
    const decoder = decoding();
    for (let transaction = 0; transaction < 2; transaction++) {
      decoder.feed(begin, 0, 0);
      for (let n = 0; n < 9_000; n++) decoder.feed(insert(String(n)), 0x12, n);
      const events = decoder.take();
      const ordinal = (n: number): string => `000000123456789a-${n.toString(16).padStart(8, '0')}`;
      expect(events.map((event) => event.order!.toLowerCase())).toEqual(events.map((_, n) => ordinal(n)));
      expect(events.map((event) => event.id)).toEqual(events.map((event) => `pg-1-${event.order}`));
    }
  });

  it('says where each change stands in the WAL, in the words of the server', () => {
    const lsn = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(lsn, lsn, (high, low) => {
        const decoder = decoding();
        decoder.feed(begin, 0, 0);
        decoder.feed(insert('7'), high, low);
        const { source } = JSON.parse(decoder.take()[0]!.data.toString()) as { source: { lsn: string; seq: number } };
        expect(source).toMatchObject({
          lsn: `${high.toString(16)}/${low.toString(16)}`.toUpperCase(),
          seq: 0,
          commit_lsn: '12/3456789A',
        });
      }),
    );
  });

  it('writes hexadecimal digits as the server does, also where its buffer ends', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff_ffff }), { maxLength: 50 }), (values) => {
        const out = new JsonBuffer();
        out.begin();
        out.at = out.bytes.length - 20;
        out.begin();
        for (const value of values) out.hex(value);
        expect(out.take().toString()).toBe(values.map((value) => value.toString(16).toUpperCase()).join(''));
      }),
    );
  });
});
