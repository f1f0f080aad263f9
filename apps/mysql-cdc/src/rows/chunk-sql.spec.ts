import type { SourceTable } from '../tables.js';
import { boundSql, cutBetween, rangeSql } from './chunk-sql.js';
import { readingKey } from './key-column.js';

const column = (name: string, type: string, more: object = {}) => ({
  ...{ name, type, declared: type, charset: null, collation: null },
  ...more,
});
const table = {
  ...{ schema: 's', table: 't', keyIndex: 'by`two', key: ['a', 'b', 'y'] },
  columns: [
    column('a', 'int'),
    column('b', 'varchar', { charset: 'latin1', collation: 'latin1_swedish_ci' }),
    column('y', 'year'),
    column('doc', 'json'),
  ],
} as unknown as SourceTable;
const key = readingKey(table, new Set());
const rows = { list: '`a`', condition: null };
const range = (after: string[] | null, upto: string[] | null) => rangeSql(table, key, { after, upto }, rows, 10);

describe('a range of keys', () => {
  it('is told apart by the server, by values of the column’s own collation', () => {
    expect(range(['-5', '61', '2024'], ['7'])).toBe(
      "SELECT `a` FROM `s`.`t` FORCE INDEX (`by``two`) WHERE `a` >= -5 AND (`a` > -5 OR (`a` = -5 AND (`b` > _latin1 X'61' COLLATE latin1_swedish_ci OR (`b` = _latin1 X'61' COLLATE latin1_swedish_ci AND `y` > 2024)))) AND `a` <= 7 ORDER BY `a`, `b`, `y` LIMIT 10",
    );
  });

  it('ends with a key that is asked for, whatever is wanted of its rows', () => {
    expect(boundSql(table, key, { after: ['-5'], upto: null }, '`a`, HEX(`b`), `y`', 10)).toBe(
      'SELECT `a`, HEX(`b`), `y` FROM `s`.`t` FORCE INDEX (`by``two`) WHERE `a` > -5 ORDER BY `a`, `b`, `y` LIMIT 1 OFFSET 9',
    );
  });

  it('does not take the year 0 for 2000', () => {
    expect(range(['1', '', '0000'], null)).toContain('CAST(`y` AS UNSIGNED) > 0000');
  });

  it.each([
    ['SQL', ['1 OR 1', '61', '2024']],
    ['no bytes', ['1', "61' OR '", '2024']],
  ])('is not made of %s', (_, after) => {
    expect(() => range(after, null)).toThrow('a key that is none');
  });

  it('is none where a column of the key is not shown, or has no order', () => {
    expect(readingKey(table, new Set(['b']))).toEqual([]);
    expect(readingKey({ ...table, key: ['a', 'doc'] }, new Set())).toEqual([]);
  });

  it('is cut between whole numbers', () => {
    expect(cutBetween(0n, 100n, 4)).toEqual([25n, 50n, 75n]);
    expect(cutBetween(-(2n ** 63n), 2n ** 63n - 1n, 2)).toEqual([-1n]);
    expect(cutBetween(5n, 5n, 4)).toEqual([]);
    expect(cutBetween(0n, 1n, 4)).toEqual([0n]);
  });
});
