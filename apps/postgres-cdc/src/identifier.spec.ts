import fc from 'fast-check';
import { TABLE_PATTERN, parsePattern, qualified, quoteIdent, quoteLiteral } from './identifier.js';

/** Names as somebody would make them who wishes us ill. */
const hostile = fc
  .array(fc.constantFrom('"', "'", '\\', ';', '.', '*', '-', ' ', '$', '(', '\n', 'A', 'z', 'é', '𝒳', '/*', '--'), {
    minLength: 1,
    maxLength: 12,
  })
  .map((parts) => parts.join(''));

describe('quoting (trap 16)', () => {
  it('a name, whatever it holds, is one token that reads back as itself', () => {
    fc.assert(
      fc.property(fc.oneof(hostile, fc.string({ minLength: 1 })), (name) => {
        fc.pre(name.isWellFormed() && !name.includes('\0'));
        const quoted = quoteIdent(name);
        expect(quoted.slice(1, -1).replaceAll('""', '')).not.toContain('"');
        expect(quoted.slice(1, -1).replaceAll('""', '"')).toBe(name);
      }),
    );
  });

  it.each(['', 'a\0b', '\ud800'])('refuses %j as a name', (name) => {
    expect(() => quoteIdent(name)).toThrow(RangeError);
  });

  it('a text ends where it ends, also with quotes and backslashes', () => {
    expect(quoteLiteral("it's")).toBe("'it''s'");
    expect(quoteLiteral("\\'; DROP")).toBe(" E'\\\\''; DROP'");
    expect(() => quoteLiteral('\0')).toThrow(RangeError);
  });
});

describe('table patterns', () => {
  it.each([
    ['public.orders', 'public', 'orders'],
    ['Public.ORDERS', 'public', 'orders'],
    ['shop.*', 'shop', null],
    ['"Odd Name".t', 'Odd Name', 't'],
    ['"a""b"."c.d"', 'a"b', 'c.d'],
    ['"*"."*"', '*', '*'],
    ['Ünï.tab$1', 'Ünï', 'tab$1'],
  ])('%s', (text, schema, table) => {
    expect(parsePattern(text)).toEqual({ schema, table });
  });

  it.each([
    ...['orders', '*', '*.*', '*.t', 'a.b.c', 'a.', '.b', '"".b', 'a.""', 'a."b', 'a.b"', 'a b.c', '1a.b', 'a-b.c'],
    ...[
      'a.b; DROP TABLE x',
      'a.b -- ',
      'a.b\n',
      ' a.b',
      'a."x\0"',
      'a."\ud800"',
      `a.${'x'.repeat(64)}`,
      `a."${'é'.repeat(32)}"`,
    ],
  ])('refuses %j', (text) => {
    expect(parsePattern(text)).toBeNull();
  });

  it('every name comes back from its quoted form, and no other text is taken for it', () => {
    fc.assert(
      fc.property(hostile, hostile, (schema, table) => {
        fc.pre(Buffer.byteLength(schema) <= 63 && Buffer.byteLength(table) <= 63);
        expect(parsePattern(qualified(schema, table))).toEqual({ schema, table });
      }),
    );
  });

  it('what the schema takes is read, but for names that are too long', () => {
    fc.assert(
      fc.property(fc.oneof(hostile, fc.string()), (text) => {
        if (parsePattern(text) !== null) expect(text).toMatch(TABLE_PATTERN);
      }),
    );
  });
});
