import { JsonBuffer, piece } from '@planasonix/json-buffer';
import { arrayWriter, compositeWriter, hstoreWriter, vectorWriter } from './nested-writers.js';
import {
  boolWriter,
  integerWriter,
  jsonWriter,
  numberWriter,
  textWriter,
  timestamptzWriter,
  timestampWriter,
  type ValueWriter,
} from './value-writers.js';
import { SnapshotEncoder, TypeCatalog } from './index.js';

const composite = compositeWriter([{ label: piece('"at":'), write: timestamptzWriter }], () => 'ask');

const ASCII = Array.from({ length: 127 }, (_, i) => String.fromCharCode(i + 1)).join('');

const VALUES: readonly (readonly [string, ValueWriter, string, string])[] = [
  ['text', textWriter, 'a "b"', '"a \\"b\\""'],
  ['text, every sign of ASCII', textWriter, ASCII, JSON.stringify(ASCII)],
  [
    'text, escapes far apart',
    textWriter,
    `${'é'.repeat(99)}"${'x'.repeat(99)}`,
    `"${'é'.repeat(99)}\\"${'x'.repeat(99)}"`,
  ],
  ['text, empty', textWriter, '', '""'],
  ['boolean', boolWriter, 't', 'true'],
  ['integer', integerWriter, '-12', '-12'],
  ['float, exponent', numberWriter, '1.5e-07', '0.00000015'],
  ['float, negative zero', numberWriter, '-0', '0'],
  ['numeric', numberWriter, '1.10', '1.10'],
  ['numeric, NaN', numberWriter, 'NaN', '"NaN"'],
  ['jsonb', jsonWriter, '{"a": 1}', '{"a": 1}'],
  ['timestamp', timestampWriter, '2024-02-29 12:34:56.7', '"2024-02-29T12:34:56.7"'],
  ['timestamptz', timestamptzWriter, '2024-02-29 12:34:56.7+00', '"2024-02-29T12:34:56.7+00:00"'],
  ['timestamptz, minutes', timestamptzWriter, '2024-02-29 12:34:56+05:30', '"2024-02-29T12:34:56+05:30"'],
  ['timestamptz, a far year', timestamptzWriter, '12024-02-29 12:34:56+00', '"12024-02-29T12:34:56+00:00"'],
  ['timestamptz, infinity', timestamptzWriter, '-infinity', '"-infinity"'],
  ['timestamptz, BC', timestamptzWriter, '0044-03-15 12:00:00+00 BC', '"0044-03-15T12:00:00+00:00 BC"'],
  [
    'timestamptz[]',
    arrayWriter(timestamptzWriter, 0x2c),
    '{"2024-02-29 12:00:00+00"}',
    '["2024-02-29T12:00:00+00:00"]',
  ],
  ['array with bounds', arrayWriter(integerWriter, 0x2c), '[0:1]={1,NULL}', '[1,null]'],
  ['int2vector', vectorWriter(integerWriter), '1 2', '[1,2]'],
  ['composite', composite, '("2024-02-29 12:00:00+00")', '{"at":"2024-02-29T12:00:00+00:00"}'],
  ['hstore', hstoreWriter, '"a"=>"1", "b"=>NULL', '{"a":"1","b":null}'],
];

/** What may lie behind a value: other columns of the row, older rows. */
const NEIGHBOURS = [':', '0', '9', '"', '}', ')', ',', ' ', '\\', '-', 'e', 'x', '\u0000'];

/** Rows of two columns, a text and a time. */
function snapshotOf(key: readonly string[]): SnapshotEncoder {
  const column = (name: string, typeOid: number) => ({ name, typeOid, identity: true });
  return new SnapshotEncoder({
    catalog: new TypeCatalog(),
    relation: {
      oid: 1,
      schema: 'public',
      table: 'orders',
      replicaIdentity: 'f',
      columns: [column('note', 25), column('at', 1184)],
    },
    key,
    excluded: new Set(),
    database: 'shop',
    idPrefix: 'snap-1-',
    lsn: 1n,
    takenAtMs: 0,
  });
}

const afterBy =
  (encoder: SnapshotEncoder) =>
  (line: string): unknown => {
    const bytes = Buffer.from(line);
    encoder.row(bytes, 0, bytes.length);
    return afterOf(encoder.take()[0]!);
  };

