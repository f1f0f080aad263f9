import { decodePosition } from '../position.js';
import { LEGS } from '../trial/legs.js';
import { expectEqual, fill, MARKS, rowsOf, serverUnderTest, settle } from './server-under-test.js';

jest.setTimeout(120_000);

/** More than go out at once, so that reading begins behind a key as the server gave it. */
const ROWS = 2300;
const hex = (text: string): string => `CONVERT(X'${Buffer.from(text).toString('hex')}' USING utf8mb4)`;
/** Texts whose order by bytes is not that of a collation: capitals, accents, what sorts as two letters, spaces. */
const LETTERS = ['a', 'B', 'c', 'Ä', 'ß', 'z', 'é', 'E', 'ö', 'Z'];
const word = (n: number): string => LETTERS[n % 10]! + LETTERS[(n * 7) % 10]! + String(n) + LETTERS[(n * 3) % 10]!;
const date = (n: number): string => new Date(Date.UTC(1990, 0, 1) + n * 600_000_007).toISOString();

type Key = readonly [name: string, columns: string, key: string, value: (n: number) => string];

const KEYS: readonly Key[] = [
  ['ci', 'k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', 'k', (n) => hex(word(n))],
  ['unicode', 'k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci', 'k', (n) => hex(word(n))],
  ['bin', 'k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', 'k', (n) => hex(word(n))],
  ['german', 'k CHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci', 'k', (n) => hex(word(n))],
  ['wide', 'k VARCHAR(20) CHARACTER SET utf16', 'k', (n) => hex(word(n))],
  ['gbk', 'k VARCHAR(20) CHARACTER SET gbk', 'k', (n) => hex(`中${n % 7}文${n}`)],
  [
    'spaces',
    'k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci',
    'k',
    (n) => hex(`${n}${' '.repeat(n % 3)}`),
  ],
  [
    'pair',
    'a VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, b INT',
    'a, b',
    (n) => `${hex(LETTERS[n % 10]!)}, ${n}`,
  ],
  ['triple', 'a INT, b DATE, c SMALLINT UNSIGNED', 'a, b, c', (n) => `${-(n % 3)}, '2024-0${1 + (n % 9)}-01', ${n}`],
  ['whole', 'k BIGINT UNSIGNED', 'k', (n) => String(18446744073709551615n - BigInt(n * 3))],
  ['filled', 'k INT UNSIGNED ZEROFILL', 'k', (n) => String(n * 5)],
  ['exact', 'k DECIMAL(40,20)', 'k', (n) => `${n % 2 === 0 ? '-' : ''}${n}.0000000000000000000${n % 10}`],
  ['single', 'k FLOAT', 'k', (n) => `${(n % 2 === 0 ? -1 : 1) * n}e-3`],
  ['double_', 'k DOUBLE', 'k', (n) => `${(n % 2 === 0 ? -1 : 1) * (n / 7)}e${(n % 40) - 20}`],
  ['bits', 'k BIT(64)', 'k', (n) => String(n % 2 === 0 ? n * 1_000_003 : 18446744073709551615n - BigInt(n))],
  ['label', "e ENUM('z','a','m'), k INT", 'e, k', (n) => `${1 + (n % 3)}, ${n}`],
  [
    'flags',
    `s SET(${Array.from({ length: 64 }, (_, i) => `'f${64 - i}'`).join(',')}), k INT`,
    's, k',
    (n) => `${1n << BigInt(n % 64)}, ${n}`,
  ],
  ['year_', 'y YEAR, k INT', 'y, k', (n) => `${n % 3 === 0 ? 0 : 1901 + (n % 200)}, ${n}`],
  ['bytes', 'k VARBINARY(20)', 'k', (n) => `X'${Buffer.from([255 - (n % 256), 0, n >> 8, n & 255]).toString('hex')}'`],
  ['fixed', 'k BINARY(6)', 'k', (n) => `X'${Buffer.from([n & 255, n >> 8]).toString('hex')}'`],
  ['moment', 'k DATETIME(6)', 'k', (n) => `'${date(n).slice(0, 19).replace('T', ' ')}.00000${n % 10}'`],
  ['stamp', 'k TIMESTAMP(3)', 'k', (n) => `'${date(n).slice(0, 19).replace('T', ' ')}'`],
  [
    'span',
    'k TIME(2)',
    'k',
    (n) => `'${n % 2 === 0 ? '-' : ''}${String(n % 800).padStart(2, '0')}:${String(Math.floor(n / 800) + 10)}:00.5'`,
  ],
  ['unique_', 'k INT NOT NULL', '', (n) => String(n * 2)],
];
const OF_MARIADB: readonly Key[] = [
  ['uuids', 'k UUID', 'k', (n) => `'${String(n).padStart(8, '0')}-1111-4111-8111-${String(n * 7).padStart(12, '0')}'`],
  ['addresses', 'k INET6', 'k', (n) => `'2001:db8::${(n * 13).toString(16)}'`],
];

