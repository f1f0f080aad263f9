import fc from 'fast-check';
import { membersOf, objectOf } from './json-text.js';

describe('membersOf', () => {
  it('keeps the text of every value, every digit', () => {
    const text = ' { "a" : 12345678901234567890.1200 , "b\\"": {"x":[1,"}"]}, "c":"\\\\", "d":null,"e":[] } ';
    expect([...membersOf(text)]).toEqual([
      ['a', '12345678901234567890.1200'],
      ['b"', '{"x":[1,"}"]}'],
      ['c', '"\\\\"'],
      ['d', 'null'],
      ['e', '[]'],
    ]);
    expect(membersOf('{}').size).toBe(0);
  });

  it('gives with objectOf the same object back, whatever it is', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(JSON.parse(objectOf(membersOf(text)))).toEqual(JSON.parse(text));
      }),
    );
  });

  it.each(['', '[]', '{"a"', '{"a":', '{"a":"x', '{"a":{', '{"a" 1}', '{"a":1 "b":2}'])('refuses %j', (text) => {
    expect(() => membersOf(text)).toThrow();
  });
});
