import { contentOf, lengthOf, partsOf } from './content.js';

describe('parts of a body', () => {
  it.each(['{"a":1}', 'no JSON', 'quotes " and \\ and \u0001\u001f\b\t\n\f\r\u007f', 'ä€😀\u2028', '', '"'])(
    'the length of a body in its event is known before it is built: %j',
    (text) => {
      const content = contentOf(Buffer.from(text), 'application/json');
      const built = content.encoding === 'json' ? text : JSON.stringify(text);
      expect(lengthOf(content)).toBe(Buffer.byteLength(built));
    },
  );

  it.each([0, 1, 2, 3, 4])('so is that of %d bytes that are no text', (more) => {
    const bytes = Buffer.alloc(1 + more, 0xff);
    expect(lengthOf(contentOf(bytes, ''))).toBe(JSON.stringify(bytes.toString('base64')).length);
  });

  it('the texts of a sequence begin with a separator, and may have lines of their own (RFC 7464)', () => {
    const parts = (text: string) => {
      const found = partsOf(Buffer.from(text), 'application/json-seq');
      return typeof found === 'string' ? found : found.map(({ bytes }) => JSON.parse(bytes.toString()) as unknown);
    };
    expect(parts('\u001e{"a":1}\n\u001e{\n"b":2}\n\u001e\u001e3\n')).toEqual([{ a: 1 }, { b: 2 }, 3]);
    expect(parts('\u001e{"a":\n\u001e1\n')).toBe('json_broken');
    expect(parts('{"a":1}\n2\n')).toEqual([{ a: 1 }, 2]);
  });

  it('more than 10,000 are none at all, and something else than broken ones', () => {
    const ones = (n: number) => Array<number>(n).fill(1);
    const array = (n: number) => partsOf(Buffer.from(JSON.stringify(ones(n))), 'application/json');
    const lines = (n: number) => partsOf(Buffer.from(ones(n).join('\n')), 'application/x-ndjson');
    expect([array(10_000).length, lines(10_000).length]).toEqual([10_000, 10_000]);
    expect([array(10_001), lines(10_001)]).toEqual(['parts_too_many', 'parts_too_many']);
    expect(partsOf(Buffer.from('[1,,2]'), '')).toBe('json_broken');
  });
});
