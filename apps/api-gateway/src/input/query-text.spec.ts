import fc from 'fast-check';
import { ApiError } from '../contract/api-error.js';
import { parseQuery } from './query-text.js';

const codeOf = (text: string): string => {
  try {
    parseQuery(text);
    return 'taken';
  } catch (error) {
    if (error instanceof ApiError) return error.code;
    throw error;
  }
};

describe('a query', () => {
  it('is decoded, blanks as + and %20', () => {
    expect(parseQuery('status=a+b%20c&limit=5&&flag')).toEqual({ status: 'a b c', limit: '5', flag: '' });
  });

  it.each([
    ['limit=1&limit=2', 'invalid_request'],
    ['limit=1&%6cimit=2', 'invalid_request'],
    ['a=%00', 'invalid_request'],
    ['a=%', 'invalid_url'],
    ['a=%ff', 'invalid_url'],
    ['__proto__=1', 'taken'],
  ])('%s → %s', (text, code) => expect(codeOf(text)).toBe(code));

  it('a parameter named __proto__ is a parameter like any other', () => {
    const parsed = parseQuery('__proto__=1');
    expect(Object.keys(parsed)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['1']).toBeUndefined();
  });

  it('any text gives parameters or a 4xx', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void codeOf(text)));
  });
});
