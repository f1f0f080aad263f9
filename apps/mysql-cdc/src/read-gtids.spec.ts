import { GtidSet } from './gtid-set.js';
import { ReadGtids } from './read-gtids.js';

const A = '3e11fa47-71ca-11e1-9e33-c80aa9429562';
const B = '3e11fa47-71ca-11e1-9e33-c80aa9429563';

describe('what was read, by GTID', () => {
  const after = (flavor: 'mysql' | 'mariadb', known: string | null, head: string | null): string | null => {
    const read = new ReadGtids(flavor, known);
    read.fileBegins(head === null ? null : GtidSet.parse(flavor, head));
    return read.text;
  };

  it('of MySQL stays known at a server whose files do not have it', () => {
    expect(after('mysql', `${A}:1-5`, `${B}:1-2`)).toBe(`${A}:1-5,${B}:1-2`);
    expect(after('mysql', `${A}:1-5`, '')).toBe(`${A}:1-5`);
  });

  it('of MariaDB is what a file begins with, and those who wrote to its domains before', () => {
    expect(after('mariadb', '0-1-42,0-2-7,5-1-3', '0-1-50')).toBe('0-1-50,0-2-7');
  });

  it.each(['mysql', 'mariadb'] as const)('of %s is not known from a log that says nothing', (flavor) => {
    expect(after(flavor, null, '')).toBeNull();
    expect(after(flavor, null, null)).toBeNull();
  });

  it('is not known behind a transaction without a GTID, nor where there are tags', () => {
    const read = new ReadGtids('mysql', `${A}:1-5`);
    read.add(`${A}:6`);
    expect(read.text).toBe(`${A}:1-6`);
    read.add(null);
    read.add(`${A}:7`);
    expect(read.text).toBeNull();
    expect(after('mysql', `${A}:1-5`, null)).toBeNull();
    expect(after('mysql', null, `${A}:1-5`)).toBe(`${A}:1-5`);
  });
});
