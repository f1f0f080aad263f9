import { compareTexts, isEqual } from './compare.js';
import { objectOf } from './json-text.js';
import { jsonTextsOf, MYSQL_TABLES } from './mysql-tables.js';

describe('the rows of the MariaDB shop as texts', () => {
  const table = MYSQL_TABLES.find(({ name }) => name === 'shop.customers')!;
  const shown = { id: '7', email: 'a"b@example.com', name: null, country: 'FR', tags: '5', profile: '{"n": 1.10}', points: '1.1000', joined: '2026-01-02T03:04:05.000006Z' }; // prettier-ignore

  it('have every digit, labels of a SET as a list, and JSON as it is stored', () => {
    expect(objectOf(jsonTextsOf(table, shown))).toBe(
      '{"id":7,"email":"a\\"b@example.com","name":null,"country":"FR","tags":["new","it\'s \\"quoted\\""],"profile":{"n": 1.10},"points":1.1000,"joined":"2026-01-02T03:04:05.000006Z"}',
    );
    expect(objectOf(jsonTextsOf(table, { ...shown, tags: '0' }))).toContain('"tags":[]');
  });

  it('are compared as often as they are there', () => {
    expect(isEqual(compareTexts('t', ['a', 'b', 'a'], ['a', 'a', 'b']))).toBe(true);
    expect(compareTexts('t', ['a', 'a', 'b'], ['a', 'c', 'c'])).toEqual({
      ...{ table: 't', inSource: 3, inLog: 3, missing: 2, extra: 2 },
      examples: ['source a', 'log    c'],
    });
  });
});