describe.each(LEGS)('keys of every kind in $name', (leg) => {
  const one = serverUnderTest(leg);
  const kinds = [...KEYS, ...(leg.type === 'mariadb' ? OF_MARIADB : [])];

  it('are gone on behind, wherever reading was broken off: each row comes once', async () => {
    await one.db.query(`${MARKS}; CREATE DATABASE k`);
    for (const [name, columns, key, value] of kinds) {
      const by = key === '' ? 'UNIQUE (k)' : `PRIMARY KEY (${key})`;
      await one.db.query(`SET time_zone = '+00:00'; CREATE TABLE k.${name} (${columns}, n INT, ${by})`);
      await fill(one.db, `k.${name}`, ROWS, (n) => `${value(n)}, ${n}`);
    }
    const stream = one.stream({ tables: ['k.*'], snapshot_readers: 1 });
    const unread = () => stream.positions.get('#asked')?.includes('"unread":[{') ?? true;
    const brokenOff = new Set<string>();
    // By turns a reader brings one batch of rows, or two and more; never all those of a table.
    for (let rows = 1; unread(); rows = rows === 1 ? 1500 : 1) {
      const before = stream.events.length;
      stream.start(null, () => {
        if (!unread() || stream.events.length >= before + rows) throw new Error('killed');
      });
      expect(String(await stream.outcome())).toContain('killed');
      for (const { table, lanes } of decodePosition(stream.positions.get('')!).rows?.tables ?? [])
        if (lanes.some(({ after, done }) => after !== null && done !== true)) brokenOff.add(table);
    }
    expect(brokenOff.size).toBe(kinds.length);
    for (const [name] of kinds) {
      const numbers = rowsOf(stream, `k.${name}`).map(({ after }) => after!['n']);
      expect({ name, rows: numbers.length, different: new Set(numbers).size }).toEqual({ name, rows: ROWS, different: ROWS }); // prettier-ignore
    }
  });

  it('under a collation that takes two texts for one: a key that is rewritten is another, before, amid and after', async () => {
    await one.db.query(`CREATE DATABASE c; ${MARKS};
      CREATE TABLE c.t (k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, v INT, note VARCHAR(9))`);
    await fill(one.db, 'c.t', 30_000, (n) => `'k${String(n).padStart(6, '0')}', 0, 'first'`);
    const stream = one.stream({ tables: ['c.*', 'm.marks'], snapshot_readers: 1 });
    const writer = await one.session();
    const wrote: Promise<unknown>[] = [];
    stream.start(null, () => {
      if (stream.events.length >= 5000 && wrote.length === 0)
        // Upper case behind the readers, in what they read, and before them; spaces that compare as none.
        wrote.push(
          writer.query(`UPDATE c.t SET k = UPPER(k), v = 1 WHERE v = 0 AND RIGHT(k, 2) = '07';
          UPDATE c.t SET k = CONCAT(k, '  '), v = 2 WHERE v = 0 AND RIGHT(k, 2) = '11';
          DELETE FROM c.t WHERE RIGHT(k, 2) = '13'; INSERT INTO c.t SELECT REPLACE(k, 'k', 'K0'), 3, 'new' FROM c.t WHERE RIGHT(k, 2) = '17'`),
        );
    });
    await stream.begun();
    await Promise.all(wrote);
    await settle(stream, one.db);
    expect(wrote).toHaveLength(1);
    await expectEqual(stream, one.db, 'c.t', 'k, v, note');
  });
});
