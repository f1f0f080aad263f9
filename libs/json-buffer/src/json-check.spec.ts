import fc from 'fast-check';
import { isJsonText } from './json-check.js';

const parses = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

/** Among other bytes, so that what stands behind the text is not taken for a part of it. */
const check = (text: string): boolean => {
  const bytes = Buffer.from(`"1]}${text}"}]0`);
  return isJsonText(bytes, 4, bytes.length - 4);
};

describe('text that is JSON', () => {
  it.each([
    ...[
      '',
      ' ',
      'null',
      'nul',
      'nulll',
      'true',
      'false',
      'truefalse',
      '0',
      '-0',
      '-',
      '01',
      '1.',
      '.5',
      '1.5e',
      '1e+7',
      '1E-07',
      '+1',
    ],
    ...[
      '1 ',
      ' \t\r\n[ ]',
      '\u00a01',
      '\ufeff1',
      '[1,]',
      '[,1]',
      '[1 2]',
      '[',
      ']',
      '[]]',
      '{}',
      '{"a":1}',
      '{"a" : [ {"b":{}} ]}',
    ],
    ...[
      '{"a"}',
      '{"a":}',
      '{"a":1,}',
      '{a:1}',
      '{1:1}',
      '{"a":1 "b":2}',
      '{"a":1]',
      '[1}',
      '{"a":1,"a":2}',
      '"',
      '"a',
      '"a"b',
      '"\\"',
      '"\\\\"',
    ],
    ...[
      '"\\u12"',
      '"\\u12G4"',
      '"\\u00e9\\ud800"',
      '"\\x"',
      '"\t"',
      '"é😀\u2028"',
      "'a'",
      'NaN',
      'Infinity',
      '[[[[[1]]]]]',
      '12345678901234567890.10',
    ],
  ])('agrees with JSON.parse on %j', (text) => {
    expect(check(text)).toBe(parses(text));
  });

  it('is none where it is nested deeper than it may be; as often as it likes beside each other', () => {
    const deep = (depth: number) => Buffer.from('[{"a":'.repeat(depth) + '0' + '}]'.repeat(depth));
    const wide = Buffer.from(`[${'[],'.repeat(50)}{}]`);
    const found = [deep(2), deep(3), wide].map((bytes) => isJsonText(bytes, 0, bytes.length, 4));
    expect(found).toEqual([true, false, true]);
  });

  it('agrees with JSON.parse on any JSON, and on what becomes of it when a few characters change', () => {
    const change = fc.tuple(
      fc.nat(),
      fc.constantFrom('', '"', '\\', ',', ':', '[', ']', '{', '}', '0', '-', '.', 'e', 'n', ' ', '\n', 'é'),
      fc.nat(2),
    );
    fc.assert(
      fc.property(fc.json(), fc.array(change, { maxLength: 3 }), fc.boolean(), (json, changes, indented) => {
        let text = indented ? JSON.stringify(JSON.parse(json), null, 2) : json;
        for (const [place, put, gone] of changes) {
          const at = place % (text.length + 1);
          text = text.slice(0, at) + put + text.slice(at + gone);
        }
        return check(text) === parses(text);
      }),
      { numRuns: 2_000 },
    );
  });
});
