import fc from 'fast-check';
import { ApiError } from '../contract/api-error.js';
import { MAX_DEPTH, parseBody } from './json-text.js';

const bytes = (text: string) => Buffer.from(text);
const codeOf = (text: string | Buffer): string => {
  try {
    parseBody(typeof text === 'string' ? bytes(text) : text);
    return 'taken';
  } catch (error) {
    if (error instanceof ApiError) return error.code;
    throw error;
  }
};

describe('a request body', () => {
  it('empty, or only blanks, is no body', () => {
    expect([parseBody(bytes('')), parseBody(bytes(' \n'))]).toEqual([undefined, undefined]);
  });

  it.each([
    ['{"name":', 'invalid_json'],
    ['undefined', 'invalid_json'],
    ["{'a':1}", 'invalid_json'],
    ['{"a":1}x', 'invalid_json'],
    ['{"__proto__":1}', 'invalid_request'],
    ['{"a":[{"constructor":1}]}', 'invalid_request'],
    ['{"a":{"prototype":1}}', 'invalid_request'],
    ['{"\\u005f_proto__":1}', 'invalid_request'],
    ['{"a":"\\u0000"}', 'invalid_request'],
    ['{"a\\u0000":1}', 'invalid_request'],
    ['"\\ud800"', 'invalid_request'],
    ['{"\\udc00":1}', 'invalid_request'],
    ['1e400', 'invalid_request'],
    [`${'['.repeat(MAX_DEPTH + 1)}${']'.repeat(MAX_DEPTH + 1)}`, 'invalid_request'],
    [`${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'invalid_request'],
    [`${'['.repeat(MAX_DEPTH)}${']'.repeat(MAX_DEPTH)}`, 'taken'],
    ['"\\ud83d\\ude00"', 'taken'],
  ])('%.60s → %s', (text, code) => expect(codeOf(text)).toBe(code));

  it('bytes that are not UTF-8 are refused, not replaced', () => {
    expect(codeOf(Buffer.from([0x22, 0xff, 0x22]))).toBe('invalid_json');
    expect(codeOf(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toBe('invalid_json');
  });

  it('any bytes give a value or a 4xx, never another error, and the message never quotes them', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.json().map((text) => new Uint8Array(bytes(text))),
        ),
        (input) => {
          try {
            parseBody(input);
          } catch (error) {
            if (!(error instanceof ApiError)) throw error;
            expect(error.status).toBe(400);
          }
        },
      ),
    );
  });

  it('what is taken has no key that reaches a prototype', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        if (codeOf(text) === 'taken') expect(parseBody(bytes(text))).toEqual(JSON.parse(text));
      }),
    );
  });
});
