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

  it('more than 10,000 are none at all', () => {
    const ones = (n: number) => Array<number>(n).fill(1);
    const array = (n: number) => partsOf(Buffer.from(JSON.stringify(ones(n))), 'application/json');
    const lines = (n: number) => partsOf(Buffer.from(ones(n).join('\n')), 'application/x-ndjson');
    expect([array(10_000)?.length, lines(10_000)?.length]).toEqual([10_000, 10_000]);
    expect([array(10_001), lines(10_001)]).toEqual([null, null]);
  });
});
