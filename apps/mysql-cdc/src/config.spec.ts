import { parseConfig } from './config.js';
import { parsePattern, quoteIdent, quoteLiteral } from './identifier.js';
import { decodePosition, encodePosition, fileNumber } from './position.js';

const problem = (config: object): string => {
  try {
    parseConfig(config);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

describe('what users write', () => {
  it('has the defaults of the documentation', () => {
    expect(parseConfig({ tables: ['shop.orders'] })).toEqual({
      ...{
        tables: ['shop.orders'],
        exclude_tables: [],
        exclude_columns: {},
        snapshot: 'initial',
        snapshot_readers: 3,
        server_id: 'auto',
      },
    });
  });

  it('says what is wrong, all of it', () => {
    expect(problem({ tables: ['orders'], server_id: 0, slot: 'x' })).toMatch(/tables.*server_id|server_id.*tables/s);
    expect(problem({ tables: [] })).toContain('tables');
    expect(problem({ tables: ['shop.a`b'] })).toContain('tables');
  });

  it('reads names as SQL does', () => {
    expect(parsePattern('shop.*')).toEqual({ schema: 'shop', table: null });
    expect(parsePattern('`odd ``name`.`a.b`')).toEqual({ schema: 'odd `name', table: 'a.b' });
    expect(parseConfig({ tables: ['a.b'], exclude_columns: { '`a`.b': ['c'] } }).exclude_columns).toEqual({
      'a.b': ['c'],
    });
  });

  it('lets no name and no text out of its quotes', () => {
    expect(quoteIdent('a` ; DROP')).toBe('`a`` ; DROP`');
    expect(() => quoteIdent('a\0')).toThrow(RangeError);
    expect(quoteLiteral("'\\")).toBe("CONVERT(X'275c' USING utf8mb4)");
  });

  it('keeps positions as text, and takes no other', () => {
    const place = {
      ...{
        phase: 'stream' as const,
        server: 'mysql:u',
        file: 'binlog.1000000',
        pos: 5_000_000_000,
        gtid: 'u:1',
        at: 7,
        gtids: 'u:1-5',
        attempt: 1,
      },
      ...{ proof: { begin: 4, print: 1 }, head: 'h', kinds: { 'a.b': { c: 'uuid' as const } } },
    };
    expect(decodePosition(encodePosition(place))).toEqual(place);
    expect(fileNumber(place.file)).toBe(1_000_000);
    expect(() => decodePosition('{"lsn":"0/0"}')).toThrow(/not a position/);
  });
});
