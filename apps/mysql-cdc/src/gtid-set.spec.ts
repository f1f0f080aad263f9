import { gtidList, gtidOf, GtidSet, previousGtids } from './gtid-set.js';

const A = '3e11fa47-71ca-11e1-9e33-c80aa9429562';
const B = '3e11fa47-71ca-11e1-9e33-c80aa9429563';
const set = (flavor: 'mysql' | 'mariadb', text: string): GtidSet => GtidSet.parse(flavor, text)!;
const mysql = (text: string): GtidSet => set('mysql', text);

describe('a set of GTIDs', () => {
  it.each([`${A}:1-5:7`, `${A}:1,${B}:2-9223372036854775806`, ''])('of MySQL is read and written: %s', (text) => {
    expect(mysql(text).toString()).toBe(text);
  });

  it('of MySQL is read as the server writes it, over lines, and joined where spans meet', () => {
    expect(mysql(`${A.toUpperCase()}:1-3:4-5,\n${B}:2`).toString()).toBe(`${A}:1-5,${B}:2`);
    expect(mysql(`${A}:7:1-2:3`).toString()).toBe(`${A}:1-3:7`);
  });

  it.each([`${A}`, `${A}:0`, `${A}:5-3`, `${A}:tag:1`, 'x:1', `${A}:1; DROP TABLE t`])(
    'is not read from %s',
    (text) => {
      expect(GtidSet.parse('mysql', text)).toBeNull();
    },
  );

  it('takes up transactions out of order', () => {
    const found = mysql(`${A}:1-3`);
    for (const number of [6, 5, 4, 9]) found.add(gtidOf('mysql', `${A}:${number}`));
    expect(found.toString()).toBe(`${A}:1-6:9`);
    expect([4, 7, 9].map((number) => found.has(gtidOf('mysql', `${A}:${number}`)))).toEqual([true, false, true]);
  });

  it.each([
    [`${A}:1-10`, `${A}:3-4:8`, `${A}:1-2:5-7:9-10`],
    [`${A}:1-10,${B}:1`, `${A}:1-10`, `${B}:1`],
    [`${A}:5`, `${A}:1-10`, ''],
    [`${A}:1-3`, `${B}:1-3`, `${A}:1-3`],
  ])('%s without %s is %s', (one, other, rest) => {
    expect(mysql(one).without(mysql(other)).toString()).toBe(rest);
  });

  it('of MariaDB stands for all that a server wrote up to each', () => {
    const one = set('mariadb', '0-1-42,0-2-7,1-1-3');
    expect(one.has(gtidOf('mariadb', '0-1-30'))).toBe(true);
    expect(one.has(gtidOf('mariadb', '0-1-43'))).toBe(false);
    expect(one.has(gtidOf('mariadb', '2-1-1'))).toBe(false);
    expect(one.newest().toString()).toBe('0-1-42,1-1-3');
    expect(one.without(set('mariadb', '0-1-50,1-1-3')).toString()).toBe('0-2-7');
    expect(one.justBefore(set('mariadb', '0-1-40,1-1-3'))).toBe('0-1-41,1-1-3');
    expect(one.justBefore(set('mariadb', ''))).toBe('0-1-41,1-1-2');
    expect(one.justBefore(set('mariadb', '0-1-42,1-1-4'))).toBeNull();
    expect(set('mariadb', '4-1-1').justBefore(one)).toBe('');
    const place = set('mariadb', '0-1-42');
    place.addEarlier(set('mariadb', '0-1-60,0-2-7,0-3-50,4-1-1'));
    expect(place.toString()).toBe('0-1-42,0-2-7');
  });

  it('is read from the head of a file', () => {
    const uuid = Buffer.from(A.replaceAll('-', ''), 'hex');
    const numbers = (...all: number[]): Buffer => {
      const bytes = Buffer.alloc(8 * all.length);
      all.forEach((number, i) => bytes.writeBigUInt64LE(BigInt(number), i * 8));
      return bytes;
    };
    const body = Buffer.concat([numbers(1), uuid, numbers(2, 1, 6, 8, 9)]);
    expect(previousGtids(body)!.toString()).toBe(`${A}:1-5:8`);
    body[7] = 1;
    expect(previousGtids(body)).toBeNull();
    const list = Buffer.alloc(36);
    list.writeUInt32LE(2 | 0x10000000, 0);
    list.writeUInt32LE(1, 8);
    list.writeBigUInt64LE(42n, 12);
    list.writeUInt32LE(3, 20);
    list.writeUInt32LE(2, 24);
    list.writeBigUInt64LE(7n, 28);
    expect(gtidList(list).toString()).toBe('0-1-42,3-2-7');
  });
});