const afterOf = ({ data }: { readonly data: Buffer }): unknown =>
  (JSON.parse(data.toString()) as { after: unknown }).after;

/** As COPY writes a text. */
const escaped = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n').replaceAll('\r', '\\r');

describe('writers of values', () => {
  it.each(VALUES)('%s: whatever lies around it, only its own bytes count', (_name, write, text, json) => {
    for (const neighbour of ['', ...NEIGHBOURS]) {
      const around = neighbour.repeat(8);
      const source = Buffer.from(around + text + around);
      const out = new JsonBuffer();
      out.begin();
      write(out, source, around.length, around.length + Buffer.byteLength(text));
      expect({ neighbour, json: out.take().toString() }).toEqual({ neighbour, json });
    }
  });

  it('the key of the last row is what it was, also once the driver has used its buffer again', () => {
    const encoder = snapshotOf(['note', 'at']);
    const line = Buffer.from('naïve\t2024-02-29 12:34:56+00');
    encoder.row(line, 0, line.length);
    line.fill('x');
    expect(encoder.lastKey()).toEqual(['naïve', '2024-02-29 12:34:56+00']);
    const long = Buffer.from(`${'k'.repeat(500)}\t2024-02-29 12:34:56+00`);
    encoder.row(long, 0, long.length);
    long.fill('x');
    expect(encoder.lastKey()).toEqual(['k'.repeat(500), '2024-02-29 12:34:56+00']);
  });

  it('a row of a snapshot is not told by bytes that a longer row before it left (a time of day: `+00` stayed so)', () => {
    const encoder = snapshotOf([]);
    const after = afterBy(encoder);
    after(`\\\\${':'.repeat(100)}\t2024-02-29 12:34:56.123456+00`);
    expect(after('\\\\\t2024-02-29 12:34:56+00')).toEqual({ note: '\\', at: '2024-02-29T12:34:56+00:00' });
  });

  it('rows that lie side by side in what the server sent: each its own, whatever bytes they hold and where escapes stand', () => {
    const at = '2024-02-29 12:34:56+00';
    const signs = Array.from({ length: 127 }, (_, i) => String.fromCharCode(i + 1));
    const notes = ['', 'a', '\\', ...signs.flatMap((sign) => [sign, `abcd${sign}`, `${sign}${sign}é`]), 'é'.repeat(40)];
    const lines = notes.map((note) => Buffer.from(`${escaped(note)}\t${at}`));
    const bytes = Buffer.concat(lines.flatMap((line) => [Buffer.from('d\0\0\0\t'), line, Buffer.from('\n')]));
    const encoder = snapshotOf(['note']);
    let start = 5;
    for (const line of lines) {
      encoder.row(bytes, start, start + line.length);
      start += line.length + 6;
    }
    const read = encoder.take();
    expect(read.map(afterOf)).toEqual(notes.map((note) => ({ note, at: '2024-02-29T12:34:56+00:00' })));
    expect(read.map(({ partitionkey }) => partitionkey)).toEqual(notes.map((note) => JSON.stringify({ note })));
    expect(read.map(({ id }) => id)).toEqual(read.map(({ partitionkey }) => `snap-1-${partitionkey}`));
  });

  it('rows that were taken do not come again, nor their keys; rows without a key are numbered on', () => {
    const encoder = snapshotOf([]);
    const line = Buffer.from('a\t2024-02-29 12:34:56+00');
    const one = encoder.row(line, 0, line.length);
    encoder.row(line, 0, line.length);
    const first = encoder.take();
    encoder.row(line, 0, line.length);
    expect([...first, ...encoder.take()].map(({ id, partitionkey }) => [id, partitionkey])).toEqual([
      ['snap-1-0', ''],
      ['snap-1-1', ''],
      ['snap-1-2', ''],
    ]);
    expect(one).toBe(first[0]!.data.length);
    expect(encoder.take()).toEqual([]);

    const keyed = snapshotOf(['note']);
    const keys = ['a', 'é'].map((note) => {
      const row = Buffer.from(`${note}\t2024-02-29 12:34:56+00`);
      keyed.row(row, 0, row.length);
      return keyed.take().map(({ partitionkey }) => partitionkey);
    });
    expect(keys).toEqual([['{"note":"a"}'], ['{"note":"é"}']]);
  });
});
