import avsc from 'avsc';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { DoesNotFit } from '../record-text.js';
import { avroReader } from './avro.js';
import { protobufReader } from './protobuf.js';

/** avsc has longs of 53 bits; these have 64. */
const long = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
});

describe('Avro', () => {
  const schema = {
    type: 'record',
    name: 'shop.Order',
    fields: [
      { name: 'id', type: 'long' },
      { name: 'note', type: ['null', 'string'] },
      { name: 'state', type: { type: 'enum', name: 'State', symbols: ['NEW', 'PAID'] } },
      { name: 'raw', type: 'bytes' },
      { name: 'hash', type: { type: 'fixed', name: 'Hash', size: 2 } },
      { name: 'ok', type: 'boolean' },
      { name: 'weight', type: 'double' },
      {
        name: 'lines',
        type: { type: 'array', items: { type: 'record', name: 'Line', fields: [{ name: 'n', type: 'int' }] } },
      },
      { name: 'tags', type: { type: 'map', values: 'string' } },
      { name: 'before', type: ['null', 'Order'] },
    ],
  };
  const type = avsc.Type.forSchema(schema as avsc.Schema, { registry: { long }, wrapUnions: false });
  const read = avroReader(schema);

  it('reads what another implementation writes, with every digit', () => {
    const arbitrary = fc.record({
      id: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      note: fc.option(fc.string({ unit: 'grapheme' })),
      state: fc.constantFrom('NEW', 'PAID'),
      raw: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      hash: fc.uint8Array({ minLength: 2, maxLength: 2 }).map((bytes) => Buffer.from(bytes)),
      ok: fc.boolean(),
      weight: fc.double({ noNaN: true, noDefaultInfinity: true }),
      lines: fc.array(fc.record({ n: fc.integer() }), { maxLength: 5 }),
      tags: fc.dictionary(fc.string(), fc.string(), { maxKeys: 4, noNullPrototype: true }),
    });
    fc.assert(
      fc.property(arbitrary, arbitrary, (inner, outer) => {
        const value = { ...outer, before: { ...inner, before: null } };
        const text = read(type.toBuffer(value));
        const shown = (one: typeof inner) => ({
          ...one,
          id: undefined,
          raw: one.raw.toString('base64'),
          hash: one.hash.toString('base64'),
        });
        const found = JSON.parse(text) as Record<string, unknown> & { before: Record<string, unknown> };
        expect({ ...found, id: undefined, before: undefined }).toEqual({ ...shown(outer), before: undefined });
        expect({ ...found.before, id: undefined }).toEqual({ ...shown(inner), before: null });
        expect(text.startsWith(`{"id":${outer.id},`)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('takes a decimal that can be none for what it is made of, and names of types as they come', () => {
    const read = (schema: object, hex: string) => avroReader(schema)(Buffer.from(hex, 'hex'));
    const decimal = (more: object) => ({ type: 'bytes', logicalType: 'decimal', ...more });
    const bytes = '027b';
    expect(read(decimal({ precision: 5, scale: 2 }), bytes)).toBe('1.23');
    for (const more of [
      { precision: 5, scale: -2 },
      { precision: 5, scale: 'a' },
      { precision: 2e9, scale: 1e9 },
      { precision: 2, scale: 3 },
      { scale: 2 },
    ])
      expect(read(decimal(more), bytes)).toBe('"ew=="');
    for (const name of ['constructor', 'valueOf', '__proto__']) {
      const inner = { type: 'record', name, fields: [{ name: 'n', type: 'int' }] };
      const fields = [
        { name: 'a', type: inner },
        { name: 'b', type: name },
      ];
      expect(read({ type: 'record', name: 'r', fields }, '0204')).toBe('{"a":{"n":1},"b":{"n":2}}');
    }
    expect(read({ type: 'float' }, '00000080')).toBe('-0.0');
  });

  it('does not make a text without end of few bytes (Invariant 6)', () => {
    const million = Buffer.from('80897a00', 'hex');
    const nulls = avroReader({ type: 'array', items: { type: 'array', items: 'null' } });
    const lists = (count: number) =>
      Buffer.concat([Buffer.from([2 * count]), ...Array<Buffer>(count).fill(million), Buffer.from([0])]);
    expect(nulls(lists(1)).length).toBe('[[]]'.length + 5_000_000 - 1);
    expect(() => nulls(lists(3))).toThrow(/too many fields or items/);
    // Each record has two of the next one, and none takes a byte.
    let bomb: object = { type: 'record', name: 'r0', fields: [] };
    for (let i = 1; i < 26; i++) {
      const fields = [
        { name: 'a', type: bomb },
        { name: 'b', type: `r${i - 1}` },
      ];
      bomb = { type: 'record', name: `r${i}`, fields };
    }
    expect(() => avroReader(bomb)(Buffer.alloc(0))).toThrow(/too many fields or items/);
    const plain = avroReader({ type: 'array', items: 'int' });
    const many = Buffer.concat([Buffer.from('8092f401', 'hex'), Buffer.alloc(2_000_000, 2), Buffer.from([0])]);
    expect(plain(many).length).toBe('[]'.length + 2 * 2_000_000 - 1);
  });

  it('keeps the digits of decimals, and does not fit what is damaged', () => {
    const decimal = avroReader({ type: 'bytes', logicalType: 'decimal', precision: 30, scale: 2 });
    expect(decimal(Buffer.from([4, 0xff, 0x85]))).toBe('-1.23');
    expect(decimal(Buffer.from([2, 5]))).toBe('0.05');
    expect(() => read(Buffer.from([1, 2, 3]))).toThrow(DoesNotFit);
    expect(() => avroReader('int')(Buffer.from([2, 2]))).toThrow(/longer than its schema/);
    // Nulls take no bytes: a count alone must not cost memory.
    expect(() => avroReader({ type: 'array', items: 'null' })(Buffer.from('feffffffffff7f00', 'hex'))).toThrow(
      /too many/,
    );
    const nested = { type: 'record', name: 'N', fields: [{ name: 'n', type: ['null', 'N'] }] };
    expect(() => avroReader(nested)(Buffer.alloc(100_000, 2))).toThrow(/too deeply/);
  });
});

describe('Protobuf', () => {
  const schema = `syntax = "proto3"; package shop; import "google/protobuf/timestamp.proto";
    enum State { NEW = 0; PAID = 1; }
    message Other { string s = 1; }
    message Order {
      message Line { sint32 n = 1; }
      int64 id = 1; uint64 big = 2; string note = 3; State state = 4; bytes raw = 5; bool ok = 6; double weight = 7; float f = 8;
      repeated Line lines = 9; repeated int32 packed = 10; map<string, int64> counts = 11; map<int32, Line> by_n = 12;
      google.protobuf.Timestamp at = 13; fixed64 fixed = 14; optional string maybe = 15; oneof one { string a = 16; int32 b = 17; }
    }`;
  const read = protobufReader(schema);
  const root = new protobuf.Root();
  root.addJSON(protobuf.common.get('google/protobuf/timestamp.proto')!.nested!);
  protobuf.parse(schema, root, { keepCase: true });
  const encoded = (name: string, value: object) =>
    Buffer.from(root.lookupType(name).encode(root.lookupType(name).fromObject(value)).finish());

  it('reads the message that the indexes name, with every digit', () => {
    const order = {
      ...{
        id: '-9223372036854775808',
        big: '18446744073709551615',
        note: 'ä "x"',
        state: 'PAID',
        raw: Buffer.from([0, 255]),
      },
      ...{
        ok: true,
        weight: 0.1,
        f: 0.1,
        lines: [{ n: -3 }, {}],
        packed: [1, -1, 300],
        counts: { a: '9007199254740993' },
      },
      ...{
        by_n: { '7': { n: 1 } },
        at: { seconds: 1_700_000_000, nanos: 5 },
        fixed: '18446744073709551615',
        maybe: '',
        b: 5,
      },
    };
    expect(read(Buffer.concat([Buffer.from([2, 2]), encoded('shop.Order', order)]))).toBe(
      '{"id":-9223372036854775808,"big":18446744073709551615,"note":"ä \\"x\\"","state":"PAID","raw":"AP8=","ok":true,"weight":0.1,' +
        '"f":0.1,"lines":[{"n":-3},{}],"packed":[1,-1,300],"counts":{"a":9007199254740993},"by_n":{"7":{"n":1}},' +
        '"at":{"seconds":1700000000,"nanos":5},"fixed":18446744073709551615,"maybe":"","b":5}',
    );
    expect(read(Buffer.concat([Buffer.from([0]), encoded('shop.Other', { s: 'first' })]))).toBe('{"s":"first"}');
    expect(read(Buffer.concat([Buffer.from([4, 2, 0]), encoded('shop.Order.Line', { n: 4 })]))).toBe('{"n":4}');
  });

  it("finds Google's own types also where a file that is imported names them, and its own options", () => {
    const stamp = `syntax = "proto3"; import "google/protobuf/timestamp.proto"; message N { google.protobuf.Timestamp t = 1; }`;
    const main = 'syntax = "proto3"; import "o.proto"; message M { N n = 1; }';
    const value = Buffer.from([0, 10, 4, 10, 2, 8, 5]);
    expect(protobufReader(main, [{ name: 'o.proto', text: stamp }])(value)).toContain('"n":{"t":');
    const options = `syntax = "proto3"; import "google/protobuf/descriptor.proto";
      extend google.protobuf.FieldOptions { string secret = 50000; } message M { int32 a = 1 [(secret) = "x"]; }`;
    expect(protobufReader(options)(Buffer.from([0, 8, 7]))).toBe('{"a":7}');
  });

  it('takes as long as a value is large, however often a field is there (Invariant 6)', () => {
    const many = protobufReader('syntax = "proto2"; message Many { repeated uint32 n = 1; }');
    // Were it the square of that, it would not be over before Jest's limit.
    const times = 300_000;
    const text = many(Buffer.concat([Buffer.from([0]), Buffer.alloc(2 * times, Buffer.from([8, 1]))]));
    expect(text.length).toBe('{"n":[]}'.length + 2 * times - 1);
  });

  it('joins what comes twice as Protobuf says: pieces of a message, the last of a key and of one that excludes another', () => {
    const twice = (...values: object[]) =>
      read(Buffer.concat([Buffer.from([2, 2]), ...values.map((value) => encoded('shop.Order', value))]));
    expect(twice({ at: { seconds: 1 } }, { at: { nanos: 2 } })).toBe('{"at":{"seconds":1,"nanos":2}}');
    expect(twice({ counts: { a: 1, b: 2 } }, { counts: { a: 3 } })).toBe('{"counts":{"a":3,"b":2}}');
    expect(twice({ a: 'x' }, { b: 5 })).toBe('{"b":5}');
    expect(twice({ b: 5 }, { a: 'x' })).toBe('{"a":"x"}');
    expect(twice({ id: 1 }, { id: 2 })).toBe('{"id":2}');
  });

  it('becomes no text without end: names count for the whole value, however it is nested (Invariant 6)', () => {
    const long = 'n'.repeat(4000);
    const nested = protobufReader(`syntax = "proto3"; message M { repeated M m = 1; int32 ${long} = 2; }`);
    expect(() => nested(Buffer.concat([Buffer.from([0]), Buffer.alloc(4_000, Buffer.from([10, 2, 16, 1]))]))).toThrow(
      /too many fields/,
    );
    const named = protobufReader(`syntax = "proto3"; enum E { ${long} = 0; } message M { repeated E e = 1; }`);
    const packed = Buffer.concat([Buffer.from([0, 10, 0xa0, 0x1f]), Buffer.alloc(4_000)]);
    expect(() => named(packed)).toThrow(/too many fields/);
  });

  it('does not fit what is damaged or of another message', () => {
    // An entry of a map, and its value, that are none.
    expect(() => read(Buffer.from([2, 2, 0x58, 1]))).toThrow(/counts is not what the schema says/);
    expect(() => read(Buffer.from([2, 2, 0x5a, 3, 0x12, 1, 0x61]))).toThrow(/counts is not what the schema says/);
    expect(() => read(Buffer.from([2, 2, 0x5a, 2, 0x08, 1]))).toThrow(/counts is not what the schema says/);
    expect(() => read(Buffer.from([2, 18, 0]))).toThrow(/message that its schema has not/);
    expect(() => read(Buffer.from([2, 2, 0x1a, 50, 1]))).toThrow(/cut short/);
    expect(() => read(Buffer.from([2, 2, 0x19, 1, 2, 3, 4, 5, 6, 7, 8]))).toThrow(/note is not what the schema says/);
  });
});
